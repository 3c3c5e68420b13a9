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

from numba import types
from numba.extending import intrinsic

from voxtrace.kernels.llvm_simd import LANES, WORD, SimdBuilder

TILE_ROWS, TILE_COLUMNS = 4, 16
GROUPS = TILE_COLUMNS // LANES


def _add(writer: SimdBuilder, place: Any, weight: Any, value: Any) -> None:
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
        write = SimdBuilder(builder)
        sums = write.alloca([write.broadcast(bias)] * (TILE_ROWS * GROUPS))
        with write.loop(last, first=first) as (k, _):
            offset = builder.load(write.pointer(builder.add(channels, builder.mul(k, write.word(8))), WORD))
            base = write.at(packed, offset)
            nine = write.at(weights, builder.mul(k, write.word(9)))
            for tap in range(3):
                column = [write.load_broadcast(write.at(nine, write.word(3 * ky + tap))) for ky in range(3)]
                for y in range(TILE_ROWS + 2):
                    start = write.at(base, builder.mul(row, write.word(y)))
                    for group in range(GROUPS):
                        value = write.load(write.at(start, write.word(tap + group * LANES)))
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


convolve_tile: Any = intrinsic(_convolve_tile)
