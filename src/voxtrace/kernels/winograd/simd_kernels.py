"""Innermost loops in SIMD instructions: products of small matrices, norms, moments, transposes.

All work on channels-last memory, so a vector is 8 channels of one voxel. Arguments are addresses, and offsets in
floats.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from voxtrace.kernels.llvm_simd import LANES, WORD, SimdBuilder, cgutils

# A tile of products: 12 sums, which leave 4 of AVX2's 16 registers for what is read.
ROWS, GROUPS = 6, 2
COLUMNS = GROUPS * LANES
# Floats that a prefetch runs ahead of what is read.
AHEAD = 256


def _multiply(
    typing: Any,
    a: Any,
    a_row: Any,
    offsets: Any,
    taps: Any,
    depth: Any,
    w: Any,
    start: Any,
    out: Any,
    out_row: Any,
) -> Any:
    """Write ``out[r, :16] = start[:16] + Σ_t Σ_k a[offsets[t] + r·a_row + k] · w[t, k, :16]`` for 0 ≤ r < 6.

    The weights that follow are prefetched: they are those of the next columns or the next point.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, a_row, offsets, taps, depth, w, start, out, out_row = arguments
        write = SimdBuilder(builder)
        begin = [write.load(write.at(start, write.word(LANES * g))) for g in range(GROUPS)]
        sums = write.alloca([begin[g] for _ in range(ROWS) for g in range(GROUPS)])
        weights = cgutils.alloca_once_value(builder, w)
        with write.loop(taps) as (tap, _):
            offset = builder.load(write.pointer(builder.add(offsets, builder.mul(tap, write.word(8))), WORD))
            base = write.at(a, offset)
            rows = [write.at(base, builder.mul(a_row, write.word(r))) for r in range(ROWS)]
            first = builder.load(weights)
            with write.loop(depth) as (k, _):
                here = write.at(first, builder.mul(k, write.word(COLUMNS)))
                write.prefetch(write.at(here, builder.mul(depth, write.word(COLUMNS))))
                factors = [write.load(write.at(here, write.word(LANES * g))) for g in range(GROUPS)]
                for r in range(ROWS):
                    value = write.load_broadcast(write.at(rows[r], k))
                    for g in range(GROUPS):
                        place = sums[r * GROUPS + g]
                        builder.store(write.multiply_add(value, factors[g], builder.load(place)), place)
            builder.store(write.at(first, builder.mul(depth, write.word(COLUMNS))), weights)
        for r in range(ROWS):
            row = write.at(out, builder.mul(out_row, write.word(r)))
            for g in range(GROUPS):
                write.store(builder.load(sums[r * GROUPS + g]), write.at(row, write.word(LANES * g)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 9), generate


def _activate(
    typing: Any,
    source: Any,
    scale: Any,
    shift: Any,
    negative_slope: Any,
    target: Any,
    target_row: Any,
    voxels: Any,
    channels: Any,
) -> Any:
    """Write ``target[p, c] = max(v, negative_slope · v)``, ``v = source[p, c] · scale[c] + shift[c]``, for voxels p."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, scale, shift, negative_slope, target, target_row, voxels, channels = arguments
        write = SimdBuilder(builder)
        slope = write.broadcast(negative_slope)
        with write.loop(voxels) as (p, _):
            first, place = write.at(source, builder.mul(p, channels)), write.at(target, builder.mul(p, target_row))
            with write.loop(channels, LANES) as (c, _):
                factor, offset = write.load(write.at(scale, c)), write.load(write.at(shift, c))
                write.prefetch(write.at(write.at(first, c), write.word(AHEAD)))
                value = write.multiply_add(write.load(write.at(first, c)), factor, offset)
                less = builder.fmul(value, slope)
                larger = builder.select(builder.fcmp_ordered(">", value, less), value, less)
                write.store(larger, write.at(place, c))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3, types.float32, *[types.int64] * 4), generate


def _store_with_moments(
    typing: Any, source: Any, source_row: Any, target: Any, voxels: Any, channels: Any, sums: Any
) -> Any:
    """Write ``target[p, c] = source[p, c]`` and its moments to ``sums[c]`` and ``sums[channels + c]``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, source_row, target, voxels, channels, sums = arguments
        write = SimdBuilder(builder)
        with write.loop(channels, LANES) as (c, _):
            total, square = write.alloca([write.constant(0), write.constant(0)])
            first, place = write.at(source, c), write.at(target, c)
            with write.loop(voxels) as (p, _):
                value = write.load(write.at(first, builder.mul(p, source_row)))
                write.store(value, write.at(place, builder.mul(p, channels)))
                builder.store(write.plus(builder.load(total), value), total)
                builder.store(write.multiply_add(value, value, builder.load(square)), square)
            write.store(builder.load(total), write.at(sums, c))
            write.store(builder.load(square), write.at(write.at(sums, channels), c))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), generate


def _transpose(typing: Any, source: Any, source_row: Any, target: Any, plane: Any, channels: Any) -> Any:
    """Write ``target[c · plane + p] = source[p, c]`` for 8 voxels p and up to 8 ``channels`` c."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, source_row, target, plane, channels = arguments
        write = SimdBuilder(builder)
        rows = [write.load(write.at(source, builder.mul(source_row, write.word(p)))) for p in range(LANES)]
        for c, line in enumerate(write.transpose(rows)):
            with builder.if_then(builder.icmp_signed(">", channels, write.word(c))):
                write.store(line, write.at(target, builder.mul(plane, write.word(c))))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


multiply: Any = intrinsic(_multiply)
activate: Any = intrinsic(_activate)
store_with_moments: Any = intrinsic(_store_with_moments)
transpose: Any = intrinsic(_transpose)
