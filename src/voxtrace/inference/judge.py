"""Judge: labels, log Σ exp, changed voxels and entropy of logits, compiled by numba, in one pass over memory.

Labels are taken two at a time, so that sums are loaded and stored half as often as there are labels. What is kept of
one pair for the next lies in two places in turn: LLVM would store what it keeps in place lane by lane.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from voxtrace.inference.powers import LOWEST, exp, log

_ZERO = np.float32(0.0)
_NOBODY = np.float32(-3e38)  # the logit of a label that makes their number even
_NONE = np.int32(2**20)  # more than any label


@njit(nogil=True, cache=True, fastmath={"nsz", "contract", "reassoc"})
def assess(logits, before, labels, normaliser, changed, entropy, lo, hi):  # type: ignore[no-untyped-def]
    """Fill labels, log Σ exp and the sums per plane for logits (K, Z, Y, X) float32, planes lo ≤ z < hi.

    ``before`` and ``labels`` (Z, Y, X) uint8 or uint16, ``normaliser`` (Z, Y, X) float32, ``changed`` and ``entropy``
    (Z,) float64: voxels whose label differs from ``before``, and the sum over voxels of −Σ p·log p in nats, which is
    log Σ e^d − Σ d·e^d / Σ e^d with d = logit − the largest one.
    """
    K, _, Y, X = logits.shape
    row, tops, best = np.empty((K + K % 2, X), np.float32), np.empty((2, X), np.float32), np.empty(X, np.int32)
    total, expected = np.empty(X, np.float32), np.empty(X, np.float32)
    row[K:] = _NOBODY
    for z in range(lo, hi):
        differ, uncertain = 0, 0.0
        for y in range(Y):
            top = _highest(logits, z, y, row, tops)
            _weigh(row, top, best, total, expected)
            for x in range(X):
                log_total = log(total[x])
                normaliser[z, y, x] = top[x] + log_total
                expected[x] = log_total - expected[x] / total[x]
            uncertain += expected.sum()
            for x in range(X):
                differ += best[x] != before[z, y, x]
                labels[z, y, x] = best[x]
        changed[z], entropy[z] = differ, uncertain


@njit(nogil=True, cache=True, fastmath={"nsz", "contract", "reassoc"})
def _highest(logits, z, y, row, tops):  # type: ignore[no-untyped-def]
    """Return the largest logit of each voxel (X,) of a row; copy all logits to ``row`` (K or K + 1, X).

    Rows that lie a power of two apart, as those of K labels do, push one another out of the caches: they are read once.
    """
    K, _, _, X = logits.shape
    tops[0] = logits[0, z, y]
    for k in range(0, K, 2):
        old, new = tops[k // 2 % 2], tops[1 - k // 2 % 2]
        for x in range(X):
            row[k, x] = logits[k, z, y, x]
        if k + 1 < K:
            for x in range(X):
                row[k + 1, x] = logits[k + 1, z, y, x]
        for x in range(X):
            one = row[k, x] if row[k, x] > row[k + 1, x] else row[k + 1, x]
            new[x] = one if one > old[x] else old[x]
    return tops[(K + 1) // 2 % 2]


@njit(nogil=True, cache=True, fastmath={"nsz", "contract", "reassoc"})
def _weigh(row, top, best, total, expected):  # type: ignore[no-untyped-def]
    """Fill the first label at the top, Σ e^d and Σ d·e^d for each voxel (X,) of a row (K, X), K even."""
    best[:], total[:], expected[:] = _NONE, _ZERO, _ZERO
    for k in range(0, len(row), 2):
        for x in range(len(top)):
            d, other_d = row[k, x] - top[x], row[k + 1, x] - top[x]
            first = np.int32(k) if d >= _ZERO else np.int32(k + 1) if other_d >= _ZERO else _NONE
            best[x] = min(best[x], first)
            d, other_d = max(d, LOWEST), max(other_d, LOWEST)
            e, other_e = exp(d), exp(other_d)
            total[x] += e + other_e
            expected[x] += e * d + other_e * other_d
