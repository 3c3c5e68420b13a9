"""Compiled loops over rows: packing what convolutions read, writing their answers, turning.

Maps are channels last, (B, Z, Y, X, C). A task is a strip of the output: some rows of some slices. What it reads is
packed first, side by side within a border of zeros and normalised on the way, into memory that stays in the caches.
Tasks write to places of their own and moments are kept by task, so an answer does not depend on who ran which.

``reads`` says what is packed: addresses of the maps (B, n), channels of each (n,), scale and shift (B, 2, C), slope for
negative numbers (n,), and whether a map is taken as it is (n,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray, njit  # type: ignore[attr-defined]

from voxtrace.kernels.llvm_simd import FLOAT_BYTES, LANES, as_pointer
from voxtrace.kernels.winograd.simd_kernels import activate, store_with_moments, transpose

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
def copy(source: int, target: int, floats: int) -> None:
    """Copy so many floats to where they do not overlap."""
    given, copied = carray(as_pointer(source), floats, np.float32), carray(as_pointer(target), floats, np.float32)
    for i in range(floats):
        copied[i] = given[i]


@njit(nogil=True, cache=True)
def pack_row(reads: Any, size: Any, b: int, z: int, y: int, before: int, voxels: int, row: int) -> None:
    """Write a row of all maps to the address ``row``: ``before`` voxels of zeros, the row, zeros up to ``voxels``."""
    maps, channels, norms, slopes, plain = reads
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
        # A single plain map is copied as it is; channels of incomplete vectors cannot be activated in SIMD.
        if plain[m] and n == total:
            copy(source, target, width * n)
        elif n % LANES > 0:  # those are plain
            for x in range(width):
                copy(source + FLOAT_BYTES * x * n, target + FLOAT_BYTES * x * total, n)
        else:
            scale = norms.ctypes.data + FLOAT_BYTES * (2 * b * total + first)
            activate(source, scale, scale + FLOAT_BYTES * total, slopes[m], target, total, width, n)
        first += n


@njit(nogil=True, cache=True)
def write_row(source: int, source_row: int, target: Any, sums: Any, part: Any) -> None:
    """Write a row (X, K) to ``target``; if it is of whole vectors, add its moments to ``sums`` (2·K)."""
    voxels, n = target.shape
    if n % LANES == 0:
        store_with_moments(source, source_row, target.ctypes.data, voxels, n, part.ctypes.data)
        for c in range(2 * n):
            sums[c] += part[c]
    else:
        transpose_row(source, source_row, target)


@njit(nogil=True, cache=True)
def transpose_row(source: int, source_row: int, target: Any) -> None:
    """Write a row (X, K) to ``target``, whose voxels are side by side in memory."""
    voxels, n = target.shape
    plane = target.strides[1] // FLOAT_BYTES
    for x in range(0, voxels - LANES + 1, LANES):
        for c in range(0, n, LANES):
            transpose(source + FLOAT_BYTES * (x * source_row + c), source_row, target[x:, c:].ctypes.data, plane, n - c)
    given = carray(as_pointer(source), voxels * source_row, np.float32)
    for x in range(voxels - voxels % LANES, voxels):
        for c in range(n):
            target[x, c] = given[x * source_row + c]


@njit(nogil=True, cache=True)
def activate_rows(begin: int, end: int, tasks: Any, reads: Any, size: Any, out: Any) -> None:
    """Write maps side by side, normalised and activated: tasks (b, slice, row) of ``out`` (B, Z, Y, X, C)."""
    for t in range(begin, end):
        b, z, y = tasks[t]
        pack_row(reads, size, b, z, y, 0, size[2], out[b, z, y].ctypes.data)


@njit(nogil=True, cache=True)
def transpose_rows(begin: int, end: int, tasks: Any, maps: Any, planes: Any, out: bool) -> None:
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
