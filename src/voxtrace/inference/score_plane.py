"""ScorePlane: averages on one plane of the network grid, for the labels that may win on it or next to it.

Most labels of a model are organs that lie elsewhere. A label whose probability reaches 1/K neither on a plane nor on
the next one cannot win between the two, so it is not divided by the weights, interpolated or compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from voxtrace.volume import Array

Average = Literal["probabilities", "logits"]

_ROUNDING = 1e-4


@dataclass(frozen=True)
class ScorePlane:
    """Scores (S, n, Y, X) float32 of n labels, given in ``labels`` (n,), ascending.

    Every other label stays below 1/K on this plane and its neighbours, so it cannot be the strongest there.

    ``maps`` (S, M, Y, X) float32 are the method's scalar maps, None where it has none.
    """

    scores: Tensor
    labels: Array
    maps: Tensor | None = None

    def positions(self, labels: Array) -> Array:
        """Return the positions (n,) int64 of labels, all of them on the plane, along the second axis of scores."""
        return np.searchsorted(self.labels, labels)


def common_labels(one: ScorePlane, other: ScorePlane) -> Array:
    """Return the labels that are on both planes, ascending."""
    return one.labels[np.isin(one.labels, other.labels)]


def winning_threshold(n_labels: int, average: Average) -> float:
    """Return the score that a label must reach at some voxel to win there; of 2 for a region, that is one half."""
    return (1.0 - _ROUNDING) / n_labels if average == "probabilities" else -math.inf


def label_type(n_labels: int) -> Any:
    """Return the smallest type that holds the labels."""
    return np.uint8 if n_labels <= 256 else np.uint16
