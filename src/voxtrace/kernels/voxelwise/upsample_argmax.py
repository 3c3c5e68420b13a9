"""The strongest label of linearly enlarged planes, computed only where several labels can win.

In a tile of a few rows and columns most labels cannot win: those below the least value a label must reach, and those
whose largest input is below the smallest input of another label. Leaving them out does not change the result, and a
tile with one candidate needs no arithmetic::

    label 2    0.9  0.8  0.9  0.9        smallest 0.8      wins
    label 1    0.1  0.2  0.1  0.1        largest  0.2      cannot win
    label 0    0.0  0.0  0.0  0.0        largest  0.0      cannot win
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from voxtrace.kernels.threads import parallel_for

Array = npt.NDArray[Any]
# Rows of the input, columns of the output.
_TILE_ROWS, _TILE_COLUMNS = 8, 32
_ONE = np.float32(1.0)


def upsample_argmax(
    below: Array,
    above: Array,
    channels: tuple[Array, Array, Array],
    z_weight: float,
    y_taps: tuple[Array, Array],
    x_taps: tuple[Array, Array],
    least: float,
    labels: Array,
) -> None:
    """Fill ``labels`` (Y, X) with the strongest label of two planes (n, Y', X') float32, mixed and enlarged linearly.

    ``channels`` are (names, in_below, in_above), each (K,): label ``names[k]`` is channel ``in_below[k]`` of one plane
    and ``in_above[k]`` of the other, which has the weight ``z_weight``. ``y_taps`` are (rows, row_weight): output row y
    lies between input rows ``rows[y]``, the same one twice or neighbours, of which the second has ``row_weight[y]``;
    ``x_taps`` the same of columns. The lower label wins a tie; a label that is nowhere at ``least`` does not win.
    """
    given = below, above, channels, np.float32(z_weight), y_taps, x_taps, np.float32(least), labels
    parallel_for(_choose, len(labels), *given, values=labels.size * len(channels[0]))


@njit(nogil=True, cache=True, fastmath={"nsz", "nnan", "contract"})
def _choose(lo, hi, below, above, channels, z_weight, y_taps, x_taps, least, labels):  # type: ignore[no-untyped-def]
    """Fill rows lo ≤ y < hi of ``labels``; see :func:`upsample_argmax`."""
    (names, in_below, in_above), (rows, row_weight), (columns, column_weight) = channels, y_taps, x_taps
    K, wide, X = len(names), above.shape[2], labels.shape[1]
    tiles = (X + _TILE_COLUMNS - 1) // _TILE_COLUMNS
    low, high = np.empty((2, K, wide), np.float32), np.empty((2, K, wide), np.float32)
    candidates, counts = np.empty((tiles, K), np.int64), np.empty(tiles, np.int64)
    mixed, best = np.empty(wide, np.float32), np.empty((2, _TILE_COLUMNS), np.float32)
    y = lo
    while y < hi:
        first, begin = rows[y, 0], y
        while y < hi and rows[y, 0] < first + _TILE_ROWS:
            y += 1
        last = rows[y - 1, 1]
        n = _bound(above, in_above, first, last, low, high, 0)
        if z_weight != _ONE:
            n = _bound(below, in_below, first, last, low, high, n)
        _find_candidates(low[n % 2], high[n % 2], columns, least, candidates, counts)
        for row in range(begin, y):
            for tile in range(tiles):
                start = tile * _TILE_COLUMNS
                stop = min(start + _TILE_COLUMNS, X)
                labels[row, start:stop] = names[candidates[tile, 0]]
                if counts[tile] > 1:
                    near, into = candidates[tile, : counts[tile]], labels[row, start:stop]
                    y_tap, x_part = (rows[row], row_weight[row]), (columns[start:stop], column_weight[start:stop])
                    _argmax_tile(below, above, channels, z_weight, y_tap, x_part, near, mixed, best, into)


@njit(nogil=True, cache=True, fastmath={"nsz", "nnan", "contract"})
def _bound(plane, channels, first, last, low, high, n):  # type: ignore[no-untyped-def]
    """Find the least and the greatest value of each column over rows first ≤ y ≤ last, and ``n`` rows found before.

    ``low`` and ``high`` (2, K, X'), for K ``channels`` of the plane: the last ones found are at the number of rows,
    which is returned, modulo 2. There are two of each because LLVM stores a value that is kept in place lane by lane.
    """
    for y in range(first, last + 1):
        for k, channel in enumerate(channels):
            row = plane[channel, y]
            if n == 0:
                low[1, k], high[1, k] = row, row
            else:
                old, new = n % 2, 1 - n % 2
                for x in range(len(row)):
                    low[new, k, x] = min(low[old, k, x], row[x])
                for x in range(len(row)):
                    high[new, k, x] = max(high[old, k, x], row[x])
        n += 1
    return n


@njit(nogil=True, cache=True, fastmath={"nsz", "nnan", "contract", "reassoc"})
def _find_candidates(low, high, columns, least, candidates, counts):  # type: ignore[no-untyped-def]
    """Fill which labels can win in each tile, ascending, and how many they are; label 0 where none can."""
    K = len(low)
    most = np.empty(K, np.float32)
    for tile in range(len(counts)):
        start = tile * _TILE_COLUMNS
        first, last = columns[start, 0], columns[min(start + _TILE_COLUMNS, len(columns)) - 1, 1]
        needed = np.float32(least)
        for k in range(K):
            needed, most[k] = max(needed, low[k, first : last + 1].min()), high[k, first : last + 1].max()
        n, candidates[tile, 0] = 0, 0
        for k in range(K):
            if most[k] >= needed:
                candidates[tile, n] = k
                n += 1
        counts[tile] = n


@njit(nogil=True, cache=True, fastmath={"nsz", "nnan", "contract"})
def _argmax_tile(below, above, channels, z_weight, y_tap, x_taps, candidates, mixed, best, labels):  # type: ignore[no-untyped-def]
    """Give a few columns of a row of labels to the strongest of the candidates; see :func:`upsample_argmax`."""
    (names, in_below, in_above), (rows, row_weight), (columns, column_weight) = channels, y_tap, x_taps
    a = _ONE - row_weight
    for i, k in enumerate(candidates):
        down, up = in_below[k], in_above[k]
        for x in range(columns[0, 0], columns[-1, 1] + 1):
            mixed[x] = a * above[up, rows[0], x] + row_weight * above[up, rows[1], x]
            if z_weight != _ONE:
                under = a * below[down, rows[0], x] + row_weight * below[down, rows[1], x]
                mixed[x] = under + z_weight * (mixed[x] - under)
        # Two rows of best values in turn: LLVM stores a value that is kept in place lane by lane.
        old, new = best[i % 2], best[1 - i % 2]
        for x in range(len(labels)):
            one, other = mixed[columns[x, 0]], mixed[columns[x, 1]]
            value = one + column_weight[x] * (other - one)
            better = i == 0 or value > old[x]
            new[x] = value if better else old[x]
            labels[x] = names[k] if better else labels[x]
