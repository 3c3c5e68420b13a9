"""Plane: what is averaged on one plane of the network grid, for the labels that may win on it or next to it.

Most labels of a model are organs that lie elsewhere. A label whose probability reaches 1/K nowhere on a plane nor on
the next one cannot win between the two, so it is neither divided by the weights nor mixed nor compared.
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
class Plane:
    """Scores (S, n, Y, X) float32 of n labels, which ``labels`` (n,) names, ascending; others win nowhere.

    ``maps`` (S, M, Y, X) float32 are the method's scalar maps, None where it has none.
    """

    scores: Tensor
    labels: Array
    maps: Tensor | None = None

    def places(self, labels: Array) -> Array:
        """Return where labels, all of them on the plane, are among its own, (n,) int64."""
        return np.searchsorted(self.labels, labels)


def common_labels(one: Plane, other: Plane) -> Array:
    """Return the labels that are on both planes, ascending."""
    return one.labels[np.isin(one.labels, other.labels)]


def least_to_win(n_labels: int, average: Average) -> float:
    """Return what a label must reach somewhere to win there."""
    return (1.0 - _ROUNDING) / n_labels if average == "probabilities" else -math.inf


def label_type(n_labels: int) -> Any:
    """Return the smallest type that holds the labels."""
    return np.uint8 if n_labels <= 256 else np.uint16
