"""Compiled loops, each over a range of tasks, so that several threads share one call.

Tasks write to places of their own and sums are kept by task, so an answer does not depend on who ran which. Compiled
once for each machine: numba keeps what it made in its cache folder.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit  # type: ignore[attr-defined]

from voxtrace.kernels.llvm_simd import as_pointer
from voxtrace.kernels.sparse.simd_kernels import TILE_COLUMNS, TILE_ROWS, convolve_tile

FLOAT_BYTES, CACHE_LINE = 4, 64
# Numbers of several short rows that are summed at once.
LINE = 1024


@njit(nogil=True, cache=True)
def pack(planes: Any, height: int, width: int, first: int, layout: Any, packed: Any) -> None:
    """Copy rows first − 1 … first + rows of every plane (its address; 0 is a plane of zeros), each within zeros."""
    rows, row, channel = layout
    for slot in range(len(planes)):
        base = slot * channel
        if planes[slot] == 0:
            packed[base : base + (rows + 2) * row] = 0
            continue
        plane = carray(as_pointer(planes[slot]), (height, width), np.float32)
        for r in range(rows + 2):
            y, start = first + r - 1, base + r * row
            if y < 0 or y >= height:
                packed[start : start + row] = 0
                continue
            packed[start] = 0
            packed[start + 1 : start + 1 + width] = plane[y]
            packed[start + 1 + width : start + row] = 0


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def moments(numbers: Any) -> Any:
    """Return sum and sum of squares of float32 numbers, in float64."""
    total = square = 0.0
    for x in range(len(numbers)):
        value = np.float64(numbers[x])
        total += value
        square += value * value
    return total, square


@njit(nogil=True, cache=True)
def convolve(
    begin: int, end: int, tasks: Any, planes: Any, targets: Any, entries: Any, layout: Any, size: Any, sums: Any
) -> None:
    """Convolve strips ``tasks[t] = (b, z, first row)``, begin ≤ t < end, of maps of a ``size`` (Z, Y, X).

    ``planes`` (B·Z, slots) are addresses of what is read, ``targets`` (B·Z, Cout) of what is written, 0 for nothing.
    ``entries`` = (first entry of each output, offset of each in the packed strip, nine weights, bias); those of
    output o are first ≤ k < the next one's first. ``sums`` (tasks, Cout, 2) gets moments, unless it is empty.
    """
    depth, height, width = size
    rows, row, channel = layout
    first_entry, offsets, weights, bias = entries
    scratch = np.empty(planes.shape[1] * channel + CACHE_LINE, np.float32)
    packed = scratch[(-scratch.ctypes.data % CACHE_LINE) // FLOAT_BYTES :]
    tile = np.empty((TILE_ROWS, TILE_COLUMNS), np.float32)
    for t in range(begin, end):
        b, z, first = tasks[t]
        last = min(first + rows, height)
        pack(planes[b * depth + z], height, width, first, layout, packed)
        for o in range(len(bias)):
            target, start, stop = targets[b * depth + z, o], first_entry[o], first_entry[o + 1]
            if target == 0:
                continue
            plane = carray(as_pointer(target), (height, width), np.float32)
            for y in range(first, last, TILE_ROWS):
                for x in range(0, width, TILE_COLUMNS):
                    whole = y + TILE_ROWS <= last and x + TILE_COLUMNS <= width
                    convolve_tile(
                        packed.ctypes.data + FLOAT_BYTES * ((y - first) * row + x),
                        row,
                        offsets.ctypes.data,
                        weights.ctypes.data,
                        start,
                        stop,
                        bias[o],
                        target + FLOAT_BYTES * (y * width + x) if whole else tile.ctypes.data,
                        width if whole else TILE_COLUMNS,
                    )
                    # A tile over the edge is computed beside the map and copied as far as the map goes.
                    if not whole:
                        for r in range(min(TILE_ROWS, last - y)):
                            for c in range(min(TILE_COLUMNS, width - x)):
                                plane[y + r, x + c] = tile[r, c]
            if len(sums) > 0:
                sums[t, o] = moments(plane[first:last].ravel())


@njit(nogil=True, cache=True)
def convolve_transposed(
    begin: int, end: int, source: Any, first_entry: Any, channels: Any, weights: Any, out: Any
) -> None:
    """Spread ``source`` (B, Cin, Z, Y, X) over ``out``; task t is one (b, z, output channel).

    ``weights`` (entries, sz, sy, sx) of the input channels ``channels``; strides equal the kernel, so that every
    output voxel has one tap.
    """
    depth, height, width = source.shape[2:]
    sz, sy, sx = weights.shape[1:]
    rows = min(height, max(1, LINE // width))
    sums = np.empty((sx, rows * width), np.float32)
    for t in range(begin, end):
        o, bz = t % out.shape[1], t // out.shape[1]
        b, z = bz // depth, bz % depth
        for first in range(0, height, rows):
            last = min(first + rows, height)
            for dz in range(sz):
                for dy in range(sy):
                    sums[:] = 0
                    for k in range(first_entry[o], first_entry[o + 1]):
                        line = source[b, channels[k], z, first:last].ravel()
                        for dx in range(sx):
                            weight = weights[k, dz, dy, dx]
                            for x in range(len(line)):
                                sums[dx, x] += weight * line[x]
                    for y in range(first, last):
                        _interleave(sums[:, (y - first) * width :], out[b, o, z * sz + dz, y * sy + dy])


@njit(nogil=True, cache=True)
def _interleave(lines: Any, target: Any) -> None:
    """Write the first numbers of all lines to ``target``, then the second ones, and so on."""
    sx = len(lines)
    # A constant step lets the compiler interleave whole vectors.
    if sx == 2:
        for x in range(len(target) // 2):
            target[2 * x] = lines[0, x]
            target[2 * x + 1] = lines[1, x]
    else:
        for dx in range(sx):
            target[dx::sx] = lines[dx, : len(target) // sx]


@njit(nogil=True, cache=True)
def sum_planes(begin: int, end: int, maps: Any, sums: Any) -> None:
    """Write moments of planes ``maps`` (planes, numbers) to ``sums`` (planes, 2)."""
    for t in range(begin, end):
        sums[t] = moments(maps[t])


@njit(nogil=True, cache=True)
def normalise(begin: int, end: int, maps: Any, scale: Any, shift: Any, negative_slope: Any) -> None:
    """Scale and shift each of ``maps`` (B·C, numbers) and multiply what is below 0 by ``negative_slope``, in place."""
    for t in range(begin, end):
        line, factor, offset = maps[t], scale[t], shift[t]
        for x in range(len(line)):
            value = line[x] * factor + offset
            line[x] = value if value >= 0 or value != value else value * negative_slope


@njit(nogil=True, cache=True)
def pool_maximum(begin: int, end: int, source: Any, out: Any, stride: Any) -> None:
    """Write the maximum of each block of ``source`` (B·C, Z, Y, X) to ``out``; a block with a NaN gives NaN."""
    sz, sy, sx = stride
    depth, height, width = out.shape[1:]
    row = np.empty(source.shape[3], np.float32)
    for t in range(begin, end):
        for z in range(depth):
            for y in range(height):
                row[:] = source[t, z * sz, y * sy]
                for dz in range(sz):
                    for dy in range(sy):
                        line = source[t, z * sz + dz, y * sy + dy]
                        for x in range(len(row)):
                            row[x] = line[x] if line[x] > row[x] or line[x] != line[x] else row[x]
                target = out[t, z, y]
                # A constant step lets the compiler work on whole vectors.
                if sx == 2:
                    for x in range(width):
                        a, c = row[2 * x], row[2 * x + 1]
                        target[x] = c if c > a or c != c else a
                else:
                    for x in range(width):
                        best = row[x * sx]
                        for dx in range(1, sx):
                            c = row[x * sx + dx]
                            best = c if c > best or c != c else best
                        target[x] = best
