"""Vector instructions, written out: what compiled loops build their innermost parts from.

numba's own vectoriser keeps sums in memory and guards every pointer; written out, sums stay in registers. A vector has
8 lanes of float32, which is a register of AVX2; narrower processors split it, wider ones use a part. LLVM translates
for whatever processor runs it. Addresses and offsets are 64-bit integers; offsets count floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic

cgutils: Any = _cgutils  # has no types

LANES = 8
FLOAT_BYTES, UNALIGNED = 4, 4
FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, LANES)
WORD = ir.IntType(64)


class Writer:
    """Writes loads, stores and fused products into a function that LLVM compiles."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        # `fmuladd` fuses where the processor can; `fma` would call a slow routine where it cannot.
        self.fused = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")

    def word(self, value: int) -> Any:
        """Return an integer."""
        return ir.Constant(WORD, value)

    def at(self, address: Any, floats: Any) -> Any:
        """Return ``address`` moved by so many floats."""
        return self.builder.add(address, self.builder.mul(floats, self.word(FLOAT_BYTES)))

    def pointer(self, address: Any, kind: Any) -> Any:
        """Return an address as a pointer."""
        return self.builder.inttoptr(address, kind.as_pointer())

    def vector(self, address: Any) -> Any:
        """Return the vector that lies there."""
        return self.builder.load(self.pointer(address, VECTOR), align=UNALIGNED)

    def store(self, value: Any, address: Any) -> None:
        """Put a vector there."""
        self.builder.store(value, self.pointer(address, VECTOR), align=UNALIGNED)

    def fetch(self, address: Any) -> None:
        """Bring the line of the cache that lies there near, if there is one."""
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), *[ir.IntType(32)] * 3])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        small = ir.IntType(32)
        self.builder.call(function, [self.pointer(address, ir.IntType(8)), small(0), small(3), small(1)])

    def spread(self, scalar: Any) -> Any:
        """Return a vector with one number in every lane."""
        undefined = ir.Constant(VECTOR, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        return self.mixed(first, undefined, [0] * LANES)

    def turned(self, rows: Sequence[Any]) -> list[Any]:
        """Return eight vectors turned: lane i of vector j becomes lane j of vector i."""
        turned = list(rows)
        for step in (4, 2, 1):
            for i in (i for i in range(LANES) if not i & step):
                pair = turned[i], turned[i + step]  # which exchange a corner of each square of 2·step
                low = [LANES + lane - step if lane & step else lane for lane in range(LANES)]
                turned[i], turned[i + step] = self.mixed(*pair, low), self.mixed(*pair, [lane + step for lane in low])
        return turned

    def mixed(self, a: Any, b: Any, lanes: Sequence[int]) -> Any:
        """Return a vector of these lanes of a (from 0) and b (from 8)."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(lanes)))

    def number(self, address: Any) -> Any:
        """Return the number that lies there, in every lane."""
        return self.spread(self.builder.load(self.pointer(address, FLOAT), align=UNALIGNED))

    def constant(self, value: float) -> Any:
        """Return a number in every lane."""
        return ir.Constant(VECTOR, [float(value)] * LANES)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """Return a · b + c, rounded once where the processor fuses them."""
        return self.builder.call(self.fused, [self.constant(a) if isinstance(a, (int, float)) else a, b, c])

    def times(self, a: float, b: Any) -> Any:
        """Return a · b of a number that is known."""
        return self.builder.fmul(self.constant(a), b)

    def plus(self, *terms: Any) -> Any:
        """Return the sum of vectors, from left to right."""
        total = terms[0]
        for term in terms[1:]:
            total = self.builder.fadd(total, term)
        return total

    def minus(self, a: Any, b: Any) -> Any:
        """Return a − b."""
        return self.builder.fsub(a, b)

    def places(self, starts: Sequence[Any]) -> list[Any]:
        """Return places for vectors that change in a loop, each holding its start; LLVM keeps them in registers."""
        places = [cgutils.alloca_once(self.builder, VECTOR) for _ in starts]
        for place, start in zip(places, starts, strict=True):
            self.builder.store(start, place)
        return places

    def each(self, end: Any, step: int = 1, first: Any = None) -> Any:
        """Return a context for a loop: its value begins with an index from first (0), by steps, below ``end``."""
        return cgutils.for_range_slice(self.builder, self.word(0) if first is None else first, end, self.word(step))


def _as_pointer(typing: Any, address: Any) -> Any:
    """Return an address as a pointer, for ``carray``."""
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


as_pointer: Any = intrinsic(_as_pointer)
