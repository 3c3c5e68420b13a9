"""Compiled loops over tasks of a convolution, so that several threads share one call.

Maps are channels last, (B, Z, Y, X, C). A task is a strip of the output: some rows of one slice, or of two. What it
reads is packed first, side by side within a border of zeros and normalised on the way, into memory that fits the
second-level cache. Tasks write to places of their own and moments are kept by task, so an answer does not depend on
who ran which.

``reads`` says what is packed: addresses of the maps (B, n), channels of each (n,), scale and shift (B, 2, C), slope for
negative numbers (n,), and whether a map is taken as it is (n,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit  # type: ignore[attr-defined]

from voxtrace.runtime.vectors import FLOAT_BYTES, LANES, as_pointer
from voxtrace.runtime.winograd.instructions import COLUMNS, ROWS, activate, finish, multiply

LINE = 16  # floats in a line of the cache


@njit(nogil=True, cache=True)
def scratch(floats: int) -> Any:
    """Return memory of 0, and the address of its first line of the cache. It lives until its last mention."""
    memory = np.zeros(floats + LINE, np.float32)
    return memory, memory.ctypes.data + -memory.ctypes.data % (FLOAT_BYTES * LINE)


@njit(nogil=True, cache=True)
def after(address: int, floats: int) -> int:
    """Return the address of the line that follows so many floats."""
    return int(address + FLOAT_BYTES * (-(-floats // LINE) * LINE))


@njit(nogil=True, cache=True)
def pack_row(reads: Any, size: Any, b: int, z: int, y: int, before: int, voxels: int, row: int) -> None:
    """Write a row of all maps to the address ``row``: ``before`` voxels of zeros, the row, zeros up to ``voxels``."""
    maps, channels, norms, leaks, plain = reads
    depth, height, width = size
    total = norms.shape[2]
    packed = carray(as_pointer(row), voxels * total, np.float32)
    if z < 0 or z >= depth or y < 0 or y >= height:
        packed[:] = 0
        return
    packed[: before * total] = 0
    packed[(before + width) * total :] = 0
    first = 0
    for m in range(len(channels)):
        n = channels[m]
        source = maps[b, m] + FLOAT_BYTES * ((z * height + y) * width * n)
        target = row + FLOAT_BYTES * (before * total + first)
        if plain[m]:
            given = carray(as_pointer(source), width * n, np.float32)
            if n == total:
                packed[before * total : (before + width) * total] = given
            else:
                for x in range(width):
                    start = (before + x) * total + first
                    packed[start : start + n] = given[x * n : x * n + n]
        else:
            scale = norms.ctypes.data + FLOAT_BYTES * (2 * b * total + first)
            activate(source, scale, scale + FLOAT_BYTES * total, leaks[m], target, total, width, n)
        first += n


@njit(nogil=True, cache=True)
def write_row(source: int, source_row: int, bias: Any, target: Any, sums: Any, part: Any) -> None:
    """Write a row (X, K) plus bias to ``target``, and add its moments to ``sums`` (2·K)."""
    voxels, n = target.shape
    if n % LANES == 0:
        finish(source, source_row, bias.ctypes.data, target.ctypes.data, voxels, n, part.ctypes.data)
        for c in range(2 * n):
            sums[c] += part[c]
        return
    given = carray(as_pointer(source), voxels * source_row, np.float32)
    for x in range(voxels):
        for c in range(n):
            value = given[x * source_row + c] + bias[c]
            target[x, c] = value
            sums[c] += value
            sums[n + c] += np.float64(value) * value


@njit(nogil=True, cache=True)
def convolve_direct(
    begin: int, end: int, tasks: Any, reads: Any, size: Any, kernel: Any, weights: Any, bias: Any, out: Any, sums: Any
) -> None:
    """Convolve with kernels of any size and stride: tasks (b, slice, first row, rows) of ``out`` (B, Z, Y, X, K).

    ``kernel`` holds taps, strides and padding, (3, 3) by (Z, Y, X); ``weights`` (K', taps Z · taps Y, taps X · Cin,
    16); ``size`` is that of what is read.
    """
    width, n_out = out.shape[3:]
    n_in, wide = reads[2].shape[2], len(weights) * COLUMNS
    taps, stride, pad = kernel
    most = 0
    for t in range(begin, end):
        most = max(most, tasks[t, 3])
    across = -(-width // ROWS) * ROWS
    voxels = max((across - 1) * stride[2] + taps[2], pad[2] + size[2])
    rows = (most - 1) * stride[1] + taps[1]
    row = voxels * n_in
    memory, packed = scratch(taps[0] * rows * row + across * wide + LINE)
    answer = after(packed, taps[0] * rows * row)
    start, part = np.zeros(COLUMNS, np.float32), np.empty(2 * n_out, np.float32)
    offsets = np.empty(taps[0] * taps[1], np.int64)
    for i in range(len(offsets)):
        offsets[i] = (i // taps[1] * rows + i % taps[1]) * row
    for t in range(begin, end):
        b, z, first, count = tasks[t]
        for p in range(taps[0]):
            for r in range((count - 1) * stride[1] + taps[1]):
                y, where = first * stride[1] + r - pad[1], packed + FLOAT_BYTES * (p * rows + r) * row
                pack_row(reads, size, b, z * stride[0] + p - pad[0], y, pad[2], voxels, where)
        for r in range(count):
            for k in range(len(weights)):
                for x in range(0, across, ROWS):
                    multiply(
                        packed + FLOAT_BYTES * (r * stride[1] * row + x * stride[2] * n_in),
                        stride[2] * n_in,
                        offsets.ctypes.data,
                        len(offsets),
                        taps[2] * n_in,
                        weights[k].ctypes.data,
                        start.ctypes.data,
                        answer + FLOAT_BYTES * (x * wide + k * COLUMNS),
                        wide,
                    )
            write_row(answer, wide, bias, out[b, z, first + r], sums[t], part)
    memory[0] = 0


@njit(nogil=True, cache=True)
def enlarge(
    begin: int, end: int, tasks: Any, reads: Any, size: Any, stride: Any, weights: Any, bias: Any, out: Any, sums: Any
) -> None:
    """Convolve transposed where kernel = stride: tasks (b, slice, row) of what is read.

    ``weights`` (taps, K', Cin, 16), taps by (Z, Y, X); ``out`` (B, Z·sz, Y·sy, X·sx, K).
    """
    width = size[2]
    n_in, wide = reads[2].shape[2], weights.shape[1] * COLUMNS
    across = -(-width // ROWS) * ROWS
    memory, packed = scratch(across * (n_in + stride[2] * wide) + LINE)
    answer = after(packed, across * n_in)
    start, part = np.zeros(COLUMNS, np.float32), np.empty(2 * out.shape[4], np.float32)
    nowhere = np.zeros(1, np.int64)
    for t in range(begin, end):
        b, z, y = tasks[t]
        pack_row(reads, size, b, z, y, 0, across, packed)
        for i in range(stride[0] * stride[1]):
            for j in range(stride[2]):
                for k in range(weights.shape[1]):
                    for x in range(0, across, ROWS):
                        multiply(
                            packed + FLOAT_BYTES * x * n_in,
                            n_in,
                            nowhere.ctypes.data,
                            1,
                            n_in,
                            weights[i * stride[2] + j, k].ctypes.data,
                            start.ctypes.data,
                            answer + FLOAT_BYTES * ((x * stride[2] + j) * wide + k * COLUMNS),
                            stride[2] * wide,
                        )
            target = out[b, z * stride[0] + i // stride[1], y * stride[1] + i % stride[1]]
            write_row(answer, wide, bias, target, sums[t], part)
    memory[0] = 0


@njit(nogil=True, cache=True)
def activate_rows(begin: int, end: int, tasks: Any, reads: Any, size: Any, out: Any) -> None:
    """Write maps side by side, normalised and activated: tasks (b, slice, row) of ``out`` (B, Z, Y, X, C)."""
    for t in range(begin, end):
        b, z, y = tasks[t]
        pack_row(reads, size, b, z, y, 0, size[2], out[b, z, y].ctypes.data)


@njit(nogil=True, cache=True)
def turn_rows(begin: int, end: int, tasks: Any, maps: Any, planes: Any, out: bool) -> None:
    """Copy rows of ``maps`` (B, Z, Y, X, C) to ``planes`` (B, C, Z, Y, X), or, unless ``out``, the other way."""
    width, channels = maps.shape[3:]
    for t in range(begin, end):
        b, z, y = tasks[t]
        row = maps[b, z, y]
        for c in range(channels):
            line = planes[b, c, z, y]
            if out:
                for x in range(width):
                    line[x] = row[x, c]
            else:
                for x in range(width):
                    row[x, c] = line[x]
