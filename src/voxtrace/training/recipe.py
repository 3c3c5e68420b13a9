"""What the loop needs beside method and plan, and how it tells where it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric

from voxtrace.runtime.torch import choose_device, choose_precision

MOMENTUM = 0.99
WEIGHT_DECAY = 3e-5
CLIP_NORM = 12.0
RATE = 0.01
FINE_TUNING_RATE = 0.001
FABRIC_PRECISION: dict[str, Any] = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}


@dataclass(frozen=True)
class Recipe:
    """How a run is done.

    Attributes
    ----------
    seed
        Everything random follows from it.
    device, precision
        See :func:`voxtrace.runtime.open_runtime`.
    rate
        First learning rate; None is 0.01 from scratch and 0.001 in fine-tuning. It falls as (1 − progress)^0.9.
    checkpoint_every, validate_every
        Iterations between two; None validates ten times a phase, on ``quick_cases`` cases.
    workers
        Processes that augment; 0 augments in this one. The weights do not depend on it.
    half
        Store the bundle's weights as float16.
    """

    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    rate: float | None = None
    checkpoint_every: int = 250
    validate_every: int | None = None
    quick_cases: int = 8
    workers: int = 0
    half: bool = True


@dataclass(frozen=True)
class TrainProgress:
    """Where a run is.

    ``phase`` is ``"prepare"``, a phase of the method, ``"validate"`` or ``"done"``; ``iteration`` of ``total`` are
    done in it; ``loss`` holds the terms of the last iteration; ``validation_dice`` the mean foreground Dice of a few
    whole cases where it was just measured; ``seconds`` count from the start of this process's part of the run.
    """

    phase: str
    iteration: int
    total: int
    loss: dict[str, float] = field(default_factory=dict)
    rate: float = 0.0
    validation_dice: float | None = None
    seconds: float = 0.0
    message: str = ""


def poly_rate(first: float, progress: float) -> float:
    """Return the learning rate at a fraction of the phase: ``first · (1 − progress)^0.9``, as nnU-Net does.

    Examples
    --------
    >>> round(poly_rate(0.01, 0.25), 9)
    0.007718895
    """
    return float(first * (1.0 - progress) ** 0.9)


def open_fabric(recipe: Recipe) -> tuple[Fabric, str]:
    """Return the distributed engine for a recipe, and the precision it computes in."""
    device, _ = choose_device(recipe.device)
    precision, _ = choose_precision(recipe.precision, device)
    devices = 1 if device.index is None else [device.index]
    return Fabric(accelerator=device.type, devices=devices, precision=FABRIC_PRECISION[precision]), precision


def memory_layout(device: str, precision: str) -> torch.memory_format:
    """Return how 3D maps lie in memory: channels last where convolutions are faster so, bfloat16 on a CPU."""
    return torch.channels_last_3d if (device, precision) == ("cpu", "bfloat16") else torch.contiguous_format
