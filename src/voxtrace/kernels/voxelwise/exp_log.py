"""e^x and log x in float32, written so that LLVM vectorises them inside loops that numba compiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# e^−87 is about the smallest power that float32 holds at full precision.
LOWEST = np.float32(-87.0)
_LOG2_E, _LOG_2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)
_HALF, _ONE = np.float32(0.5), np.float32(1.0)
_ROOT_HALF = np.int32(0x3F3504F3)  # bits of √½
# Minimax polynomial of 2^f on |f| ≤ ½, of degree 6; relative error below 2e-7.
_C1, _C2, _C3 = np.float32(0.69314718), np.float32(0.24022651), np.float32(0.05550411)
_C4, _C5, _C6 = np.float32(0.00961813), np.float32(0.00133336), np.float32(0.00015404)
# Minimax polynomial of (log(1 + f) − f + f²/2)/f³ on √½ ≤ 1 + f < √2, of degree 8 (Moshier, Cephes, logf).
_L3, _L4, _L5 = np.float32(0.33333331174), np.float32(-0.24999993993), np.float32(0.20000714765)
_L6, _L7, _L8 = np.float32(-0.16668057665), np.float32(0.14249322787), np.float32(-0.12420140846)
_L9, _L10, _L11 = np.float32(0.11676998740), np.float32(-0.11514610310), np.float32(0.070376836292)


def _float_of(context: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


def _bits_of(context: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


_float_of_bits: Any = intrinsic(_float_of)
_bits_of_float: Any = intrinsic(_bits_of)


@njit(nogil=True, inline="always")
def exp(x: Any) -> Any:
    """Return e^x for −87 ≤ x ≤ 0: 2^n from the bits of n, 2^f from a polynomial."""
    t = x * _LOG2_E
    n = np.floor(t + _HALF)
    f = t - n
    power = _ONE + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))
    return power * _float_of_bits((np.int32(n) + np.int32(127)) << np.int32(23))


@njit(nogil=True, inline="always")
def log(x: Any) -> Any:
    """Return log x for x ≥ 1, x = 2^n·(1 + f) with √½ ≤ 1 + f < √2: n·log 2 + log(1 + f), that by a polynomial."""
    bits = _bits_of_float(x)
    n = np.int32(np.int32(bits - _ROOT_HALF) >> np.int32(23))
    f = _float_of_bits(np.int32(bits - np.int32(n << np.int32(23)))) - _ONE
    power = _L3 + f * (_L4 + f * (_L5 + f * (_L6 + f * (_L7 + f * (_L8 + f * (_L9 + f * (_L10 + f * _L11)))))))
    return np.float32(n) * _LOG_2 + (f - _HALF * f * f + f * f * f * power)
