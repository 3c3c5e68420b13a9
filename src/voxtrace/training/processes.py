"""The processes that train one network together, a device each: which one this is, and what they must agree on."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import torch
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, distributed

from voxtrace.errors import UsageError

LONGEST_WAIT = timedelta(days=7)  # of the others, while the first prepares cases or validates


class Processes:
    """The processes of a run, as Fabric started them or ``torchrun`` did; alone there is one.

    Attributes
    ----------
    number, count
        Of this process, from 0, and of all.
    """

    def __init__(self, fabric: Any) -> None:
        self._fabric = fabric
        self.number, self.count = int(fabric.global_rank), int(fabric.world_size)

    @property
    def first(self) -> bool:
        """Whether this process writes, validates and speaks."""
        return self.number == 0

    def wait(self) -> None:
        """Return when every process came this far."""
        if self.count > 1:
            self._fabric.barrier()

    def agree(self, stop: bool, fraction: float) -> tuple[bool, float]:
        """Return whether any process wants to stop, and the largest fraction of time spent, the same everywhere."""
        if self.count == 1:
            return stop, fraction
        told = torch.tensor([float(stop), fraction], dtype=torch.float32, device=self._fabric.device)
        distributed.all_reduce(told, op=distributed.ReduceOp.MAX)
        return bool(told[0] > 0), float(told[1])

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes."""
        if self.count == 1:
            return values
        summed = values.clone()
        distributed.all_reduce(summed)
        return summed / self.count


def started_from_outside() -> tuple[int, int] | None:
    """Return devices a machine and machines, where ``torchrun`` started this process; None elsewhere."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    world, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    return local, max(1, world // local)


def several(kind: str, devices: int, nodes: int) -> dict[str, Any]:
    """Return Fabric's arguments for so many devices of a kind on so many machines.

    Raises
    ------
    UsageError
        There are not as many on this machine.
    """
    if kind == "cuda" and devices > torch.cuda.device_count():
        raise UsageError(
            f"{devices} devices were asked for, and this machine has {torch.cuda.device_count()}; ask for fewer with "
            "--devices."
        )
    backend = "nccl" if kind == "cuda" else "gloo"
    strategy = DDPStrategy(
        process_group_backend=backend,
        timeout=LONGEST_WAIT,
        find_unused_parameters=True,  # heads without weight, networks that left
        broadcast_buffers=False,  # masks and statistics are the same everywhere
    )
    return {"devices": devices, "num_nodes": nodes, "strategy": strategy}
