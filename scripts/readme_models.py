"""The table of models in README.md: what each finds, how well, and what it costs.

::

    scripts/readme_models.py           write the table from the models' cards and docs/model_costs.json
    scripts/readme_models.py measure   first measure the models that are new or were changed, on one core

Costs are of a scan of the usual kind: a sample that comes with the package where it fits, a phantom for models of
phantoms, noise of the usual size else. Seconds are those of one processor core for one prediction in a new process,
without starting the program; GB are the most that the process held.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace.bundle import card, load, shipped
from voxtrace.fit import facts_of, fit
from voxtrace.fit.model_facts import NONE_HELD_BACK, dice_words, is_non_commercial

if TYPE_CHECKING:
    from voxtrace.volume import Volume

ROOT = Path(__file__).resolve().parents[1]
README, COSTS = ROOT / "README.md", ROOT / "docs" / "model_costs.json"
BEGIN, END = "<!-- models: written by scripts/readme_models.py -->\n", "<!-- end of models -->"
HEAD = (
    "| model | finds | in | trained on | Dice [95 % interval], cases | s, GB | for |\n|---|---|---|---|---|---|---|\n"
)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def table(records: Mapping[str, Mapping[str, Any]], costs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table as Markdown: models for real scans first, then by name."""
    names = sorted(records, key=lambda name: (bool(records[name].get("demonstration")), name))
    return HEAD + "".join(f"| {' | '.join(cells(name, records[name], costs[name]))} |\n" for name in names)


def cells(name: str, record: Mapping[str, Any], cost: Mapping[str, Any]) -> list[str]:
    """Return the cells of one model."""
    scans, made_up = record["training_scans"], bool(record.get("demonstration"))
    made, untested = record["provenance"], ", not validated" * (dice_words(record) == NONE_HELD_BACK)
    return [
        f"`{name}`",
        _finds(record),
        f"{', '.join(record['plan']['channels'])}; {_size(scans['size_mm'])} mm",
        f"{made.get('cases_learned', made['cases'])} {'made-up' if made_up else 'real'} scans",
        dice_words(record).replace(", n ", ", "),
        f"{cost['seconds']:.2g} s, {cost['gigabytes']:.1f} GB",
        "demonstration" if made_up else f"**real scans**{', non-commercial' * is_non_commercial(record)}{untested}",
    ]


def _finds(record: Mapping[str, Any]) -> str:
    """Return the labels; of real scans after the name of their dataset, which tells what they are parts of."""
    labels = ", ".join(label for value, label in sorted(record["plan"]["labels"].items(), key=_number) if int(value))
    return labels if record.get("demonstration") else f"{record['provenance']['dataset']}: {labels}"


def _number(item: tuple[str, str]) -> int:
    return int(item[0])


def _size(range_mm: list[list[float]]) -> str:
    """Return width, depth and height: one number where all scans of the training had it, else from and to."""
    low, high = range_mm
    sides = [f"{a:.0f}" if a == b else f"{a:.0f}–{b:.0f}" for a, b in zip(low[::-1], high[::-1], strict=True)]
    return "×".join(sides)


def usual_scan(record: Mapping[str, Any]) -> Volume:
    """Return a scan of the kind that a model is for."""
    import numpy as np

    import voxtrace
    from voxtrace import phantoms
    from voxtrace.geometry import Geometry
    from voxtrace.phantoms.named import UNSEEN, phantom_named
    from voxtrace.samples import SAMPLES

    if phantom := phantom_named(record):
        made: Volume = getattr(phantoms, phantom)(seed=UNSEEN).volume
        return made
    for sample in SAMPLES:
        scan = voxtrace.read(sample.path)
        if fit(record, facts_of(scan)).verdict == "fits":
            return scan
    spacing = np.mean(record["training_scans"]["spacing_mm"], axis=0)
    shape = np.maximum(1, np.rint(np.mean(record["training_scans"]["size_mm"], axis=0) / spacing)).astype(int)
    channels = tuple(record["plan"]["channels"])
    noise = np.random.default_rng(0).normal(100, 20, (len(channels), *shape)).astype(np.float32)
    affine = tuple(tuple(row) for row in np.diag([*spacing, 1.0]).tolist())
    return voxtrace.Volume(noise, Geometry(tuple(shape.tolist()), affine), channels=channels)


def weights(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a model's weights: with the same options, a card with other words costs the same."""
    return str(record["files"]["weights.safetensors"])


def cost_of(name: str) -> dict[str, Any]:
    """Return what one prediction takes in this process: seconds of processor time, GB at most."""
    import resource

    from voxtrace.inference import predict

    record = card(shipped()[name])
    model, scan = load(name), usual_scan(record)
    began = time.process_time()
    predict(model, scan, device="cpu")
    seconds = time.process_time() - began
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    shape = "×".join(str(n) for n in scan.geometry.shape[::-1])
    return {
        "weights": weights(record),
        "options": record["method"]["options"],
        "scan": f"{scan.name or 'noise'}, {shape}",
        "seconds": round(seconds, 2),
        "gigabytes": round(gigabytes, 2),
    }


def measured() -> dict[str, Any]:
    """Return the costs of every shipped model; those of unchanged ones are kept."""
    known = json.loads(COSTS.read_text("utf-8")) if COSTS.exists() else {}
    found = {}
    for name, folder in shipped().items():
        record, before = card(folder), known.get(name, {})
        if (before.get("weights"), before.get("options")) == (weights(record), record["method"]["options"]):
            found[name] = before
            continue
        told = subprocess.run(
            [sys.executable, __file__, "one", name],
            env={**os.environ, **ONE_THREAD},
            stdout=subprocess.PIPE,
            check=True,
        )
        found[name] = json.loads(told.stdout)
        print(name, found[name])
    return found


def written(page: str, models: str) -> str:
    """Return a page with the table between its two marks."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + models + END + rest.split(END)[1]


def main(words: list[str]) -> None:
    """Do what the first word says."""
    if words[:1] == ["one"]:
        print(json.dumps(cost_of(words[1])))
        return
    if words == ["measure"]:
        COSTS.write_text(json.dumps(measured(), indent=1) + "\n", encoding="utf-8")
    records = {name: card(folder) for name, folder in shipped().items()}
    costs = json.loads(COSTS.read_text("utf-8"))
    README.write_text(written(README.read_text("utf-8"), table(records, costs)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
