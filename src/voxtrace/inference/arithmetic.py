"""Arithmetic: what the engine computes over voxels, as functions for the device at hand."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from voxtrace.inference.plane import Plane
from voxtrace.preprocess import AxisWeights
from voxtrace.volume import Array


class Arithmetic(Protocol):
    """The functions of :mod:`voxtrace.inference.on_cpu`, which :mod:`voxtrace.inference.on_device` answers alike."""

    def assess(self, logits: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return labels, log Σ exp, changed_fraction and entropy of logits (B, K, Z, Y, X)."""
        ...

    def accumulate(
        self,
        sums: Tensor,
        peaks: Array,
        logits: Tensor,
        normaliser: Tensor | None,
        blend: Tensor,
        corner: tuple[int, int, int],
    ) -> None:
        """Add blended probabilities of a window to a ring of planes."""
        ...

    def take(self, sums: Tensor, weights: Tensor, slot: int, labels: Array) -> Plane:
        """Return the probabilities of some labels on one plane of a ring, and forget the sums of all."""
        ...

    def strongest(
        self, below: Plane, above: Plane, share: float, y: AxisWeights, x: AxisWeights, least: float
    ) -> Array:
        """Return the strongest label of two planes, mixed and enlarged."""
        ...


def arithmetic_for(device: str) -> Arithmetic:
    """Return the functions for a device, as torch names it; torch's operators where the compiled loops are off."""
    from voxtrace.inference import on_cpu, on_device
    from voxtrace.kernels.switches import is_enabled

    return on_cpu if device == "cpu" and is_enabled("voxelwise") else on_device
