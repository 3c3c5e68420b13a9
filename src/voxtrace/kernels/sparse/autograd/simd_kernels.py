"""The gradient of nine weights as vector instructions: nine sums that stay in registers.

Four rows of the output's gradient are held while six rows of the input pass by, each shifted by t = 0, 1, 2 columns::

    input rows     r0 ─────┐   sum[0, t] += r0[t:]·g0 + r1[t:]·g1 + r2[t:]·g2 + r3[t:]·g3
                   r1 ───┐ │   sum[1, t] += r1[t:]·g0 + r2[t:]·g1 + …
                   …     │ │   sum[2, t] += r2[t:]·g0 + …
                   r5 ─┐ │ │   each loaded number is used up to three times
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from voxtrace.kernels.llvm_simd import FLOAT, LANES, UNALIGNED, VECTOR, SimdBuilder, cgutils
from voxtrace.kernels.sparse.simd_kernels import TILE_ROWS


def _correlate_tile(typing: Any, packed: Any, gradient: Any, row: Any, rows: Any, columns: Any, sums: Any) -> Any:
    """Add to nine ``sums[ky, kx]`` the products ``packed[y + ky, x + kx] · gradient[y, x]`` of rows × columns numbers.

    ``packed``, ``gradient`` and ``sums`` are addresses, ``row`` floats from one row to the next of both. ``rows`` is a
    multiple of 4 and ``columns`` of 8; what is beyond the map's edge must be 0 in ``gradient``.
    """
    signature = types.void(*[types.int64] * 6)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        packed, gradient, row, rows, columns, sums = arguments
        write = SimdBuilder(builder)
        places = write.alloca([write.constant(0)] * 9)
        with write.loop(rows, TILE_ROWS) as (y, _):
            above = builder.mul(y, row)
            with write.loop(columns, LANES) as (x, _):
                start = builder.add(above, x)
                _add_block(write, places, write.at(packed, start), write.at(gradient, start), row)
        for number, place in enumerate(places):
            _add_total(write, builder.load(place), write.at(sums, write.word(number)))
        return context.get_dummy_value()

    return signature, generate


def _add_block(write: SimdBuilder, places: list[Any], packed: Any, gradient: Any, row: Any) -> None:
    """Add the products of a block of 4 rows of one vector."""
    builder = write.builder
    held = [write.load(write.at(gradient, builder.mul(row, write.word(y)))) for y in range(TILE_ROWS)]
    for r in range(TILE_ROWS + 2):
        line = write.at(packed, builder.mul(row, write.word(r)))
        for tap in range(3):
            value = write.load(write.at(line, write.word(tap)))
            for ky in range(3):
                if 0 <= r - ky < TILE_ROWS:
                    place = places[3 * ky + tap]
                    builder.store(write.multiply_add(held[r - ky], value, builder.load(place)), place)


def _add_total(write: SimdBuilder, vector: Any, address: Any) -> None:
    """Add all lanes of a vector to the float at an address."""
    builder = write.builder
    total = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(FLOAT, [FLOAT, VECTOR]), f"llvm.vector.reduce.fadd.v{LANES}f32"
    )
    place = write.pointer(address, FLOAT)
    before = builder.load(place, align=UNALIGNED)
    builder.store(builder.call(total, [before, vector], fastmath=("reassoc",)), place, align=UNALIGNED)


correlate_tile: Any = intrinsic(_correlate_tile)
