"""The compiled loops of Winograd's way, in plane F(4×4, 3×3) and along Z F(2, 3).

A strip of the output is computed in five moves, all within the second-level cache::

    pack ── Bᵀ along Z ──▶ for each of the points along Z:
                             Bᵀ along Y and X ── 36 products of (tiles × Cin) and (Cin × Cout) ── Aᵀ along X and Y
                             and add to the two slices that the point belongs to

A tile is 4×4 voxels of the output, for which 6×6 are read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit  # type: ignore[attr-defined]

from voxtrace.runtime.vectors import FLOAT_BYTES, as_pointer
from voxtrace.runtime.winograd.instructions import COLUMNS, ROWS, add, from_six, multiply, to_four, to_six
from voxtrace.runtime.winograd.loops import LINE, after, pack_row, scratch, write_row

TILE, POINTS = 4, 6  # F(4, 3): four outputs of six inputs


@njit(nogil=True, cache=True)
def _apart(floats: int) -> int:
    """Return how far apart such stretches lie: an odd number of lines, lest they push one another out of the cache."""
    return int((-(-floats // LINE) | 1) * LINE)


@njit(nogil=True, cache=True)
def _enter(turned: int, inputs: int, point: int, across: int, n_in: int) -> None:
    """Bring a row of tiles to its points along X; ``inputs`` (6, tiles, Cin)."""
    for x in range(across):
        to_six(turned + FLOAT_BYTES * TILE * x * n_in, n_in, inputs + FLOAT_BYTES * x * n_in, point, n_in)


@njit(nogil=True, cache=True)
def _multiply_points(inputs: int, point_in: int, weights: Any, products: int, point_out: int, tiles: int) -> None:
    """Multiply at six points: (6, tiles, Cin) by ``weights`` (6, columns, Cin, 16) into (6, tiles, Cout)."""
    columns, n_in = weights.shape[1:3]
    wide = columns * COLUMNS
    start, nowhere = np.zeros(COLUMNS, np.float32), np.zeros(1, np.int64)
    for e in range(POINTS):
        for k in range(columns):
            factors = weights[e, k].ctypes.data
            for tile in range(0, tiles, ROWS):
                multiply(
                    inputs + FLOAT_BYTES * (e * point_in + tile * n_in),
                    n_in,
                    nowhere.ctypes.data,
                    1,
                    n_in,
                    factors,
                    start.ctypes.data,
                    products + FLOAT_BYTES * (e * point_out + tile * wide + k * COLUMNS),
                    wide,
                )
    start[0], nowhere[0] = 0, 0  # they live until here


@njit(nogil=True, cache=True)
def _leave(products: int, line: int, point: int, across: int, wide: int) -> None:
    """Bring a row of tiles back to voxels along X; ``line`` (4·across, Cout)."""
    for x in range(across):
        from_six(products + FLOAT_BYTES * x * wide, point, line + FLOAT_BYTES * TILE * x * wide, wide, wide)


@njit(nogil=True, cache=True)
def convolve_winograd(
    begin: int, end: int, tasks: Any, reads: Any, weights: Any, bias: Any, strips: int, out: Any, sums: Any
) -> None:
    """Convolve with 3×3×3 or 1×3×3 kernels: tasks (b, first slice, first row), ``strips`` rows of tiles each.

    ``weights`` (1 or 4, 6, 6, columns, Cin, 16) are at their points; ``out`` (B, Z, Y, X, K); ``sums`` (tasks, 2·K) get
    moments.
    """
    size, points_z = out.shape[1:4], weights.shape[0]
    n_in, wide = reads[2].shape[2], weights.shape[3] * COLUMNS
    slices, across = 1 if points_z == 1 else 2, -(-out.shape[3] // TILE)
    tiles = -(-across * strips // ROWS) * ROWS
    row, line = (TILE * across + 2) * n_in, _apart(TILE * across * wide)
    point_in, point_out = _apart(tiles * n_in), _apart(tiles * wide)
    plane, slab = _apart((TILE * strips + 2) * row), TILE * strips * line
    floats = points_z * plane + POINTS * (strips * (row + line) + point_in + point_out) + slices * slab
    memory, packed = scratch(floats + POINTS * LINE)
    turned = after(packed, points_z * plane)
    inputs = after(turned, strips * POINTS * row)
    products = after(inputs, POINTS * point_in)
    lines = after(products, POINTS * point_out)
    answer = after(lines, strips * POINTS * line)
    answers, part = carray(as_pointer(answer), slices * slab, np.float32), np.empty(2 * out.shape[4], np.float32)
    for t in range(begin, end):
        b, z, y = tasks[t]
        _pack(packed, reads, size, tasks[t], points_z, strips, plane, row)
        answers[:] = 0
        for p in range(points_z):
            for j in range(strips):
                first = packed + FLOAT_BYTES * (p * plane + TILE * j * row)
                to_six(first, row, turned + FLOAT_BYTES * POINTS * j * row, row, row)
            for r in range(POINTS):
                for j in range(strips):
                    source = turned + FLOAT_BYTES * (POINTS * j + r) * row
                    _enter(source, inputs + FLOAT_BYTES * j * across * n_in, point_in, across, n_in)
                _multiply_points(inputs, point_in, weights[p, r], products, point_out, tiles)
                for j in range(strips):
                    target = lines + FLOAT_BYTES * (POINTS * j + r) * line
                    _leave(products + FLOAT_BYTES * j * across * wide, target, point_out, across, wide)
            for j in range(strips):
                source, target = lines + FLOAT_BYTES * POINTS * j * line, answer + FLOAT_BYTES * TILE * j * line
                from_six(source, line, source, line, line)
                if p < 3:  # F(2, 3): m0 + m1 + m2 and m1 − m2 − m3
                    add(source, target, TILE * line, 1.0)
                if p > 0:
                    add(source, target + FLOAT_BYTES * slab, TILE * line, 1.0 if p == 1 else -1.0)
        for s in range(min(slices, size[0] - z)):
            for r in range(min(TILE * strips, size[1] - y)):
                source = answer + FLOAT_BYTES * (s * slab + r * line)
                write_row(source, wide, bias, out[b, z + s, y + r], sums[t], part)
    memory[0] = 0


@njit(nogil=True, cache=True)
def _pack(packed: int, reads: Any, size: Any, task: Any, points_z: int, strips: int, plane: int, row: int) -> None:
    """Pack what a strip reads, with a border of one voxel; with three taps along Z, at the points there."""
    b, z, y = task
    voxels = row // reads[2].shape[2]
    for r in range(TILE * strips + 2):
        where = packed + FLOAT_BYTES * r * row
        for p in range(points_z):
            target = where + FLOAT_BYTES * p * plane
            pack_row(reads, size, b, z + p - points_z // 4, y + r - 1, 1, voxels, target)
        if points_z > 1:
            to_four(where, plane, where, plane, row)
