"""Compiled loops of the backward pass, each over a range of tasks or maps, so that several threads share one call.

Sums over a whole map are kept by group of tasks and added up afterwards; groups are fixed by the map's size, so that a
gradient does not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from voxtrace.kernels.llvm_simd import LANES
from voxtrace.kernels.sparse.autograd.simd_kernels import correlate_tile
from voxtrace.kernels.sparse.loops import CACHE_LINE, FLOAT_BYTES, pack
from voxtrace.kernels.sparse.simd_kernels import TILE_ROWS

# Numbers that are summed in float32 before float64 takes over.
CHUNK = 1024


@njit(nogil=True, cache=True)
def correlate(
    begin: int, end: int, groups: Any, tasks: Any, planes: Any, entries: Any, layout: Any, size: Any, sums: Any
) -> None:
    """Add to ``sums`` (groups, entries, 9) what strips say about the gradient of nine weights.

    Group g has the tasks groups[g] ≤ t < groups[g + 1], each (b, z, first row) of maps of a ``size`` (Z, Y, X).
    ``planes`` (B·Z, slots) are addresses of inputs and of the output's gradients; ``entries`` = (offset of the input in
    the packed strip, offset of the gradient).
    """
    depth, height, width = size
    rows, row, channel = layout
    inputs, gradients = entries
    columns = -(-width // LANES) * LANES
    scratch = np.empty(planes.shape[1] * channel + CACHE_LINE, np.float32)
    packed = scratch[(-scratch.ctypes.data % CACHE_LINE) // FLOAT_BYTES :]
    base = packed.ctypes.data
    for g in range(begin, end):
        for t in range(groups[g], groups[g + 1]):
            b, z, first = tasks[t]
            used = -(-(min(first + rows, height) - first) // TILE_ROWS) * TILE_ROWS
            pack(planes[b * depth + z], height, width, first, layout, packed)
            for k in range(len(inputs)):
                read, gradient = base + FLOAT_BYTES * inputs[k], base + FLOAT_BYTES * (gradients[k] + row + 1)
                correlate_tile(read, gradient, row, used, columns, sums[g, k].ctypes.data)


@njit(nogil=True, cache=True)
def unfold(source: Any, z: int, first: int, last: int, kernel: Any, phases: Any) -> None:
    """Write to ``phases`` (Cout, taps, numbers) each tap of coarse rows first ≤ y < last of ``source`` (Cout, …)."""
    sz, sy, sx = kernel
    width = source.shape[3] // sx
    for o in range(len(source)):
        for dz in range(sz):
            for dy in range(sy):
                tap = (dz * sy + dy) * sx
                for y in range(first, last):
                    line, start = source[o, z * sz + dz, y * sy + dy], (y - first) * width
                    # A constant step lets the compiler split whole vectors.
                    if sx == 2:
                        left, right = phases[o, tap, start : start + width], phases[o, tap + 1, start : start + width]
                        for x in range(width):
                            left[x] = line[2 * x]
                            right[x] = line[2 * x + 1]
                    else:
                        for dx in range(sx):
                            phases[o, tap + dx, start : start + width] = line[dx::sx]


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def spread_and_multiply(weight: Any, phase: Any, source: Any, target: Any) -> Any:
    """Add ``weight · phase`` to ``target``, and return the sum of ``phase · source``."""
    total = np.float32(0)
    for x in range(len(phase)):
        target[x] += weight * phase[x]
        total += phase[x] * source[x]
    return total


@njit(nogil=True, cache=True)
def transposed_backward(
    begin: int, end: int, groups: Any, tasks: Any, maps: Any, entries: Any, kernel: Any, rows: int, sums: Any
) -> None:
    """Write the gradient of a transposed convolution's input, and add to ``sums`` (groups, entries, taps) its weights'.

    ``maps`` = (input, the output's gradient, the input's gradient); ``entries`` = (first of each input channel, output
    channels, weights (entries, taps)). Groups and tasks as in :func:`correlate`, of the input's slices and rows.
    """
    source, gradient, out = maps
    first_entry, outputs, weights = entries
    height, width = source.shape[3:]
    phases = np.empty((gradient.shape[1], weights.shape[1], rows * width), np.float32)
    for g in range(begin, end):
        for t in range(groups[g], groups[g + 1]):
            b, z, first = tasks[t]
            last = min(first + rows, height)
            n = (last - first) * width
            unfold(gradient[b], z, first, last, kernel, phases)
            for c in range(source.shape[1]):
                line, target = source[b, c, z, first:last].ravel(), out[b, c, z, first:last].ravel()
                target[:] = 0
                for k in range(first_entry[c], first_entry[c + 1]):
                    for tap in range(weights.shape[1]):
                        phase = phases[outputs[k], tap, :n]
                        sums[g, k, tap] += spread_and_multiply(weights[k, tap], phase, line, target)


@njit(nogil=True, cache=True)
def activate(begin: int, end: int, maps: Any, scale: Any, shift: Any, negative_slope: Any, out: Any) -> None:
    """Write ``maps`` (B·C, numbers), scaled and shifted, what is below 0 times ``negative_slope``, to ``out``."""
    for t in range(begin, end):
        line, target, factor, offset = maps[t], out[t], scale[t], shift[t]
        for x in range(len(line)):
            value = line[x] * factor + offset
            target[x] = value if value >= 0 or value != value else value * negative_slope


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _slopes(line: Any, gradient: Any, factor: Any, offset: Any, mean: Any, negative_slope: Any) -> Any:
    """Return the sums of what the activation lets through, and of its products with the deviation from the mean."""
    total = product = np.float32(0)
    for x in range(len(line)):
        value = line[x] * factor + offset
        through = gradient[x] * (np.float32(1) if value > 0 else negative_slope)
        total += through
        product += through * (line[x] - mean)
    return total, product


@njit(nogil=True, cache=True)
def activate_backward(
    begin: int,
    end: int,
    maps: Any,
    gradients: Any,
    scale: Any,
    shift: Any,
    about: Any,
    negative_slope: Any,
    out: Any,
    sums: Any,
) -> None:
    """Write the gradient before norm and activation to ``out``, and ``sums`` (B·C, 2) for the norm's parameters.

    ``about`` (B·C, 2) holds each map's mean and one over its deviation; ``sums`` are those over what the activation
    lets through, and over its products with the normalised map.
    """
    for t in range(begin, end):
        line, gradient, target, factor, offset = maps[t], gradients[t], out[t], scale[t], shift[t]
        mean, inverse = about[t]
        total = product = 0.0
        for x in range(0, len(line), CHUNK):
            part = _slopes(line[x : x + CHUNK], gradient[x : x + CHUNK], factor, offset, mean, negative_slope)
            total += part[0]
            product += part[1]
        n = len(line)
        slope = np.float32(product * inverse * inverse / n)
        constant = np.float32(total / n)
        for x in range(n):
            value = line[x] * factor + offset
            through = gradient[x] * (np.float32(1) if value > 0 else negative_slope)
            target[x] = factor * (through - constant - (line[x] - mean) * slope)
        sums[t, 0], sums[t, 1] = total, product * inverse


@njit(nogil=True, cache=True)
def pool_backward(begin: int, end: int, source: Any, pooled: Any, gradient: Any, stride: Any, out: Any) -> None:
    """Give each block's ``gradient`` (B·C, Z, Y, X) to the first number in it that equals its maximum ``pooled``."""
    sz, sy, sx = stride
    depth, height, width = pooled.shape[1:]
    left = np.empty(width, np.float32)
    for t in range(begin, end):
        out[t, depth * sz :] = 0
        for z in range(depth):
            out[t, z * sz : (z + 1) * sz, height * sy :] = 0
            for y in range(height):
                left[:] = gradient[t, z, y]
                best = pooled[t, z, y]
                for dz in range(sz):
                    for dy in range(sy):
                        line, target = source[t, z * sz + dz, y * sy + dy], out[t, z * sz + dz, y * sy + dy]
                        target[width * sx :] = 0
                        _share_out(line, best, left, sx, target)


@njit(nogil=True, cache=True)
def _share_out(line: Any, best: Any, left: Any, sx: int, target: Any) -> None:
    """Move what is ``left`` of each block's gradient to its first maximum in this line; a NaN is a maximum."""
    zero = np.float32(0)
    # A constant step lets the compiler work on whole vectors.
    if sx == 2:
        for x in range(len(best)):
            a, c, most = line[2 * x], line[2 * x + 1], best[x]
            at_a, at_c = (a == most) | (a != a), (c == most) | (c != c)
            given = left[x]
            rest = zero if at_a else given
            target[2 * x] = given if at_a else zero
            target[2 * x + 1] = rest if at_c else zero
            left[x] = zero if at_c else rest
    else:
        for x in range(len(best)):
            for dx in range(sx):
                value = line[x * sx + dx]
                hit = value == best[x] or value != value
                target[x * sx + dx] = left[x] if hit else zero
                left[x] = zero if hit else left[x]
