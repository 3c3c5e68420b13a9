"""Which images lie at the same position: one tolerance for telling time points apart and for stacking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxtrace.io.dicom.slices import Slice
from voxtrace.volume import Array

SAME_MM = 1e-2
_SAME_FRACTION = 0.05  # of the slice distance
ROUNDING_MM = 0.1
_EPSILON_MM = 1e-6


def same_mm(gaps_mm: Array) -> float:
    """Return how far apart images may lie at the same position, given the gaps between all images in order.

    A twentieth of the slice distance. Gaps of up to 0.1 mm count as slice distances only where there are no larger
    ones: time points whose positions were rounded each on its own lie that far apart.
    """
    wide = gaps_mm[gaps_mm > ROUNDING_MM + _EPSILON_MM]
    apart = wide if len(wide) else gaps_mm[gaps_mm > SAME_MM]
    return max(SAME_MM, _SAME_FRACTION * float(np.median(apart)) + _EPSILON_MM) if len(apart) else SAME_MM


def positions_of(slices: Sequence[Slice]) -> list[int]:
    """Return the number of the position of each slice along the normal; equal numbers are the same position."""
    normal = slices[0].normal
    depths = np.asarray([float(np.dot(normal, s.position_mm)) for s in slices])
    order = np.argsort(depths, kind="stable")
    gaps = np.diff(depths[order])
    numbers = np.empty(len(slices), int)
    numbers[order] = np.concatenate([[0], np.cumsum(gaps > same_mm(gaps))])
    found: list[int] = numbers.tolist()
    return found


def are_rounded(positions_mm: Array) -> bool:
    """Return whether all positions (N, 3) were rounded to 0.1 mm."""
    tenths = positions_mm / ROUNDING_MM
    return bool(np.abs(tenths - np.round(tenths)).max() < 1e-3)
