"""Train the shipped bundle ``abdomen-phantom-recyclenet`` on made-up abdominal CT, and measure it on unseen seeds.

    python scripts/train_phantom.py OUT [--cases 40] [--validate 10] [--iterations 1000] [--seed 0]

Training phantoms have seeds 0 …, validation phantoms 1000 …; the sample data have 9001 …
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from voxtrace.methods import method
from voxtrace.phantoms import abdomen_ct
from voxtrace.plan import plan_topology
from voxtrace.training import Dataset, fingerprint, plan_dataset, train
from voxtrace.volume import Case

WINDOW = (24, 64, 64)  # half of what the planner would take on a CPU: more updates in the same time
LABELS = {0: "background", 1: "liver", 2: "spleen", 3: "kidneys", 4: "aorta", 5: "spine"}


class Phantoms(Sequence[Case]):
    """Phantoms by seed, made when they are asked for."""

    def __init__(self, seeds: range) -> None:
        self.seeds = seeds

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: Any) -> Any:
        """Return one phantom, or a part of the row."""
        return Phantoms(self.seeds[index]) if isinstance(index, slice) else abdomen_ct(self.seeds[index])


def main() -> None:
    """Train and print how far it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--validate", type=int, default=10)
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    cases, held = Phantoms(range(given.cases)), Phantoms(range(1000, 1000 + given.validate))
    dataset = Dataset("abdomen phantoms", ("CT",), LABELS, (), ())
    plan = plan_dataset(dataset, fingerprint(cases[:10]), iterations=given.iterations)
    plan = plan.model_copy(
        update={
            "window": WINDOW,
            "batch_size": 2,
            "topology": plan_topology(WINDOW, plan.spacing_mm, base_width=16, most_stages=4),
            "mirror_axes": (),  # the liver is on the right
            "augmentation": 1.0,
        }
    )
    about = {
        "licence": "Apache-2.0",
        "intended_use": "Demonstration. Trained on made-up CT alone; its labels on real scans are not to be relied on.",
        "provenance": {"dataset": f"voxtrace.phantoms.abdomen_ct, seeds 0 to {given.cases - 1}"},
    }
    run = {"out": given.out, "seed": given.seed, "resume": given.resume}
    for event in train(method("recyclenet"), plan, cases, validate=held, about=about, **run):
        if event.iteration % 20 == 0 or event.validation_dice is not None or event.phase == "done":
            losses = ", ".join(f"{name} {value:.3f}" for name, value in event.loss.items())
            dice = "" if event.validation_dice is None else f", validation Dice {event.validation_dice:.3f}"
            print(f"{event.phase} {event.iteration}/{event.total} {losses}{dice} {event.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
