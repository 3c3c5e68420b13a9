"""Regions painted from planes that are enlarged linearly: where a score is above a threshold, later over earlier."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from voxtrace.kernels.threads import parallel_for

Array = npt.NDArray[Any]
_ONE = np.float32(1.0)


def upsample_paint(
    below: Array,
    above: Array,
    channels: tuple[Array, Array, Array],
    z_weight: float,
    y_taps: tuple[Array, Array],
    x_taps: tuple[Array, Array],
    threshold: float,
    labels: Array,
) -> None:
    """Fill ``labels`` (Y, X) from the scores of regions on two planes (n, Y', X') float32, mixed and enlarged linearly.

    ``channels`` are (paints, in_below, in_above), each (R,), in the order of painting: where the score of region r is
    above the threshold the label becomes ``paints[r]``, and 0 where that of none is. Planes, weights and taps are those
    of :func:`~voxtrace.kernels.voxelwise.upsample_argmax.upsample_argmax`.
    """
    given = below, above, channels, np.float32(z_weight), y_taps, x_taps, np.float32(threshold), labels
    parallel_for(_paint, len(labels), *given, values=labels.size * max(1, len(channels[0])))


@njit(nogil=True, cache=True, fastmath={"nsz", "nnan", "contract"})
def _paint(lo, hi, below, above, channels, z_weight, y_taps, x_taps, threshold, labels):  # type: ignore[no-untyped-def]
    """Fill rows lo ≤ y < hi of ``labels``; see :func:`upsample_paint`."""
    (paints, in_below, in_above), (rows, row_weight), (columns, column_weight) = channels, y_taps, x_taps
    mixed = np.empty(above.shape[2], np.float32)
    for y in range(lo, hi):
        labels[y] = 0
        first, last, b = rows[y, 0], rows[y, 1], row_weight[y]
        a = _ONE - b
        for r in range(len(paints)):
            up, down = above[in_above[r]], below[in_below[r]]
            for x in range(len(mixed)):
                mixed[x] = a * up[first, x] + b * up[last, x]
                if z_weight != _ONE:
                    under = a * down[first, x] + b * down[last, x]
                    mixed[x] = under + z_weight * (mixed[x] - under)
            for x in range(labels.shape[1]):
                one, other = mixed[columns[x, 0]], mixed[columns[x, 1]]
                if one + column_weight[x] * (other - one) > threshold:
                    labels[y, x] = paints[r]
