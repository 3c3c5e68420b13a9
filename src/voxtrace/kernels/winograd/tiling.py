"""Sizes and addresses of what Winograd convolution holds while it computes a strip, some rows of the output."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba import njit

from voxtrace.kernels.winograd.loops import LINE, after, scratch
from voxtrace.kernels.winograd.simd_kernels import COLUMNS, ROWS

TILE = 4  # outputs along an axis
# Points along an axis, with stride 1 and 2.
SIX, NINE = 6, 9


class Strip(NamedTuple):
    """What a strip holds while it is computed: sizes, strides in floats, addresses.

    Attributes
    ----------
    points_z, points
        Points along Z, and along Y and X.
    rows, across, tiles
        Tiles along Y and X, and all of them, rounded up to whole products.
    n_in, wide
        Channels that are read, and written, the latter in whole columns.
    packed, row, plane
        (points_z, rows that are read, voxels, Cin), at the points along Z.
    transformed_y
        (rows, points, voxels, Cin), at the points along Y.
    inputs, point_in
        (points, tiles, Cin), at the points along X.
    products, point_out
        (points, tiles, wide).
    lines, line, slab
        (points_z, rows, points, voxels, wide), back from the points along X.
    """

    points_z: int
    points: int
    rows: int
    across: int
    tiles: int
    n_in: int
    wide: int
    packed: int
    row: int
    plane: int
    transformed_y: int
    inputs: int
    point_in: int
    products: int
    point_out: int
    lines: int
    line: int
    slab: int


@njit(nogil=True, cache=True)
def padded_stride(floats: int) -> int:
    """Return the stride for blocks of so many floats: an odd number of cache lines, to avoid set conflicts."""
    return int((-(-floats // LINE) | 1) * LINE)


@njit(nogil=True, cache=True)
def span_of(points: int) -> int:
    """Return the distance in input voxels between neighbouring tiles."""
    return 1 if points == 1 else TILE if points == SIX else 2 * TILE


@njit(nogil=True, cache=True)
def allocate(n_in: int, weights: Any, rows: int, width: int) -> Any:
    """Return the layout of a strip of so many rows of tiles, and the memory it lies in."""
    points_z, points, wide = weights.shape[0], weights.shape[1], weights.shape[3] * COLUMNS
    across = -(-width // TILE)
    tiles = -(-across * rows // ROWS) * ROWS
    span = span_of(points)
    row, line = (span * across + points - span) * n_in, padded_stride(TILE * across * wide)
    plane, slab = padded_stride((span * rows + points - span) * row), padded_stride(points * rows * line)
    point_in, point_out = padded_stride(tiles * n_in), padded_stride(tiles * wide)
    floats = points_z * (plane + slab) + points * (rows * row + point_in + point_out)
    memory, packed = scratch(floats + 4 * LINE)
    transformed_y = after(packed, points_z * plane)
    inputs = after(transformed_y, rows * points * row)
    products = after(inputs, points * point_in)
    lines = after(products, points * point_out)
    sizes = points_z, points, rows, across, tiles, n_in, wide
    return Strip(
        *sizes, packed, row, plane, transformed_y, inputs, point_in, products, point_out, lines, line, slab
    ), memory
