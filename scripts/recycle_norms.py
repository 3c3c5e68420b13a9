"""Train RecycleNet with each normalisation of its recycled features, and print Dice after each cycle.

    python scripts/recycle_norms.py DATASET OUT [--norms window instance layer] [--window 24 32 24] [--widths 12 24 48]
                                    [--updates 1500] [--cases 12] [--cycles 10] [--seed 0]

DATASET is a folder in nnU-Net's raw layout, e.g. the hippocampus of the Medical Segmentation Decathlon. Fold 0 is held
back; its first cases are segmented whole. A window smaller than the organ leaves the cycles something to refine.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from voxtrace.methods import method
from voxtrace.plan import Plan, plan_topology
from voxtrace.training import fingerprint, open_dataset, plan_dataset, train
from voxtrace.training.dataset import CaseFolder, fold


def planned(given: argparse.Namespace, cases: CaseFolder) -> Plan:
    """Return the dataset's plan with the window, widths and updates that were asked for."""
    plan = plan_dataset(open_dataset(given.dataset), fingerprint(cases), device="cpu", memory_gb=8.0)
    topology = plan_topology(given.window, plan.spacing_mm, base_width=given.widths[0])
    changes = {
        "window": tuple(given.window),
        "topology": topology.model_copy(update={"widths": tuple(given.widths[: len(topology.widths)])}),
        "batch_size": 4,
        "iterations": given.updates,
        "mirror_axes": (2,),
    }
    return Plan.model_validate({**plan.model_dump(), **changes})


def _result(task: Any) -> Any:
    while True:
        try:
            next(task)
        except StopIteration as end:
            return end.value


def main() -> None:
    """Print a line for each norm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--norms", nargs="+", default=["window", "instance", "layer"])
    parser.add_argument("--window", type=int, nargs=3, default=[24, 32, 24])
    parser.add_argument("--widths", type=int, nargs="+", default=[12, 24, 48])
    parser.add_argument("--updates", type=int, default=1500)
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--cycles", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    training, held = fold(open_dataset(given.dataset), 0)
    plan = planned(given, training)
    for norm in given.norms:
        recycling = method("recyclenet", norm=norm, cycles=given.cycles)
        out = given.out / norm
        bundle = _result(
            train(
                recycling, plan, training, out=out, validate=held[: given.cases], validate_every=10**9, seed=given.seed
            )
        )
        found = bundle.card["metrics"]["validation"]
        cycles = " ".join(f"{dice:.4f}" for dice in found["dice_per_step"])
        print(f"{norm}: Dice after cycle 1 … {given.cycles}: {cycles}; the last {found['dice']}", flush=True)


if __name__ == "__main__":
    main()
