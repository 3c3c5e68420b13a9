"""Training configuration: everything about a run that is neither the method's nor the plan's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric

from voxtrace.runtime.torch import choose_device, choose_precision

FABRIC_PRECISION: dict[str, Any] = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}


@dataclass(frozen=True)
class TrainConfig:
    """How a run is done.

    Attributes
    ----------
    seed
        Everything random follows from it.
    device, precision
        See :func:`voxtrace.runtime.open_runtime`.
    rate
        Learning rate in place of every phase's own; None takes the phase's, and a tenth of it in fine-tuning.
    minutes
        Time for the updates; training ends when it is spent, with the learning rate at its end. None is no limit.
    checkpoint_every, validate_every
        Iterations between two; None validates ten times a phase, on ``quick_cases`` cases.
    workers
        Processes that augment; 0 augments in this one. The weights do not depend on it.
    anonymous_names
        Call cases ``case_0001`` and up in the bundle's card, where their files may be named after patients.
    half
        Store the bundle's weights as float16, if all of them fit (none is beyond ±65,504).
    gradient_bound
        Training stops when the norm of the gradient exceeds this many times the norm that the phase clips to
        (``Optimiser.clip_norm``): at 1.2 million where that is 12. Clipping would hide such a gradient: the weights
        would follow its direction, although it comes from an overflow or a faulty kernel and not from the data. The
        largest norm in healthy trainings of the six methods is 1,560, in E2ENet's second update on 16³ voxels; all
        others are below 500, most below 20.
    """

    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    rate: float | None = None
    minutes: float | None = None
    checkpoint_every: int = 250
    validate_every: int | None = None
    quick_cases: int = 8
    workers: int = 0
    anonymous_names: bool = False
    half: bool = True
    gradient_bound: float = 1e5


def open_fabric(config: TrainConfig) -> tuple[Fabric, str]:
    """Return Lightning's Fabric for a configuration, and the precision it computes in."""
    device, _ = choose_device(config.device)
    precision, _ = choose_precision(config.precision, device)
    devices = 1 if device.index is None else [device.index]
    return Fabric(accelerator=device.type, devices=devices, precision=FABRIC_PRECISION[precision]), precision


def memory_layout(device: str, precision: str) -> torch.memory_format:
    """Return the memory format in which 3-D convolutions are fastest: channels last for bfloat16 on a CPU."""
    return torch.channels_last_3d if (device, precision) == ("cpu", "bfloat16") else torch.contiguous_format
