"""Compiled loops of convolutions tap by tap, and of transposed ones; see :mod:`voxtrace.kernels.winograd.loops`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from voxtrace.kernels.llvm_simd import FLOAT_BYTES
from voxtrace.kernels.winograd.loops import LINE, after, pack_row, scratch, write_row
from voxtrace.kernels.winograd.simd_kernels import COLUMNS, ROWS, multiply


@njit(nogil=True, cache=True)
def convolve_direct(
    begin: int, end: int, tasks: Any, reads: Any, size: Any, kernel: Any, weights: Any, bias: Any, out: Any, sums: Any
) -> None:
    """Convolve with kernels of any size and stride: tasks (b, first slice, slices, first row, rows) of ``out``.

    ``kernel`` holds taps, strides and padding, (3, 3) by (Z, Y, X); ``weights`` (K', taps Z · taps Y, taps X · Cin,
    16); ``size`` is that of what is read; ``out`` (B, Z, Y, X, K). Slices that are read are packed in turn into as many
    places as there are taps along Z.
    """
    width, n_out = out.shape[3:]
    n_in, wide = reads[2].shape[2], len(weights) * COLUMNS
    taps, stride, pad = kernel
    across = -(-width // ROWS) * ROWS
    row = max((across - 1) * stride[2] + taps[2], pad[2] + size[2]) * n_in
    most = 0
    for t in range(begin, end):
        most = max(most, tasks[t, 4])
    rows = (most - 1) * stride[1] + taps[1]
    memory, packed = scratch(taps[0] * rows * row + across * wide + LINE)
    answer = after(packed, taps[0] * rows * row)
    part, offsets = np.empty(2 * n_out, np.float32), np.empty(taps[0] * taps[1], np.int64)
    for t in range(begin, end):
        b, z, slices, first, count = tasks[t]
        # Packed input slices are kept in a ring along Z, so that the next output slice packs only what is new.
        ready = z * stride[0] - pad[0]
        for s in range(z, z + slices):
            above = s * stride[0] - pad[0]
            for p in range(max(ready, above), above + taps[0]):
                for r in range((count - 1) * stride[1] + taps[1]):
                    where = packed + FLOAT_BYTES * (p % taps[0] * rows + r) * row
                    pack_row(reads, size, b, p, first * stride[1] + r - pad[1], pad[2], row // n_in, where)
            ready = above + taps[0]
            for i in range(len(offsets)):
                offsets[i] = ((above + i // taps[1]) % taps[0] * rows + i % taps[1]) * row
            for r in range(count):
                _multiply_row(
                    packed + FLOAT_BYTES * r * stride[1] * row, offsets, kernel, weights, bias, across, answer
                )
                write_row(answer, wide, out[b, s, first + r], sums[t], part)
    # A last use keeps the memory alive: the loops above know its address only.
    memory[0] = 0


@njit(nogil=True, cache=True)
def _multiply_row(packed: int, offsets: Any, kernel: Any, weights: Any, bias: Any, across: int, answer: int) -> None:
    """Write a row of answers (X, K'·16) from packed rows."""
    taps, stride, _ = kernel
    columns, _, depth, _ = weights.shape
    step, wide = stride[2] * depth // taps[2], columns * COLUMNS
    for k in range(columns):
        for x in range(0, across, ROWS):
            multiply(
                packed + FLOAT_BYTES * x * step,
                step,
                offsets.ctypes.data,
                len(offsets),
                depth,
                weights[k].ctypes.data,
                bias[k * COLUMNS :].ctypes.data,
                answer + FLOAT_BYTES * (x * wide + k * COLUMNS),
                wide,
            )


@njit(nogil=True, cache=True)
def convolve_transposed(
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
    part, nowhere = np.empty(2 * out.shape[4], np.float32), np.zeros(1, np.int64)
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
                            bias[k * COLUMNS :].ctypes.data,
                            answer + FLOAT_BYTES * ((x * stride[2] + j) * wide + k * COLUMNS),
                            stride[2] * wide,
                        )
            target = out[b, z * stride[0] + i // stride[1], y * stride[1] + i % stride[1]]
            write_row(answer, wide, target, sums[t], part)
    # A last use keeps the memory alive: the loops above know its address only.
    memory[0] = 0
