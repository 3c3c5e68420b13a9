"""Winograd's input and output transforms in SIMD instructions.

The points of six numbers are 0, ±3/4, ±3/2, ∞. Those of Lavin and Gray, 0, ±1, ±2, ∞, make numbers of more unequal
size, and the rounding eight times as large where all three axes have them. Nine numbers that are read with stride 2
are four that are left alone, at odd places, and five at ±1/2, ±5/4, ∞.

References
----------
Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016 (arXiv:1509.09308), section 4.
Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks", ACM
Transactions on Mathematical Software 46, 2020 (arXiv:1803.10986): which points round less.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

from voxtrace.kernels.llvm_simd import LANES, SimdBuilder

# ±POINT and ±2·POINT; powers are exact.
POINT = 0.75
NEAR, FAR = 0.5, 1.25
SQUARE, CUBE = POINT**2, POINT**3
Vectors = list[Any]


def _forward6(w: SimdBuilder, d: Vectors) -> Vectors:
    """Return Bᵀd of six numbers: F(4, 3)."""
    even, odd = w.multiply_add(-4 * SQUARE, d[2], d[4]), w.multiply_add(-4 * SQUARE, d[1], d[3])
    plain, odd_part = w.multiply_add(-SQUARE, d[2], d[4]), w.multiply_add(-SQUARE, d[1], d[3])
    return [
        w.multiply_add(4 * SQUARE**2, d[0], w.multiply_add(-5 * SQUARE, d[2], d[4])),
        w.multiply_add(POINT, odd, even),
        w.multiply_add(-POINT, odd, even),
        w.multiply_add(2 * POINT, odd_part, plain),
        w.multiply_add(-2 * POINT, odd_part, plain),
        w.multiply_add(4 * SQUARE**2, d[1], w.multiply_add(-5 * SQUARE, d[3], d[5])),
    ]


def _inverse6(w: SimdBuilder, m: Vectors) -> Vectors:
    """Return Aᵀm of six products: four numbers, Σ pⁿ · m over the points p."""
    ones, signs = w.plus(m[1], m[2]), w.minus(m[1], m[2])
    twos, odd_part = w.plus(m[3], m[4]), w.minus(m[3], m[4])
    return [
        w.plus(m[0], w.plus(ones, twos)),
        w.times(POINT, w.multiply_add(2, odd_part, signs)),
        w.times(SQUARE, w.multiply_add(4, twos, ones)),
        w.multiply_add(CUBE, w.multiply_add(8, odd_part, signs), m[5]),
    ]


def _forward9(w: SimdBuilder, d: Vectors) -> Vectors:
    """Return Bᵀd of nine numbers: those at odd places, and F(4, 2) of those at even ones."""
    near, far = NEAR**2, FAR**2
    odd_far, even_far = w.multiply_add(-far, d[2], d[6]), w.multiply_add(-far, d[0], d[4])
    odd_near, even_near = w.multiply_add(-near, d[2], d[6]), w.multiply_add(-near, d[0], d[4])
    return [
        *d[1::2],
        w.multiply_add(NEAR, even_far, odd_far),
        w.multiply_add(-NEAR, even_far, odd_far),
        w.multiply_add(FAR, even_near, odd_near),
        w.multiply_add(-FAR, even_near, odd_near),
        w.multiply_add(near * far, d[0], w.multiply_add(-near - far, d[4], d[8])),
    ]


def _inverse9(w: SimdBuilder, m: Vectors) -> Vectors:
    """Return Aᵀm of nine products: four numbers, those left alone and Σ pⁿ · m over the points p."""
    near, near_signs = w.plus(m[4], m[5]), w.minus(m[4], m[5])
    far, far_signs = w.plus(m[6], m[7]), w.minus(m[6], m[7])
    sums = [near, near_signs, near, near_signs]
    more = [far, far_signs, far, far_signs]
    values = [w.multiply_add(FAR**n, more[n], w.multiply_add(NEAR**n, sums[n], m[n])) for n in range(4)]
    return [*values[:3], w.plus(values[3], m[8])]


def _transform(inputs: int, recipe: Callable[[SimdBuilder, Vectors], Vectors]) -> Any:
    """Return the intrinsic that applies ``recipe`` across vectors.

    Its arguments: source, floats from one input to the next, target, floats from one output to the next, floats in all.
    """

    def apply(typing: Any, source: Any, source_step: Any, target: Any, target_step: Any, floats: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source, source_step, target, target_step, floats = arguments
            write = SimdBuilder(builder)
            with write.loop(floats, LANES) as (i, _):
                first, place = write.at(source, i), write.at(target, i)
                steps = [builder.mul(source_step, write.word(n)) for n in range(inputs)]
                for n, value in enumerate(recipe(write, [write.load(write.at(first, step)) for step in steps])):
                    write.store(value, write.at(place, builder.mul(target_step, write.word(n))))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), generate

    return intrinsic(apply)


def _complete(inputs: int, recipe: Callable[[SimdBuilder, Vectors], Vectors]) -> Any:
    """Return the intrinsic that brings products back along Z, by ``factors`` of its points, and along Y to four rows.

    It writes ``target[n, x, c] = recipe(Σ factors[p] · lines[p, :, x, c])[n] + bias[c]`` to so many of the four rows n,
    and adds their moments to ``sums[c]`` and ``sums[channels + c]``. ``lines`` (points, inputs, voxels, wide).
    """

    def apply(
        typing: Any,
        lines: Any,
        point: Any,
        line: Any,
        wide: Any,
        factors: Any,
        points: Any,
        bias: Any,
        target: Any,
        row: Any,
        rows: Any,
        voxels: Any,
        channels: Any,
        sums: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            lines, point, line, wide, factors, points, bias, target, row, rows, voxels, channels, sums = arguments
            w = SimdBuilder(builder)
            with w.loop(voxels) as (x, _), w.loop(channels, LANES) as (c, _):
                source = w.at(lines, builder.add(builder.mul(x, wide), c))
                place = w.at(target, builder.add(builder.mul(x, channels), c))
                steps = [builder.mul(line, w.word(r)) for r in range(inputs)]
                factor = w.load_broadcast(factors)
                products = w.alloca([builder.fmul(factor, w.load(w.at(source, step))) for step in steps])
                with w.loop(points, first=w.word(1)) as (p, _):
                    factor, plane = w.load_broadcast(w.at(factors, p)), w.at(source, builder.mul(point, p))
                    for step, product in zip(steps, products, strict=True):
                        value = w.multiply_add(factor, w.load(w.at(plane, step)), builder.load(product))
                        builder.store(value, product)
                offset = w.load(w.at(bias, c))
                first = w.at(sums, c)
                second = w.at(first, channels)
                total, square = w.alloca([w.load(first), w.load(second)])
                for n, value in enumerate(recipe(w, [builder.load(product) for product in products])):
                    with builder.if_then(builder.icmp_signed(">", rows, w.word(n))):
                        moved = w.plus(value, offset)
                        w.store(moved, w.at(place, builder.mul(row, w.word(n))))
                        builder.store(w.plus(builder.load(total), moved), total)
                        builder.store(w.multiply_add(moved, moved, builder.load(square)), square)
                w.store(builder.load(total), first)
                w.store(builder.load(square), second)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 13), generate

    return intrinsic(apply)


input_transform_6, input_transform_9 = _transform(6, _forward6), _transform(9, _forward9)
output_transform_6, output_transform_9 = _transform(6, _inverse6), _transform(9, _inverse9)
complete_6, complete_9 = _complete(6, _inverse6), _complete(9, _inverse9)
