"""Labels, log Σ exp, changed voxels and entropy of logits; numba, one pass over memory.

Labels are processed two at a time, so that sums are loaded and stored half as often as there are labels. The running
maximum alternates between two rows: LLVM stores a value that is kept in place lane by lane.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from voxtrace.kernels.threads import parallel_for
from voxtrace.kernels.voxelwise.exp_log import LOWEST, exp, log

Array = npt.NDArray[Any]
_ZERO = np.float32(0.0)
# Logit of the label that is added where their number is odd.
_PADDING = np.float32(-3e38)
_NONE = np.int32(2**20)  # more than any label


def argmax_entropy(logits: Array, before: Array, labels: Array, normaliser: Array) -> tuple[Array, Array]:
    """Fill ``labels`` and log Σ exp (``normaliser``) of logits; return changed voxels and entropy, summed by plane.

    ``logits`` (K, Z, Y, X) float32, contiguous; ``before`` and ``labels`` (Z, Y, X) uint8 or uint16; ``normaliser``
    (Z, Y, X) float32. Both results are (Z,) float64: how many labels differ from ``before``, and Σ −Σ p·log p in nats.
    """
    changed, entropy = np.empty(logits.shape[1]), np.empty(logits.shape[1])
    parallel_for(_assess, len(changed), logits, before, labels, normaliser, changed, entropy, values=logits.size)
    return changed, entropy


@njit(nogil=True, cache=True, fastmath={"nsz", "contract", "reassoc"})
def _assess(lo, hi, logits, before, labels, normaliser, changed, entropy):  # type: ignore[no-untyped-def]
    """Fill labels, log Σ exp and the sums per plane for logits (K, Z, Y, X) float32, planes lo ≤ z < hi.

    ``before`` and ``labels`` (Z, Y, X) uint8 or uint16, ``normaliser`` (Z, Y, X) float32, ``changed`` and ``entropy``
    (Z,) float64: voxels whose label differs from ``before``, and the sum over voxels of −Σ p·log p in nats, which is
    log Σ e^d − Σ d·e^d / Σ e^d with d = logit − the largest one.
    """
    K, _, Y, X = logits.shape
    row, tops, best = np.empty((K + K % 2, X), np.float32), np.empty((2, X), np.float32), np.empty(X, np.int32)
    total, expected = np.empty(X, np.float32), np.empty(X, np.float32)
    row[K:] = _PADDING
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

    Rows of K labels often lie a power of two apart and conflict in the caches, so they are read once.
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
