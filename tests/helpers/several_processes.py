"""Train methods in two processes on this machine and print the curve of each: run by Fabric's launcher, with gloo.

python several_processes.py FOLDER METHOD …
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from cases import ball, small_plan
from made_regions import nested, region_plan
from voxtrace.methods import method
from voxtrace.methods.published import meddanet_recipe
from voxtrace.training import train

ITERATIONS, CASES = 8, 4
# Adam's first steps go as far for a gradient of rounding errors as for any other: at small rates little comes of it.
OPTIONS = {"meddanet": {"rate": 1e-4}}
DECISION_RATE = 1e-6  # of Med-DANet's second network, 1e-2 otherwise
WIDE = {"meddanet": (1, 64, 64)}  # whose statistics of a mini-batch of small maps would be of a few numbers


def curve(name: str, out: Path, windows: int, **config: Any) -> list[list[float]]:
    """Return the terms of the loss at each update of so many windows in a process; ``METHOD+regions`` for regions."""
    name, _, regions = name.partition("+")
    m = method(name, **OPTIONS.get(name, {}))
    made, draw = (region_plan, nested) if regions else (small_plan, ball)
    plan = made(iterations=ITERATIONS, batch_dice=True)
    if name in WIDE:
        plan = plan.model_copy(update={"window": (16, *WIDE[name][1:])})
        windows *= 4
    plan = m.adapt(plan).model_copy(update={"batch_size": windows})
    cases = [draw(seed) for seed in range(CASES)]
    with patch.object(meddanet_recipe, "DECISION_RATE", DECISION_RATE):
        run = train(Fixed.of(m), plan, cases, out=out, device="cpu", precision="float32", half=False, **config)
        return [list(progress.loss.values()) for progress in run if progress.loss]


class Fixed:
    """Makes a method that leaves a plan's mini-batch as it is."""

    @staticmethod
    def of(made: Any) -> Any:
        """Return the method, whose ``adapt`` changes nothing more."""

        class Same(type(made)):  # type: ignore[misc]
            def adapt(self, plan: Any) -> Any:
                return plan

        return Same(**made.to_json()["options"])


def main() -> None:
    """Print a JSON object: the curve of each method."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    curves = {name: curve(name, folder / name, windows=2, devices=2) for name in names}
    if (torch.distributed.get_rank() if torch.distributed.is_initialized() else 0) == 0:
        (folder / "curves.json").write_text(json.dumps(curves))


if __name__ == "__main__":
    main()
