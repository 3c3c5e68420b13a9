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
SQUARE = POINTS * POINTS


@njit(nogil=True, cache=True)
def _enter(packed: int, row: int, turned: int, inputs: int, tiles: int, across: int, n_in: int) -> None:
    """Bring a row of tiles to its points: Bᵀ along Y, then along X; ``inputs`` (36, tiles, Cin)."""
    to_six(packed, row, turned, row, row)
    for r in range(POINTS):
        for x in range(across):
            source = turned + FLOAT_BYTES * (r * row + TILE * x * n_in)
            to_six(source, n_in, inputs + FLOAT_BYTES * (POINTS * r * tiles + x) * n_in, tiles * n_in, n_in)


@njit(nogil=True, cache=True)
def _multiply_points(inputs: int, weights: Any, products: int, tiles: int) -> None:
    """Multiply at every point: (36, tiles, Cin) by ``weights`` (36, columns, Cin, 16) into (36, tiles, Cout)."""
    columns, n_in = weights.shape[1:3]
    wide = columns * COLUMNS
    start, nowhere = np.zeros(COLUMNS, np.float32), np.zeros(1, np.int64)
    for e in range(SQUARE):
        for k in range(columns):
            factors = weights[e, k].ctypes.data
            for tile in range(e * tiles, (e + 1) * tiles, ROWS):
                multiply(
                    inputs + FLOAT_BYTES * tile * n_in,
                    n_in,
                    nowhere.ctypes.data,
                    1,
                    n_in,
                    factors,
                    start.ctypes.data,
                    products + FLOAT_BYTES * (tile * wide + k * COLUMNS),
                    wide,
                )
    start[0], nowhere[0] = 0, 0  # they live until here


@njit(nogil=True, cache=True)
def _leave(products: int, lines: int, target: int, tiles: int, across: int, wide: int) -> None:
    """Bring a row of tiles back to voxels: Aᵀ along X, then along Y; ``target`` is four rows (4·across, Cout)."""
    line = TILE * across * wide
    for r in range(POINTS):
        for x in range(across):
            source = products + FLOAT_BYTES * (POINTS * r * tiles + x) * wide
            from_six(source, tiles * wide, lines + FLOAT_BYTES * (r * line + TILE * x * wide), wide, wide)
    from_six(lines, line, target, line, line)


@njit(nogil=True, cache=True)
def convolve_winograd(
    begin: int, end: int, tasks: Any, reads: Any, weights: Any, bias: Any, strips: int, out: Any, sums: Any
) -> None:
    """Convolve with 3×3×3 or 1×3×3 kernels: tasks (b, first slice, first row), ``strips`` rows of tiles each.

    ``weights`` (1 or 4, 36, columns, Cin, 16) are at their points; ``out`` (B, Z, Y, X, K); ``sums`` (tasks, 2·K) get
    moments.
    """
    size, points_z = out.shape[1:4], weights.shape[0]
    n_in, wide = reads[2].shape[2], weights.shape[2] * COLUMNS
    slices, across = 1 if points_z == 1 else 2, -(-out.shape[3] // TILE)
    tiles = -(-across * strips // ROWS) * ROWS
    row, line = (TILE * across + 2) * n_in, TILE * across * wide
    plane, slab = (TILE * strips + 2) * row, TILE * strips * line
    floats = points_z * plane + POINTS * (row + line) + SQUARE * tiles * (n_in + wide) + slices * slab
    memory, packed = scratch(floats + POINTS * LINE)
    turned = after(packed, points_z * plane)
    inputs = after(turned, POINTS * row)
    products = after(inputs, SQUARE * tiles * n_in)
    lines = after(products, SQUARE * tiles * wide)
    answer = after(lines, POINTS * line)
    answers, part = carray(as_pointer(answer), slices * slab, np.float32), np.empty(2 * out.shape[4], np.float32)
    for t in range(begin, end):
        b, z, y = tasks[t]
        _pack(packed, reads, size, tasks[t], points_z, strips, plane, row)
        answers[:] = 0
        for p in range(points_z):
            for j in range(strips):
                first = packed + FLOAT_BYTES * (p * plane + TILE * j * row)
                _enter(first, row, turned, inputs + FLOAT_BYTES * j * across * n_in, tiles, across, n_in)
            _multiply_points(inputs, weights[p], products, tiles)
            for j in range(strips):
                _leave(products + FLOAT_BYTES * j * across * wide, lines, lines, tiles, across, wide)
                target = answer + FLOAT_BYTES * TILE * j * line
                if p < 3:  # F(2, 3): m0 + m1 + m2 and m1 − m2 − m3
                    add(lines, target, TILE * line, 1.0)
                if p > 0:
                    add(lines, target + FLOAT_BYTES * slab, TILE * line, 1.0 if p == 1 else -1.0)
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
    for p in range(points_z):
        for r in range(TILE * strips + 2):
            where = packed + FLOAT_BYTES * (p * plane + r * row)
            pack_row(reads, size, b, z + p - points_z // 4, y + r - 1, 1, voxels, where)
    if points_z > 1:
        to_four(packed, plane, packed, plane, plane)
