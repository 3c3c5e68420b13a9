"""The innermost loops as vector instructions: a tile of one output channel, summed over its active kernels.

numba's own vectoriser keeps sums in memory and guards every pointer; written out, they stay in registers. A tile is
4 rows of 16 numbers, as eight vectors of 8 lanes, which are the registers that AVX2 has to spare; narrower processors
split a lane group, wider ones use a part. LLVM translates for whatever processor runs it::

    packed rows       r0 ───────────────┐  column of taps t = 0, 1, 2: three weights w0, w1, w2 at a time
    of one input      r1 ─────────────┐ │  out0 += w0·r0[t:] + w1·r1[t:] + w2·r2[t:]
    channel           …               │ │  out1 += w0·r1[t:] + w1·r2[t:] + w2·r3[t:]
                      r5 ───────────┐ │ │  …     each loaded number is used up to three times

Products are fused with sums, kernel after kernel in the order given, so a tile's sum does not depend on threads.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic

cgutils: Any = _cgutils  # has no types

TILE_ROWS, TILE_COLUMNS, LANES = 4, 16, 8
GROUPS = TILE_COLUMNS // LANES
FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, LANES)
WORD = ir.IntType(64)
FLOAT_BYTES, UNALIGNED = 4, 4


class _Writer:
    """Writes loads, stores and fused products into a function that LLVM compiles."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        # `fmuladd` fuses where the processor can; `fma` would call a slow routine where it cannot.
        self.fused = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")

    def word(self, value: int) -> Any:
        return ir.Constant(WORD, value)

    def at(self, address: Any, floats: Any) -> Any:
        """Return ``address`` moved by so many floats."""
        return self.builder.add(address, self.builder.mul(floats, self.word(FLOAT_BYTES)))

    def pointer(self, address: Any, kind: Any) -> Any:
        return self.builder.inttoptr(address, kind.as_pointer())

    def vector(self, address: Any) -> Any:
        return self.builder.load(self.pointer(address, VECTOR), align=UNALIGNED)

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, self.pointer(address, VECTOR), align=UNALIGNED)

    def spread(self, scalar: Any) -> Any:
        """Return a vector with one number in every lane."""
        undefined = ir.Constant(VECTOR, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, undefined, lanes)

    def weight(self, address: Any) -> Any:
        return self.spread(self.builder.load(self.pointer(address, FLOAT), align=UNALIGNED))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.call(self.fused, [a, b, c])


def _sums(writer: _Writer, bias: Any, count: int) -> list[Any]:
    """Return places for sums, each starting as the bias; LLVM keeps them in registers."""
    start = writer.spread(bias)
    places = [cgutils.alloca_once(writer.builder, VECTOR) for _ in range(count)]
    for place in places:
        writer.builder.store(start, place)
    return places


def _add(writer: _Writer, place: Any, weight: Any, value: Any) -> None:
    writer.builder.store(writer.multiply_add(weight, value, writer.builder.load(place)), place)


def _convolve_tile(
    typing: Any,
    packed: Any,
    row: Any,
    channels: Any,
    weights: Any,
    first: Any,
    last: Any,
    bias: Any,
    out: Any,
    out_row: Any,
) -> Any:
    """Write a tile of 3×3 taps: ``out[y, x] = bias + Σ weights[k] · packed[channels[k]][y : y+3, x : x+3]``.

    ``packed``, ``channels``, ``weights`` and ``out`` are addresses; ``channels`` holds int64 offsets in floats, one for
    each kernel; ``row`` and ``out_row`` are floats from one row to the next; kernels are first ≤ k < last.
    """
    signature = types.void(*[types.int64] * 6, types.float32, types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        packed, row, channels, weights, first, last, bias, out, out_row = arguments
        write = _Writer(builder)
        sums = _sums(write, bias, TILE_ROWS * GROUPS)
        with cgutils.for_range_slice(builder, first, last, write.word(1)) as (k, _):
            offset = builder.load(write.pointer(builder.add(channels, builder.mul(k, write.word(8))), WORD))
            base = write.at(packed, offset)
            nine = write.at(weights, builder.mul(k, write.word(9)))
            for tap in range(3):
                column = [write.weight(write.at(nine, write.word(3 * ky + tap))) for ky in range(3)]
                for y in range(TILE_ROWS + 2):
                    start = write.at(base, builder.mul(row, write.word(y)))
                    for group in range(GROUPS):
                        value = write.vector(write.at(start, write.word(tap + group * LANES)))
                        for ky in range(3):
                            if 0 <= y - ky < TILE_ROWS:
                                _add(write, sums[(y - ky) * GROUPS + group], column[ky], value)
        for y in range(TILE_ROWS):
            start = write.at(out, builder.mul(out_row, write.word(y)))
            for group in range(GROUPS):
                place = sums[y * GROUPS + group]
                write.store(builder.load(place), write.at(start, write.word(group * LANES)))
        return context.get_dummy_value()

    return signature, generate


def _as_pointer(typing: Any, address: Any) -> Any:
    """Return an address as a pointer, for ``carray``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


convolve_tile: Any = intrinsic(_convolve_tile)
as_pointer: Any = intrinsic(_as_pointer)
