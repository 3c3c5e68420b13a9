"""The engine's loops over voxels for regions that overlap: every logit is an answer of its own (a sigmoid).

A label map is painted: each region whose probability is above one half, in the plan's order, later over earlier
(:mod:`voxtrace.plan.regions`). The entropy of a voxel is that of independent yes-or-no answers, the sum over regions of
−p·log p − (1 − p)·log(1 − p).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from voxtrace.inference.score_plane import Average, ScorePlane
from voxtrace.inference.voxel_ops import VoxelOps
from voxtrace.preprocess import AxisWeights
from voxtrace.volume import Array

HALF: dict[Average, float] = {"probabilities": 0.5, "logits": 0.0}  # a region is found above it


@dataclass(frozen=True)
class RegionOps:
    """The functions of ``one_label`` for regions; "labels" of planes and sums are places of regions, in their order.

    Attributes
    ----------
    one_label
        Functions for the device, of networks that give each voxel one label.
    paints
        The value with which each region is painted.
    average
        What is averaged.
    """

    one_label: VoxelOps
    paints: tuple[int, ...]
    average: Average

    def argmax_entropy(self, logits: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return painted labels (B, Z, Y, X) int64, 0 for log Σ exp, changed_fraction and entropy (both (B,)).

        Logits are (B, R, Z, Y, X).
        """
        labels = painted(logits > 0, self.paints)
        differs = labels != (0 if before is None else before)
        away = logits.abs()  # the entropy of p is that of 1 − p
        entropy = (softplus(-away) + away * torch.sigmoid(-away)).sum(1)
        changed, uncertain = (x.flatten(1).float().mean(1) for x in (differs, entropy))
        return labels, torch.zeros_like(entropy), changed, uncertain

    def accumulate(
        self,
        sums: Tensor,
        peaks: Array,
        logits: Tensor,
        normaliser: Tensor | None,
        blend: Tensor,
        corner: tuple[int, int, int],
    ) -> None:
        """Add blend·sigmoid(logits) of a window to a ring of planes; without ``normaliser``, blend·logits."""
        scores = logits if normaliser is None else logsigmoid(logits)
        self.one_label.accumulate(sums, peaks, scores, normaliser, blend, corner)

    def take_plane(self, sums: Tensor, weights: Tensor, slot: int, labels: Array) -> ScorePlane:
        """Return the averages of some regions on one plane of a ring, 0 where no window was; set all sums to 0."""
        plane = self.one_label.take_plane(sums, weights, slot, labels)
        plane.scores[:, :, weights[slot] <= 0] = 0.0  # no region, as there is no background to be
        return plane

    def upsample_argmax(
        self, below: ScorePlane, above: ScorePlane, z_weight: float, y: AxisWeights, x: AxisWeights, least: float
    ) -> Array:
        """Return the label (S, Y, X) painted between two planes, interpolated to the input's grid."""
        return self.one_label.upsample_paint(below, above, z_weight, y, x, self.paints, HALF[self.average])

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
        """As the function of ``one_label``."""
        return self.one_label.upsample_paint(below, above, z_weight, y, x, paints, threshold)


def painted(found: Tensor, paints: Sequence[int]) -> Tensor:
    """Return labels (B, Z, Y, X) int64 of regions (B, R, Z, Y, X) bool: of those found the last one's value, else 0."""
    labels = torch.zeros((len(found), *found.shape[2:]), dtype=torch.int64, device=found.device)
    for place, value in enumerate(paints):
        labels.masked_fill_(found[:, place], value)
    return labels
