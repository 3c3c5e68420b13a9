"""Kernels: the engine's inner loops over voxels, compiled by numba, one pass over memory each.

With torch's operators one window of 32×128×192 voxels and 14 labels needs softmax, maximum, two reductions and a
second maximum: five passes over 44 MB, in which a fast network would spend less time than its answer. Each kernel here
takes a range of planes (or rows) and releases the interpreter's lock, so that threads share the work
(:func:`in_parallel`); what it sums it sums plane by plane, so that the result does not depend on how many threads
there are.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_STRETCH = 32  # columns of the output in which few labels compete
_ENOUGH = 1 << 16  # values below which a second thread costs more than it saves
_LOWEST = np.float32(-87.0)  # exp(−87) is the smallest power that float32 holds at full precision
_LOG2_E = np.float32(1.4426950408889634)
_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
# Minimax polynomial of 2^f on |f| ≤ ½, of degree 6; relative error below 2e-7.
_C1, _C2, _C3 = np.float32(0.69314718), np.float32(0.24022651), np.float32(0.05550411)
_C4, _C5, _C6 = np.float32(0.00961813), np.float32(0.00133336), np.float32(0.00015404)


def in_parallel(threads: int, n: int, values: int, kernel: Callable[..., None], *arguments: Any) -> None:
    """Call ``kernel(*arguments, lo, hi)`` for ranges that make up 0 … n; in one piece where ``values`` are few."""
    pieces = min(threads, n) if values >= _ENOUGH else 1
    if pieces <= 1:
        kernel(*arguments, 0, n)
        return
    borders = [n * i // pieces for i in range(pieces + 1)]
    others = [_pool(threads).submit(kernel, *arguments, lo, hi) for lo, hi in pairwise(borders[1:])]
    kernel(*arguments, 0, borders[1])
    for other in others:
        other.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="voxtrace-kernel")


@intrinsic
def _float_of_bits(context: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@njit(nogil=True, inline="always")
def _exp(x: Any) -> Any:
    """Return e^x for −87 ≤ x ≤ 0: 2^n from the bits of n, 2^f from a polynomial; compilers vectorise it."""
    t = x * _LOG2_E
    n = np.floor(t + _HALF)
    f = t - n
    power = _ONE + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))
    return power * _float_of_bits((np.int32(n) + np.int32(127)) << np.int32(23))  # type: ignore[call-arg]


@njit(nogil=True, cache=True, fastmath={"nsz", "contract", "reassoc"})
def assess(logits, before, labels, normaliser, changed, entropy, lo, hi):  # type: ignore[no-untyped-def]
    """Fill labels, log Σ exp and the sums per plane for logits (K, Z, Y, X) float32, planes lo ≤ z < hi.

    ``before`` and ``labels`` (Z, Y, X) uint8 or uint16, ``normaliser`` (Z, Y, X) float32, ``changed`` and ``entropy``
    (Z,) float64: voxels whose label differs from ``before``, and the sum over voxels of −Σ p·log p in nats, which is
    log Σ e^d − Σ d·e^d / Σ e^d with d = logit − the largest one.
    """
    K, _, Y, X = logits.shape
    top, total, expected = np.empty(X, np.float32), np.empty(X, np.float32), np.empty(X, np.float32)
    best = np.empty(X, np.int32)
    for z in range(lo, hi):
        differ, uncertain = 0, 0.0
        for y in range(Y):
            for x in range(X):
                top[x], best[x] = logits[0, z, y, x], 0
                total[x], expected[x] = 0.0, 0.0
            for k in range(1, K):
                for x in range(X):
                    better = logits[k, z, y, x] > top[x]
                    best[x] = k if better else best[x]
                    top[x] = logits[k, z, y, x] if better else top[x]
            for k in range(K):
                for x in range(X):
                    d = max(logits[k, z, y, x] - top[x], _LOWEST)
                    e = _exp(d)
                    total[x] += e
                    expected[x] += e * d
            row = 0.0
            for x in range(X):
                differ += best[x] != before[z, y, x]
                labels[z, y, x] = best[x]
                log_total = np.log(total[x])
                normaliser[z, y, x] = top[x] + log_total
                row += log_total - expected[x] / total[x]
            uncertain += row
        changed[z], entropy[z] = differ, uncertain


@njit(nogil=True, cache=True, fastmath={"nsz", "contract"})
def accumulate(sums, logits, normaliser, blend, turn, y0, x0, lo, hi):  # type: ignore[no-untyped-def]
    """Add blend·softmax(logits) of planes lo ≤ z < hi of a window to ``sums`` (K, depth, Y, X), a ring along z.

    ``logits`` (K, Z, Y', X'), ``normaliser`` and ``blend`` (Z, Y', X'); the window lies at slot ``turn`` of the ring,
    row ``y0`` and column ``x0``.
    """
    K, _, Y, X = logits.shape
    depth = sums.shape[1]
    for z in range(lo, hi):
        slot = (turn + z) % depth
        for k in range(K):
            for y in range(Y):
                into = sums[k, slot, y0 + y, x0 : x0 + X]
                for x in range(X):
                    d = min(max(logits[k, z, y, x] - normaliser[z, y, x], _LOWEST), _ZERO)
                    into[x] += blend[z, y, x] * _exp(d)


@njit(nogil=True, cache=True)
def accumulate_logits(sums, logits, blend, turn, y0, x0, lo, hi):  # type: ignore[no-untyped-def]
    """Add blend·logits; as :func:`accumulate`."""
    K, _, Y, X = logits.shape
    for z in range(lo, hi):
        slot = (turn + z) % sums.shape[1]
        for k in range(K):
            for y in range(Y):
                into = sums[k, slot, y0 + y, x0 : x0 + X]
                for x in range(X):
                    into[x] += blend[z, y, x] * logits[k, z, y, x]


@njit(nogil=True, cache=True)
def take(sums, weights, slot, planes, lo, hi):  # type: ignore[no-untyped-def]
    """Fill rows lo ≤ y < hi of ``planes`` (K, Y, X) with sums/weights at one slot of a ring, and set the sums to 0.

    ``sums`` (K, depth, Y, X), ``weights`` (depth, Y, X). Where no weight is, label 0 gets 1.
    """
    K, X = sums.shape[0], sums.shape[3]
    for y in range(lo, hi):
        for k in range(K):
            nobody = _ONE if k == 0 else _ZERO
            for x in range(X):
                weight = weights[slot, y, x]
                planes[k, y, x] = sums[k, slot, y, x] / weight if weight > 0 else nobody
                sums[k, slot, y, x] = 0.0


@njit(nogil=True, cache=True, fastmath={"nsz", "nnan", "contract"})
def choose(below, above, share, rows, row_share, columns, column_share, least, labels, lo, hi):  # type: ignore[no-untyped-def]
    """Fill ``labels`` (Y, X), rows lo ≤ y < hi, with the strongest label of two planes (K, Y', X') float32.

    The planes are mixed (``share`` of ``above``) and enlarged linearly: output row y lies between input rows
    ``rows[y]``, of which the second has weight ``row_share[y]``; columns alike. The lower label wins a tie.

    Along a short stretch of a row most labels cannot win: those that stay below ``least``, and those whose largest
    value is below the smallest value of another one. They are left out, which changes nothing.
    """
    K, _, wide = below.shape
    X = labels.shape[1]
    mixed, highest, best = np.empty((K, wide), np.float32), np.empty(K, np.float32), np.empty(X, np.float32)
    for y in range(lo, hi):
        y0, y1, b = rows[y, 0], rows[y, 1], row_share[y]
        a = _ONE - b
        for k in range(K):
            for x in range(wide):
                first = a * below[k, y0, x] + b * below[k, y1, x]
                second = a * above[k, y0, x] + b * above[k, y1, x]
                mixed[k, x] = first + share * (second - first)
        best[:] = -np.inf
        labels[y, :] = 0
        for start in range(0, X, _STRETCH):
            stop = min(start + _STRETCH, X)
            left, right = columns[start, 0], columns[stop - 1, 1] + 1
            needed = np.float32(least)
            for k in range(K):
                low, high = mixed[k, left], mixed[k, left]
                for x in range(left, right):
                    low, high = min(low, mixed[k, x]), max(high, mixed[k, x])
                needed, highest[k] = max(needed, low), high
            for k in range(K):
                if highest[k] < needed:
                    continue
                row = mixed[k]
                for x in range(start, stop):
                    one, other = row[columns[x, 0]], row[columns[x, 1]]
                    value = one + column_share[x] * (other - one)
                    better = value > best[x]
                    best[x] = value if better else best[x]
                    labels[y, x] = k if better else labels[y, x]
