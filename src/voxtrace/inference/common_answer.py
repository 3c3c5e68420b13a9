"""CommonAnswer: the labels of windows that several networks or mirrorings decide together."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from voxtrace.inference.ops_regions import HALF, painted
from voxtrace.inference.score_plane import Average
from voxtrace.inference.step_runner import Logits


class CommonAnswer:
    """Sums the scores of a batch of windows over passes; their mean decides the label of each voxel, as in the result.

    Parameters
    ----------
    average
        What is averaged: probabilities or logits.
    paints
        The value with which each region is painted; () where a network gives each voxel one label.
    """

    def __init__(self, average: Average, paints: Sequence[int]) -> None:
        self._average, self._paints = average, tuple(paints)
        self._sum: Tensor | None = None
        self._passes = 0

    def add(self, logits: Logits) -> None:
        """Add the logits of one pass, mirrored back; they stay as they are."""
        scores = self._scores(logits)
        self._sum = scores.clone() if self._sum is None else self._sum.add_(scores)
        self._passes += 1

    def labels(self) -> Tensor:
        """Return the label of each voxel (B, Z, Y, X), the lower one in a tie; of regions, the painted label."""
        assert self._sum is not None
        if self._paints:
            return painted(self._sum > HALF[self._average] * self._passes, self._paints)
        return self._sum.argmax(1)

    def _scores(self, logits: Logits) -> Tensor:
        if self._average == "logits":
            return logits.values
        return logits.values.sigmoid() if self._paints else (logits.values - logits.normaliser[:, None]).exp_()
