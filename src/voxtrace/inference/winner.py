"""Winner: the strongest label of enlarged planes, computed only where several labels can win.

In a tile of a few rows and columns most labels cannot win: those that stay below what a label must reach, and those
whose largest input is below the smallest input of another one. They are left out, which changes nothing, and a label
that is alone in a tile needs no arithmetic at all::

    label 2    0.9  0.8  0.9  0.9        smallest 0.8      wins
    label 1    0.1  0.2  0.1  0.1        largest  0.2      cannot win
    label 0    0.0  0.0  0.0  0.0        largest  0.0      cannot win
"""

from __future__ import annotations

import numpy as np
from numba import njit

_TILE_ROWS, _TILE_COLUMNS = 8, 32  # rows of the input, columns of the output
_ONE = np.float32(1.0)


@njit(nogil=True, cache=True, fastmath={"nsz", "nnan", "contract"})
def choose(below, above, channels, share, y_taps, x_taps, least, labels, lo, hi):  # type: ignore[no-untyped-def]
    """Fill ``labels`` (Y, X), rows lo ≤ y < hi, with the strongest label of two planes (n, Y', X') float32.

    ``channels`` are (names, in_below, in_above), each (K,): label ``names[k]`` is channel ``in_below[k]`` of one and
    ``in_above[k]`` of the other. The planes are mixed (``share`` of ``above``) and enlarged linearly: output row y lies
    between input rows ``rows[y]``, the same one twice or neighbours, of which the second has weight ``row_share[y]``;
    ``y_taps`` are the two, ``x_taps`` the same of columns. The lower label wins a tie. A label that is nowhere at
    ``least`` does not win.
    """
    (names, in_below, in_above), (rows, row_share), (columns, column_share) = channels, y_taps, x_taps
    K, wide, X = len(names), above.shape[2], labels.shape[1]
    tiles = (X + _TILE_COLUMNS - 1) // _TILE_COLUMNS
    low, high = np.empty((2, K, wide), np.float32), np.empty((2, K, wide), np.float32)
    rivals, counts = np.empty((tiles, K), np.int64), np.empty(tiles, np.int64)
    mixed, best = np.empty(wide, np.float32), np.empty((2, _TILE_COLUMNS), np.float32)
    y = lo
    while y < hi:
        first, begin = rows[y, 0], y
        while y < hi and rows[y, 0] < first + _TILE_ROWS:
            y += 1
        last = rows[y - 1, 1]
        n = _bound(above, in_above, first, last, low, high, 0)
        if share != _ONE:
            n = _bound(below, in_below, first, last, low, high, n)
        _find_rivals(low[n % 2], high[n % 2], columns, least, rivals, counts)
        for row in range(begin, y):
            for tile in range(tiles):
                start = tile * _TILE_COLUMNS
                stop = min(start + _TILE_COLUMNS, X)
                labels[row, start:stop] = names[rivals[tile, 0]]
                if counts[tile] > 1:
                    near, into = rivals[tile, : counts[tile]], labels[row, start:stop]
                    y_tap, x_part = (rows[row], row_share[row]), (columns[start:stop], column_share[start:stop])
                    _contest(below, above, channels, share, y_tap, x_part, near, mixed, best, into)


@njit(nogil=True, cache=True, fastmath={"nsz", "nnan", "contract"})
def _bound(plane, channels, first, last, low, high, n):  # type: ignore[no-untyped-def]
    """Find the least and the greatest value of each column over rows first ≤ y ≤ last, and ``n`` rows found before.

    ``low`` and ``high`` (2, K, X'), for K ``channels`` of the plane: the last ones found are at the number of rows,
    which is returned, modulo 2. Two of each, since what is kept in place would be stored lane by lane.
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
def _find_rivals(low, high, columns, least, rivals, counts):  # type: ignore[no-untyped-def]
    """Fill which labels can win in each tile, ascending, and how many they are; label 0 where none can."""
    K = len(low)
    most = np.empty(K, np.float32)
    for tile in range(len(counts)):
        start = tile * _TILE_COLUMNS
        first, last = columns[start, 0], columns[min(start + _TILE_COLUMNS, len(columns)) - 1, 1]
        needed = np.float32(least)
        for k in range(K):
            needed, most[k] = max(needed, low[k, first : last + 1].min()), high[k, first : last + 1].max()
        n, rivals[tile, 0] = 0, 0
        for k in range(K):
            if most[k] >= needed:
                rivals[tile, n] = k
                n += 1
        counts[tile] = n


@njit(nogil=True, cache=True, fastmath={"nsz", "nnan", "contract"})
def _contest(below, above, channels, share, y_tap, x_taps, rivals, mixed, best, labels):  # type: ignore[no-untyped-def]
    """Give a few columns of a row of labels to the strongest of the rivals; see :func:`choose`."""
    (names, in_below, in_above), (rows, row_share), (columns, column_share) = channels, y_tap, x_taps
    a = _ONE - row_share
    for i, k in enumerate(rivals):
        down, up = in_below[k], in_above[k]
        for x in range(columns[0, 0], columns[-1, 1] + 1):
            mixed[x] = a * above[up, rows[0], x] + row_share * above[up, rows[1], x]
            if share != _ONE:
                under = a * below[down, rows[0], x] + row_share * below[down, rows[1], x]
                mixed[x] = under + share * (mixed[x] - under)
        old, new = best[i % 2], best[1 - i % 2]  # two: a value kept in place would be stored lane by lane
        for x in range(len(labels)):
            one, other = mixed[columns[x, 0]], mixed[columns[x, 1]]
            value = one + column_share[x] * (other - one)
            better = i == 0 or value > old[x]
            new[x] = value if better else old[x]
            labels[x] = names[k] if better else labels[x]
