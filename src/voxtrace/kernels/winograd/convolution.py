"""Compiled loops of Winograd convolution: F(4×4×4, 3×3×3), or F(4×4, 3×3) in plane; with stride 2, too.

A strip of the output is computed in four stages::

    pack ── Bᵀ along Z ──▶ for each of the points along Z:
                             Bᵀ along Y and X ── products of (tiles × Cin) and (Cin × Cout) ── Aᵀ along X
    ──▶ Aᵀ along Z and Y, bias, moments, write

A tile is four voxels of the output along each axis with three taps, for which six are read, or nine with stride 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from voxtrace.kernels.llvm_simd import FLOAT_BYTES, LANES
from voxtrace.kernels.winograd.loops import copy, pack_row, transpose_row
from voxtrace.kernels.winograd.simd_kernels import COLUMNS, ROWS, multiply
from voxtrace.kernels.winograd.tiling import NINE, SIX, TILE, allocate, span_of
from voxtrace.kernels.winograd.transforms import (
    complete_6,
    complete_9,
    input_transform_6,
    input_transform_9,
    output_transform_6,
    output_transform_9,
)


@njit(nogil=True, cache=True)
def _input_transform(points: int, source: int, step: int, target: int, target_step: int, floats: int) -> None:
    if points == SIX:
        input_transform_6(source, step, target, target_step, floats)
    elif points == NINE:
        input_transform_9(source, step, target, target_step, floats)


@njit(nogil=True, cache=True)
def convolve_winograd(
    begin: int,
    end: int,
    tasks: Any,
    reads: Any,
    size: Any,
    weights: Any,
    factors: Any,
    bias: Any,
    rows: int,
    steps: int,
    out: Any,
    sums: Any,
) -> None:
    """Convolve with 3×3×3 or 1×3×3 kernels: tasks (b, first slice, first row) of ``out`` (B, Z, Y, X, K).

    A task is ``steps`` strips of so many rows of tiles each, from top to bottom. ``size`` is that of what is read;
    ``weights`` (points, points, points, columns, Cin, 16); ``factors`` (1 or 4, points) lead back from the points along
    Z; ``sums`` (tasks, 2·K) get moments.
    """
    strip, memory = allocate(reads[2].shape[2], weights, rows, out.shape[3])
    whole = -(-out.shape[4] // LANES) * LANES
    part, spare = np.empty(2 * whole, np.float32), np.empty((TILE, out.shape[3], whole), np.float32)
    for t in range(begin, end):
        b, z, first = tasks[t]
        for y in range(first, min(first + TILE * rows * steps, out.shape[2]), TILE * rows):
            _pack(strip, reads, size, b, z, y, y > first)
            for p in range(strip.points_z):
                _multiply_plane(strip, p, weights[p])
            for j in range(rows):
                _complete(strip, j, factors, bias, out[b, z:], y + TILE * j, spare, part)
                for c in range(sums.shape[1] if whole == out.shape[4] else 0):
                    sums[t, c] += part[c]
    # A last use keeps the memory alive: the loops above know its address only.
    memory[0] = 0


@njit(nogil=True, cache=True)
def _pack(strip: Any, reads: Any, size: Any, b: int, z: int, y: int, goes_on: bool) -> None:
    """Pack what a strip reads, with a border of one voxel; with three taps along Z, at the points there.

    If it goes on from the strip above, its first rows are that one's last.
    """
    row, span, span_z = strip.row, span_of(strip.points), span_of(strip.points_z)
    rows, shared = span * strip.rows, strip.points - span
    top, voxels = y * span // TILE - 1, row // strip.n_in
    above = z if strip.points_z == 1 else z * span_z // TILE - 1
    # Neighbouring strips share input rows: they are moved to the top instead of being packed again.
    if goes_on:
        for p in range(strip.points_z):
            top_rows = strip.packed + FLOAT_BYTES * p * strip.plane
            copy(top_rows + FLOAT_BYTES * rows * row, top_rows, shared * row)
    for r in range(shared if goes_on else 0, rows + shared):
        where = strip.packed + FLOAT_BYTES * r * row
        for p in range(strip.points_z):
            pack_row(reads, size, b, above + p, top + r, 1, voxels, where + FLOAT_BYTES * p * strip.plane)
        _input_transform(strip.points_z, where, strip.plane, where, strip.plane, row)


@njit(nogil=True, cache=True)
def _multiply_plane(strip: Any, p: int, weights: Any) -> None:
    """Compute the lines of a point along Z; ``weights`` (points, points, columns, Cin, 16)."""
    points, row, span = strip.points, strip.row, span_of(strip.points)
    for j in range(strip.rows):
        source = strip.packed + FLOAT_BYTES * (p * strip.plane + span * j * row)
        _input_transform(points, source, row, strip.transformed_y + FLOAT_BYTES * points * j * row, row, row)
    for r in range(points):
        for j in range(strip.rows):
            _input_transform_x(strip, strip.transformed_y + FLOAT_BYTES * (points * j + r) * row, j * strip.across)
        _multiply_points(strip, weights[r])
        for j in range(strip.rows):
            _output_transform_x(
                strip, j * strip.across, strip.lines + FLOAT_BYTES * (p * strip.slab + (points * j + r) * strip.line)
            )


@njit(nogil=True, cache=True)
def _input_transform_x(strip: Any, transformed_y: int, tile: int) -> None:
    """Apply the input transform along X to a row of tiles."""
    n, step = strip.n_in, FLOAT_BYTES * strip.n_in
    target = strip.inputs + tile * step
    if strip.points == SIX:
        for x in range(strip.across):
            input_transform_6(transformed_y + TILE * x * step, n, target + x * step, strip.point_in, n)
    else:
        for x in range(strip.across):
            input_transform_9(transformed_y + 2 * TILE * x * step, n, target + x * step, strip.point_in, n)


@njit(nogil=True, cache=True)
def _multiply_points(strip: Any, weights: Any) -> None:
    """Multiply at the points along X: (points, tiles, Cin) by ``weights`` (points, columns, Cin, 16)."""
    n_in, wide = strip.n_in, strip.wide
    start, nowhere = np.zeros(COLUMNS, np.float32), np.zeros(1, np.int64)
    for e in range(strip.points):
        for k in range(weights.shape[1]):
            factors = weights[e, k].ctypes.data
            for tile in range(0, strip.tiles, ROWS):
                multiply(
                    strip.inputs + FLOAT_BYTES * (e * strip.point_in + tile * n_in),
                    n_in,
                    nowhere.ctypes.data,
                    1,
                    n_in,
                    factors,
                    start.ctypes.data,
                    strip.products + FLOAT_BYTES * (e * strip.point_out + tile * wide + k * COLUMNS),
                    wide,
                )
    # A last use keeps the arrays alive: the loops above know their addresses only.
    start[0], nowhere[0] = 0, 0


@njit(nogil=True, cache=True)
def _output_transform_x(strip: Any, tile: int, line: int) -> None:
    """Apply the output transform along X to a row of tiles."""
    wide, step = strip.wide, FLOAT_BYTES * strip.wide
    source = strip.products + tile * step
    if strip.points == SIX:
        for x in range(strip.across):
            output_transform_6(source + x * step, strip.point_out, line + TILE * x * step, wide, wide)
    else:
        for x in range(strip.across):
            output_transform_9(source + x * step, strip.point_out, line + TILE * x * step, wide, wide)


@njit(nogil=True, cache=True)
def _complete(strip: Any, j: int, factors: Any, bias: Any, out: Any, y: int, spare: Any, part: Any) -> None:
    """Apply the output transforms along Z and Y to a row of tiles; write ``out`` (Z, Y, X, K) and moments ``part``."""
    height, width, n_out = out.shape[1:]
    rows, whole = min(TILE, height - y), spare.shape[2]
    lines = strip.lines + FLOAT_BYTES * strip.points * j * strip.line
    row = width * whole
    part[:] = 0
    if rows <= 0:
        return
    for s in range(min(len(factors), len(out))):
        # Leading and trailing zero factors (those of ∞, or of filters without depth) need no products.
        first, count = 0, factors.shape[1]
        while factors[s, first] == 0:
            first += 1
        while factors[s, count - 1] == 0:
            count -= 1
        of_points = factors[s, first:].ctypes.data
        source = lines + FLOAT_BYTES * first * strip.slab
        place = out[s, y].ctypes.data if whole == n_out else spare.ctypes.data
        moments, offset, slab, line, wide = part.ctypes.data, bias.ctypes.data, strip.slab, strip.line, strip.wide
        used = count - first
        if strip.points == SIX:
            complete_6(source, slab, line, wide, of_points, used, offset, place, row, rows, width, whole, moments)
        else:
            complete_9(source, slab, line, wide, of_points, used, offset, place, row, rows, width, whole, moments)
        if whole > n_out:
            for r in range(rows):
                transpose_row(spare[r].ctypes.data, whole, out[s, y + r])
