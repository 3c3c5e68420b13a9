"""Divergence: a training stops as soon as a loss, a gradient or a weight is no longer a usable number.

=====================  =========================================  ============================================
what                   when                                       stops if
=====================  =========================================  ============================================
terms of the loss      each iteration, before the update          nan or inf
norm of the gradient   each iteration, before the update          nan, inf, or more than the bound
norm of the weights    each iteration, after the update           nan or inf
every stored number    before a checkpoint or a bundle is         nan or inf
                       written, and when one is read
=====================  =========================================  ============================================

With float16 the loss is scaled so that small gradients do not vanish, and the scaler skips an update whose scaled
gradient overflows and halves the scale. That is how it finds the scale, so the training goes on; it stops when a
gradient is not finite although the scale is below 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from voxtrace.errors import EngineError

LEAST_SCALE = 1.0


@dataclass(frozen=True)
class DivergenceCheck:
    """The tests of one iteration; each raises EngineError with what was found and what to do.

    Attributes
    ----------
    where
        E.g. ``"iteration 12 of train"``.
    bound
        Largest norm of the gradient, before clipping, that is followed.
    remedy
        A sentence: what to do.
    scaler
        float16's gradient scaler; None in other precisions.
    """

    where: str
    bound: float
    remedy: str
    scaler: torch.amp.GradScaler | None = None

    def before_update(self, terms: Mapping[str, float], norm: float) -> None:
        """Check the terms of the loss and the norm of the gradient."""
        for name, value in terms.items():
            if not math.isfinite(value):
                raise self._diverged(f"the loss ({name}) is {value}")
        if not math.isfinite(norm) and not self._update_is_skipped():
            raise self._diverged(f"the norm of the gradient is {norm}")
        if math.isfinite(norm) and norm > self.bound:
            raise self._diverged(f"the norm of the gradient is {norm:.3g}, more than {self.bound:.3g},")

    def after_update(self, weights: Iterable[nn.Parameter]) -> None:
        """Check the norm of the weights that the update changed."""
        norm = float(torch.nn.utils.get_total_norm([weight.detach() for weight in weights]))
        if not math.isfinite(norm):
            raise self._diverged(f"the norm of the weights is {norm}")

    def _update_is_skipped(self) -> bool:
        return self.scaler is not None and self.scaler.get_scale() >= LEAST_SCALE

    def _diverged(self, found: str) -> EngineError:
        return EngineError(f"{found} at {self.where}. {self.remedy}")
