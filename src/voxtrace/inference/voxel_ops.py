"""VoxelOps: what the engine computes over voxels, as functions for the device at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from voxtrace.inference.score_plane import ScorePlane
from voxtrace.preprocess import AxisWeights
from voxtrace.volume import Array


class VoxelOps(Protocol):
    """The functions of :mod:`voxtrace.inference.ops_numba` and, with the same results, of :mod:`.ops_torch`."""

    def argmax_entropy(self, logits: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
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

    def take_plane(self, sums: Tensor, weights: Tensor, slot: int, labels: Array) -> ScorePlane:
        """Return the probabilities of some labels on one plane of a ring, and set the sums of all labels to 0."""
        ...

    def upsample_argmax(
        self, below: ScorePlane, above: ScorePlane, z_weight: float, y: AxisWeights, x: AxisWeights, least: float
    ) -> Array:
        """Return the label with the largest score between two planes, interpolated to the input's grid."""
        ...

    def upsample_paint(
        self,
        below: ScorePlane,
        above: ScorePlane,
        z_weight: float,
        y: AxisWeights,
        x: AxisWeights,
        paints: Sequence[int],
        threshold: float,
    ) -> Array:
        """Return the value of the last region above a threshold between two planes, on the input's grid."""
        ...
