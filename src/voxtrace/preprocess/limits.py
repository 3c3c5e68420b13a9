"""Limits: the range of the input, which a spline must not overshoot.

At a sharp edge a cubic spline overshoots the values on both sides. nnU-Net clips resampled values to the range of the
input: of the whole channel, or, where values are repeated along one axis, of each slice across that axis.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from voxtrace.preprocess.axis import AxisWeights, Float32


@dataclass(frozen=True, eq=False)
class Limits:
    """Least and greatest values, each (C, 1, 1), or (C, Y, 1) or (C, 1, X) where each row or column has its own."""

    low: Float32
    high: Float32

    def clip(self, plane: Float32) -> Float32:
        """Return the plane (C, Y, X) with every value brought into the limits; the same array."""
        return np.clip(plane, self.low, self.high, out=plane)

    def resampled(self, weights: AxisWeights, axis: int) -> Limits:
        """Return the limits of rows (axis 1) or columns (axis 2) that were repeated."""
        return Limits(weights.apply(self.low, axis), weights.apply(self.high, axis))


def limits(planes: Iterable[Float32], repeated: int | None) -> Limits:
    """Return the limits of planes (C, Y, X): of all together, or of each index along the axis that is repeated."""
    across = tuple(axis for axis in (1, 2) if axis != repeated)
    lows, highs = None, None
    for plane in planes:
        low, high = plane.min(across, keepdims=True), plane.max(across, keepdims=True)
        lows = low if lows is None else np.minimum(lows, low)
        highs = high if highs is None else np.maximum(highs, high)
    if lows is None or highs is None:
        raise ValueError("no plane has no limits")
    return Limits(lows, highs)
