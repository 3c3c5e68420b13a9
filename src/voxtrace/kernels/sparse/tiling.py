"""Strips: some rows of every plane that one slice needs, side by side in the cache, and where those planes begin."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from torch import Tensor

from voxtrace.kernels.sparse import loops
from voxtrace.kernels.sparse.active import Words
from voxtrace.kernels.sparse.simd_kernels import TILE_COLUMNS, TILE_ROWS

# Rows of a strip; floats from row to row and from plane to plane.
Layout = tuple[int, int, int]
STRIP_BYTES = 400_000
LINE = loops.CACHE_LINE // loops.FLOAT_BYTES


def strip_layout(slots: int, height: int, width: int) -> Layout:
    """Return rows of a strip, and floats from row to row and from plane to plane.

    As many whole tiles of rows as the cache holds. A plane is an odd number of cache lines, because planes a power of
    two apart would push one another out of the cache.
    """
    row = -(-width // TILE_COLUMNS) * TILE_COLUMNS + LINE
    tiles = max(1, (STRIP_BYTES // (loops.FLOAT_BYTES * row * max(1, slots)) - 2) // TILE_ROWS)
    rows = TILE_ROWS * min(tiles, -(-height // TILE_ROWS))
    lines = -(-(rows + 2) * row // LINE)
    return rows, row, (lines | 1) * LINE


def strip_tasks(batch: int, depth: int, height: int, rows: int) -> Words:
    """Return (window, slice, first row) of every strip, (strips, 3)."""
    axes = np.arange(batch), np.arange(depth), np.arange(0, height, rows)
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def plane_addresses(
    maps: Sequence[Tensor], channel: Words, moves: Words, taps: Words | int = 0
) -> npt.NDArray[np.int64]:
    """Return where planes of ``maps`` (B, Ci, Z, Y, X), contiguous, begin: (B·Z, planes); 0 is outside the volume.

    Column p of slice z is channel ``channel[p]`` of the maps put side by side, at z + taps[p] + moves[p]. A tap that
    leaves the volume is outside, too, wherever the move leads.
    """
    batch, _, depth, height, width = maps[0].shape
    tap = np.arange(depth)[:, None] + taps
    source = tap + moves
    inside = (tap >= 0) & (tap < depth) & (source >= 0) & (source < depth)
    plane, bounds = height * width, np.cumsum([0, *(m.shape[1] for m in maps)])
    addresses = np.zeros((batch, depth, len(channel)), np.int64)
    for map_, (start, stop) in zip(maps, pairwise(bounds), strict=True):
        # Addresses of the planes in this map; those of other maps and outside the volume stay as they are.
        mine = (channel >= start) & (channel < stop)
        place = np.arange(batch)[:, None, None] * (stop - start) + (channel - start)
        where = map_.data_ptr() + loops.FLOAT_BYTES * plane * (place * depth + source)
        addresses = np.where(mine & inside, where, addresses)
    return addresses.reshape(batch * depth, -1)
