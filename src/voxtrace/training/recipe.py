"""What the loop needs beside method and plan, and how it tells where it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from voxtrace.method import Optimiser
from voxtrace.runtime.torch import choose_device, choose_precision

FINE_TUNING_SHARE = 0.1  # of a phase's learning rate
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
        Learning rate in place of every phase's own; None takes the phase's, and a tenth of it in fine-tuning.
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


def make_optimiser(weights: list[nn.Parameter], how: Optimiser) -> torch.optim.Optimizer:
    """Return torch's optimiser for what a phase asks for."""
    if how.kind == "sgd":
        nesterov = how.momentum > 0
        return torch.optim.SGD(
            weights, lr=how.rate, momentum=how.momentum, nesterov=nesterov, weight_decay=how.weight_decay
        )
    kind = torch.optim.Adam if how.kind == "adam" else torch.optim.AdamW
    return kind(weights, lr=how.rate, betas=how.betas, weight_decay=how.weight_decay, amsgrad=how.amsgrad)


def open_fabric(recipe: Recipe) -> tuple[Fabric, str]:
    """Return the distributed engine for a recipe, and the precision it computes in."""
    device, _ = choose_device(recipe.device)
    precision, _ = choose_precision(recipe.precision, device)
    devices = 1 if device.index is None else [device.index]
    return Fabric(accelerator=device.type, devices=devices, precision=FABRIC_PRECISION[precision]), precision


def memory_layout(device: str, precision: str) -> torch.memory_format:
    """Return how 3D maps lie in memory: channels last where convolutions are faster so, bfloat16 on a CPU."""
    return torch.channels_last_3d if (device, precision) == ("cpu", "bfloat16") else torch.contiguous_format
