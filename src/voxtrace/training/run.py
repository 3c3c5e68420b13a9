"""Run: one training's folder, network and clock.

::

    <out>.work/
    ├── run.json         what is being trained; resuming with anything else is refused
    ├── cases/00000 …    prepared cases
    └── checkpoint.pt    network, optimiser and iteration

The folder lies beside the bundle that is being made and goes when the bundle is written.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from voxtrace.bundle import Bundle, load, save
from voxtrace.errors import Cancelled, OutputError
from voxtrace.method import Method
from voxtrace.plan import Plan
from voxtrace.runtime.arithmetic import ArithmeticCheck
from voxtrace.training.checkpoint import Checkpoint, record_run, save_checkpoint
from voxtrace.training.prepared import Prepared, prepare
from voxtrace.training.recipe import Recipe, TrainProgress, memory_layout, open_fabric
from voxtrace.volume import Case


class Run:
    """What stays the same while a method is trained, and the curve that grows."""

    def __init__(self, method: Method, plan: Plan, recipe: Recipe, out: Path, cancel: Callable[[], bool]) -> None:
        self.method, self.plan, self.recipe, self.out, self.cancel = method, plan, recipe, out, cancel
        self.work = out.with_name(f"{out.name}.work")
        self.phases = method.phases(plan)
        self.total = sum(phase.iterations for phase in self.phases)
        self.fabric, precision = open_fabric(recipe)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.network = method.build(plan)
        self.arithmetic = ArithmeticCheck(precision, backward=True)
        self.layout = memory_layout(self.device, precision)
        lay_out(self.network, self.layout)
        self.history: list[dict[str, float]] = []
        self._began = time.monotonic()

    @property
    def device(self) -> str:
        """The kind of device: ``cpu`` or ``cuda``."""
        return str(self.fabric.device.type)

    @property
    def seconds(self) -> float:
        """Seconds since the run began or was resumed."""
        return time.monotonic() - self._began

    def claim(self, resume: bool, n_cases: int, initial: Bundle | None) -> None:
        """Make the run's folder, or refuse to disturb what is there."""
        if self.out.is_file() or (self.out.is_dir() and any(self.out.iterdir())):
            raise OutputError(f"{self.out} exists already; choose another output or move it away.")
        if self.work.exists() and not resume:
            raise OutputError(f"an unfinished run lies in {self.work}; resume it, or delete that folder.")
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.work} cannot be made ({error.strerror}); choose another output.") from error
        record_run(
            self.work,
            {
                "method": self.method.to_json(),
                "plan": json.loads(self.plan.model_dump_json()),
                "seed": self.recipe.seed,
                "cases": n_cases,
                "initial": initial.digest if initial else "",
            },
        )

    def prepare(self, cases: Sequence[Case]) -> Generator[TrainProgress, None, list[Prepared]]:
        """Yield progress while every case is brought to the network grid."""
        prepared: list[Prepared] = []
        for case in prepare(cases, self.plan, self.work / "cases", self.recipe.seed):
            prepared.append(case)
            yield TrainProgress("prepare", len(prepared), len(cases), seconds=self.seconds)
            if self.cancel():
                raise Cancelled(f"stopped while preparing cases; resume continues after case {len(prepared)}.")
        return prepared

    def note(self, done: int, terms: dict[str, float], dice: float | None) -> None:
        """Keep about a hundred points of the curve, and every validation."""
        if dice is not None or done % max(1, self.total // 100) == 0:
            point = {"iteration": float(done), **{name: round(value, 4) for name, value in terms.items()}}
            self.history.append(point if dice is None else {**point, "validation_dice": round(dice, 4)})

    def save(self, phase: int, iteration: int, optimizer: Any) -> None:
        """Write a checkpoint."""
        network = {name: tensor.cpu() for name, tensor in self.network.state_dict().items()}
        save_checkpoint(self.work, Checkpoint(phase, iteration, network, optimizer.state_dict(), self.history))

    def bundle(self) -> Bundle:
        """Return the network as it is now, as a bundle without a card."""
        return Bundle(self.method, self.plan, self.network.eval(), {"mirror": bool(self.plan.mirror_axes)})

    def finish(self, card: dict[str, Any]) -> Bundle:
        """Write the bundle, remove the run's folder, and return the bundle as it was written."""
        save(replace(self.bundle(), network=self.network.cpu(), card=card), self.out, half=self.recipe.half)
        shutil.rmtree(self.work, ignore_errors=True)
        return load(self.out)


def lay_out(network: nn.Module, layout: torch.memory_format) -> None:
    """Give kernels the memory format of the maps that they meet; inside a network, slices may be maps without Z."""
    flat = torch.channels_last if layout is torch.channels_last_3d else layout
    for kernel in network.parameters():
        if kernel.ndim in (4, 5):
            kernel.data = kernel.data.contiguous(memory_format=layout if kernel.ndim == 5 else flat)
