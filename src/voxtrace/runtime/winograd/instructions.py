"""The innermost loops in vector instructions: products of small matrices, and Winograd's transforms.

All work on channels-last memory, so a vector is 8 channels of one voxel. Arguments are addresses and, in floats,
offsets. The constants are those of Lavin and Gray for the points 0, ±1, ±2, ∞ (of six numbers) and 0, ±1, ∞ (of four).

References
----------
Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016 (arXiv:1509.09308), section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

from voxtrace.runtime.vectors import LANES, WORD, Writer, cgutils

ROWS, GROUPS = 6, 2  # a tile of products: 12 sums, which leave 4 of AVX2's 16 registers for what is read
COLUMNS = GROUPS * LANES
Vectors = list[Any]


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
    """Write ``out[r, :16] = start[:16] + Σ_t Σ_k a[offsets[t] + r·a_row + k] · w[t, k, :16]`` for 0 ≤ r < 6."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, a_row, offsets, taps, depth, w, start, out, out_row = arguments
        write = Writer(builder)
        begin = [write.vector(write.at(start, write.word(LANES * g))) for g in range(GROUPS)]
        sums = write.places([begin[g] for _ in range(ROWS) for g in range(GROUPS)])
        weights = cgutils.alloca_once_value(builder, w)
        with write.each(taps) as (tap, _):
            offset = builder.load(write.pointer(builder.add(offsets, builder.mul(tap, write.word(8))), WORD))
            base = write.at(a, offset)
            rows = [write.at(base, builder.mul(a_row, write.word(r))) for r in range(ROWS)]
            first = builder.load(weights)
            with write.each(depth) as (k, _):
                here = write.at(first, builder.mul(k, write.word(COLUMNS)))
                factors = [write.vector(write.at(here, write.word(LANES * g))) for g in range(GROUPS)]
                for r in range(ROWS):
                    value = write.number(write.at(rows[r], k))
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


def _forward6(w: Writer, d: Vectors) -> Vectors:
    """Return Bᵀd of six numbers: F(4, 3)."""
    even, odd = w.multiply_add(-4, d[2], d[4]), w.multiply_add(-4, d[1], d[3])
    plain, turned = w.minus(d[4], d[2]), w.minus(d[3], d[1])
    return [
        w.multiply_add(4, d[0], w.multiply_add(-5, d[2], d[4])),
        w.plus(even, odd),
        w.minus(even, odd),
        w.multiply_add(2, turned, plain),
        w.multiply_add(-2, turned, plain),
        w.multiply_add(4, d[1], w.multiply_add(-5, d[3], d[5])),
    ]


def _inverse6(w: Writer, m: Vectors) -> Vectors:
    """Return Aᵀm of six products: four numbers."""
    ones, signs = w.plus(m[1], m[2]), w.minus(m[1], m[2])
    twos, turned = w.plus(m[3], m[4]), w.minus(m[3], m[4])
    return [
        w.plus(m[0], w.plus(ones, twos)),
        w.multiply_add(2, turned, signs),
        w.multiply_add(4, twos, ones),
        w.multiply_add(8, turned, w.plus(signs, m[5])),
    ]


def _forward4(w: Writer, d: Vectors) -> Vectors:
    """Return Bᵀd of four numbers: F(2, 3)."""
    return [w.minus(d[0], d[2]), w.plus(d[1], d[2]), w.minus(d[2], d[1]), w.minus(d[1], d[3])]


def _transform(inputs: int, recipe: Callable[[Writer, Vectors], Vectors]) -> Any:
    """Return the intrinsic that applies ``recipe`` across vectors.

    Its arguments: source, floats from one input to the next, target, floats from one output to the next, floats in all.
    """

    def apply(typing: Any, source: Any, source_step: Any, target: Any, target_step: Any, floats: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source, source_step, target, target_step, floats = arguments
            write = Writer(builder)
            with write.each(floats, LANES) as (i, _):
                first, place = write.at(source, i), write.at(target, i)
                steps = [builder.mul(source_step, write.word(n)) for n in range(inputs)]
                for n, value in enumerate(recipe(write, [write.vector(write.at(first, step)) for step in steps])):
                    write.store(value, write.at(place, builder.mul(target_step, write.word(n))))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), generate

    return intrinsic(apply)


def _add(typing: Any, source: Any, target: Any, floats: Any, sign: Any) -> Any:
    """Write ``target[i] += sign · source[i]`` for 0 ≤ i < floats."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target, floats, sign = arguments
        write = Writer(builder)
        factor = write.spread(sign)
        with write.each(floats, LANES) as (i, _):
            place = write.at(target, i)
            write.store(write.multiply_add(factor, write.vector(write.at(source, i)), write.vector(place)), place)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3, types.float32), generate


def _activate(
    typing: Any,
    source: Any,
    scale: Any,
    shift: Any,
    leak: Any,
    target: Any,
    target_row: Any,
    voxels: Any,
    channels: Any,
) -> Any:
    """Write ``target[p, c] = max(v, leak · v)``, ``v = source[p, c] · scale[c] + shift[c]``, for so many voxels p."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, scale, shift, leak, target, target_row, voxels, channels = arguments
        write = Writer(builder)
        slope = write.spread(leak)
        with write.each(channels, LANES) as (c, _):
            factor, offset = write.vector(write.at(scale, c)), write.vector(write.at(shift, c))
            first, place = write.at(source, c), write.at(target, c)
            with write.each(voxels) as (p, _):
                value = write.multiply_add(write.vector(write.at(first, builder.mul(p, channels))), factor, offset)
                less = builder.fmul(value, slope)
                larger = builder.select(builder.fcmp_ordered(">", value, less), value, less)
                write.store(larger, write.at(place, builder.mul(p, target_row)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3, types.float32, *[types.int64] * 4), generate


def _finish(
    typing: Any, source: Any, source_row: Any, bias: Any, target: Any, voxels: Any, channels: Any, sums: Any
) -> Any:
    """Write ``target[p, c] = source[p, c] + bias[c]`` and add to ``sums[c]`` and ``sums[channels + c]`` its moments."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, source_row, bias, target, voxels, channels, sums = arguments
        write = Writer(builder)
        with write.each(channels, LANES) as (c, _):
            offset = write.vector(write.at(bias, c))
            total, square = write.places([write.constant(0), write.constant(0)])
            first, place = write.at(source, c), write.at(target, c)
            with write.each(voxels) as (p, _):
                value = write.plus(write.vector(write.at(first, builder.mul(p, source_row))), offset)
                write.store(value, write.at(place, builder.mul(p, channels)))
                builder.store(write.plus(builder.load(total), value), total)
                builder.store(write.multiply_add(value, value, builder.load(square)), square)
            write.store(builder.load(total), write.at(sums, c))
            write.store(builder.load(square), write.at(write.at(sums, channels), c))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), generate


multiply: Any = intrinsic(_multiply)
to_six, from_six, to_four = _transform(6, _forward6), _transform(6, _inverse6), _transform(4, _forward4)
add: Any = intrinsic(_add)
activate: Any = intrinsic(_activate)
finish: Any = intrinsic(_finish)
