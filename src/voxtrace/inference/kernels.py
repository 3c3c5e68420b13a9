"""Kernels: inner loops of the engine over voxels, compiled by numba, one pass over memory each.

With torch's operators one window of 32×128×192 voxels and 14 labels needs softmax, maximum, two reductions and a
second maximum: five passes over 44 MB, in which a fast network would spend less time than its answer. Each kernel,
here and in :mod:`voxtrace.inference.judge` and :mod:`voxtrace.inference.winner`, takes a range of planes (or rows) and
releases the interpreter's lock, so that threads share the work (:func:`in_parallel`); what it sums it sums plane by
plane, so that the result does not depend on how many threads there are.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit

from voxtrace.inference.powers import LOWEST, exp

_ENOUGH = 1 << 16  # values below which a second thread costs more than it saves
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


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


@njit(nogil=True, cache=True, fastmath={"nsz", "contract"})
def accumulate(sums, peaks, logits, normaliser, blend, turn, y0, x0, lo, hi):  # type: ignore[no-untyped-def]
    """Add blend·softmax(logits) of planes lo ≤ z < hi of a window to ``sums`` (K, depth, Y, X), a ring along z.

    ``logits`` (K, Z, Y', X'), ``normaliser`` and ``blend`` (Z, Y', X'); the window lies at slot ``turn`` of the ring,
    row ``y0`` and column ``x0``. ``peaks`` (K, depth) rises to the largest probability of each label and plane.
    """
    K, _, Y, X = logits.shape
    depth = sums.shape[1]
    tops = np.empty((2, X), np.float32)  # two: a value kept in place would be stored lane by lane
    for z in range(lo, hi):
        slot = (turn + z) % depth
        for k in range(K):
            tops[0] = peaks[k, slot]
            for y in range(Y):
                into, old, new = sums[k, slot, y0 + y, x0 : x0 + X], tops[y % 2], tops[1 - y % 2]
                for x in range(X):
                    d = min(max(logits[k, z, y, x] - normaliser[z, y, x], LOWEST), _ZERO)
                    p = exp(d)
                    into[x] += blend[z, y, x] * p
                    new[x] = p if p > old[x] else old[x]
            peaks[k, slot] = tops[Y % 2].max()


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
def take(sums, weights, slot, labels, planes, lo, hi):  # type: ignore[no-untyped-def]
    """Fill rows lo ≤ y < hi of ``planes`` (n, Y, X) with sums/weights at one slot of a ring, and set the sums to 0.

    ``sums`` (K, depth, Y, X), ``weights`` (depth, Y, X), ``labels`` (n,): which of the K. Where no weight is, label 0
    gets 1.
    """
    X = sums.shape[3]
    for y in range(lo, hi):
        for i, k in enumerate(labels):
            nobody = _ONE if k == 0 else _ZERO
            for x in range(X):
                weight = weights[slot, y, x]
                planes[i, y, x] = sums[k, slot, y, x] / weight if weight > 0 else nobody
        for k in range(len(sums)):
            sums[k, slot, y] = _ZERO
