"""torch's optimiser for what a phase asks for; a new kind of optimiser is added here and in ``method.Optimiser``."""

from __future__ import annotations

import torch
from torch import nn

from voxtrace.errors import MethodError
from voxtrace.method import Optimiser


def make_optimiser(weights: list[nn.Parameter], settings: Optimiser) -> torch.optim.Optimizer:
    """Return torch's optimiser of these weights."""
    if settings.kind == "sgd":
        return torch.optim.SGD(
            weights,
            lr=settings.rate,
            momentum=settings.momentum,
            nesterov=settings.momentum > 0,
            weight_decay=settings.weight_decay,
        )
    kinds: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    if settings.kind not in kinds:
        raise MethodError(f"optimiser {settings.kind!r} is unknown; use sgd, {', '.join(kinds)}.")
    return kinds[settings.kind](
        weights,
        lr=settings.rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        amsgrad=settings.amsgrad,
    )
