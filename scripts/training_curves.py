"""Draw the curves of a training: the terms of the loss, Dice of the held-back cases, and the learning rate.

    python scripts/training_curves.py RUN FIGURE

RUN is a bundle, or the folder ``OUT.work`` of a run that goes on. FIGURE is a file that matplotlib can write.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

Events = Sequence[dict[str, Any]]


def read_events(run: Path) -> Events:
    """Return the events of a run in order; exit with a sentence where there are none."""
    file = run / "events.jsonl"
    if not file.is_file():
        raise SystemExit(f"{file} does not exist; give a bundle that was trained here, or the folder of a run.")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def curves(events: Events) -> Figure:
    """Return a figure of three panels over the iterations of the whole training."""
    updates, validations = ([e for e in events if e["event"] == kind] for kind in ("update", "validation"))
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    loss, dice, rate = figure.subplots(1, 3)
    done = [e["done"] for e in updates]
    for term in updates[0]["loss"] if updates else ():
        loss.plot(done, [e["loss"].get(term) for e in updates], linewidth=0.8, label=term)
    at = [e["done"] for e in validations]
    dice.plot(at, [e["dice"] for e in validations], "k.-", label="mean")
    for label in validations[-1]["dice_per_label"] if validations else ():
        dice.plot(at, [e["dice_per_label"].get(label) for e in validations], ".-", linewidth=0.8, label=label)
    rate.plot(done, [e["rate"] for e in updates])
    loss.set(title="terms of the loss", xlabel="iteration")
    dice.set(title="Dice of the held-back cases", xlabel="iteration", ylim=(0, 1))
    rate.set(title="learning rate", xlabel="iteration", ylim=(0, None))
    loss.legend(fontsize=7)
    dice.legend(fontsize=7)
    return figure


def main() -> None:
    """Draw one figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("figure", type=Path)
    given = parser.parse_args()
    curves(read_events(given.run)).savefig(given.figure, dpi=110)
    print(f"wrote {given.figure}")


if __name__ == "__main__":
    main()
