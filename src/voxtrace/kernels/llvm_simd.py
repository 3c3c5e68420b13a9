"""SIMD instructions as LLVM IR: what the compiled loops build their innermost parts from.

numba's own vectoriser keeps sums in memory and checks every pointer for overlap; written as IR, sums stay in registers.
A vector has 8 lanes of float32, one register of AVX2; narrower processors split it, wider ones use a part. LLVM
translates it for the processor it runs on. Addresses and offsets are 64-bit integers; offsets count floats.
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


class SimdBuilder:
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

    def load(self, address: Any) -> Any:
        """Return the vector at an address."""
        return self.builder.load(self.pointer(address, VECTOR), align=UNALIGNED)

    def store(self, value: Any, address: Any) -> None:
        """Write a vector to an address."""
        self.builder.store(value, self.pointer(address, VECTOR), align=UNALIGNED)

    def prefetch(self, address: Any) -> None:
        """Prefetch the cache line at an address; an invalid address does nothing."""
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), *[ir.IntType(32)] * 3])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        small = ir.IntType(32)
        self.builder.call(function, [self.pointer(address, ir.IntType(8)), small(0), small(3), small(1)])

    def broadcast(self, scalar: Any) -> Any:
        """Return a vector with a scalar in every lane."""
        undefined = ir.Constant(VECTOR, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        return self.shuffle(first, undefined, [0] * LANES)

    def transpose(self, rows: Sequence[Any]) -> list[Any]:
        """Return the transpose of eight vectors: lane i of vector j becomes lane j of vector i."""
        columns = list(rows)
        for step in (4, 2, 1):
            for i in (i for i in range(LANES) if not i & step):
                # Each pair of vectors exchanges one corner of every square of 2·step lanes.
                pair = columns[i], columns[i + step]
                low = [LANES + lane - step if lane & step else lane for lane in range(LANES)]
                columns[i] = self.shuffle(*pair, low)
                columns[i + step] = self.shuffle(*pair, [lane + step for lane in low])
        return columns

    def shuffle(self, a: Any, b: Any, lanes: Sequence[int]) -> Any:
        """Return a vector of chosen lanes of a (0 to 7) and b (8 to 15)."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), LANES), list(lanes)))

    def load_broadcast(self, address: Any) -> Any:
        """Return a vector with the float at an address in every lane."""
        return self.broadcast(self.builder.load(self.pointer(address, FLOAT), align=UNALIGNED))

    def constant(self, value: float) -> Any:
        """Return a vector with a constant in every lane."""
        return ir.Constant(VECTOR, [float(value)] * LANES)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """Return a · b + c, rounded once where the processor fuses them."""
        return self.builder.call(self.fused, [self.constant(a) if isinstance(a, (int, float)) else a, b, c])

    def times(self, a: float, b: Any) -> Any:
        """Return a · b for a constant a."""
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

    def alloca(self, starts: Sequence[Any]) -> list[Any]:
        """Return stack slots for vectors that change in a loop, each set to its start; LLVM keeps them in registers."""
        places = [cgutils.alloca_once(self.builder, VECTOR) for _ in starts]
        for place, start in zip(places, starts, strict=True):
            self.builder.store(start, place)
        return places

    def loop(self, end: Any, step: int = 1, first: Any = None) -> Any:
        """Return a context manager for a loop over an index from ``first`` (0) by ``step``, below ``end``."""
        return cgutils.for_range_slice(self.builder, self.word(0) if first is None else first, end, self.word(step))


def _as_pointer(typing: Any, address: Any) -> Any:
    """Return an address as a pointer, for ``carray``."""
    from numba import types

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


as_pointer: Any = intrinsic(_as_pointer)
