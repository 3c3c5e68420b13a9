"""Add windows to a ring of planes, and turn its sums into averages; numba, one pass over memory each.

With torch's operators one window of 32×128×192 voxels and 14 labels needs softmax, maximum, two reductions and a
second maximum: five passes over 44 MB. Loops take a range of planes or rows and sum plane by plane, so that the result
does not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from voxtrace.kernels.threads import parallel_for
from voxtrace.kernels.voxelwise.exp_log import LOWEST, exp

Floats = npt.NDArray[np.float32]
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


def accumulate_window(
    sums: Floats, peaks: Floats, logits: Floats, normaliser: Floats | None, blend: Floats, corner: tuple[int, int, int]
) -> None:
    """Add blend·softmax(logits) of a window at ``corner`` to ``sums`` (K, depth, Y, X), a ring along z.

    ``logits`` (K, Z, Y', X'), contiguous; ``normaliser`` log Σ exp of them and ``blend``, both (Z, Y', X'). ``peaks``
    (K, depth) rises to the largest probability of each label and plane. Without ``normaliser`` blend·logits is added,
    and ``peaks`` stays as it is.
    """
    place = (corner[0] % sums.shape[1], *corner[1:])
    depth, values = logits.shape[1], logits.size
    if normaliser is None:
        parallel_for(_add_logits, depth, sums, logits, blend, *place, values=values)
    else:
        parallel_for(_add_probabilities, depth, sums, peaks, logits, normaliser, blend, *place, values=values)


def average_plane(sums: Floats, weights: Floats, slot: int, labels: npt.NDArray[Any], planes: Floats) -> None:
    """Fill ``planes`` (n, Y, X) with sums/weights of the n ``labels`` at one slot of a ring, and set the sums to 0.

    ``sums`` (K, depth, Y, X), ``weights`` (depth, Y, X). Where the weight is 0, label 0 gets 1.
    """
    parallel_for(_divide, planes.shape[1], sums, weights, slot, labels, planes, values=planes.size)


@njit(nogil=True, cache=True, fastmath={"nsz", "contract"})
def _add_probabilities(lo, hi, sums, peaks, logits, normaliser, blend, turn, y0, x0):  # type: ignore[no-untyped-def]
    """Add blend·softmax(logits) of planes lo ≤ z < hi of a window to ``sums`` (K, depth, Y, X), a ring along z.

    ``logits`` (K, Z, Y', X'), ``normaliser`` and ``blend`` (Z, Y', X'); the window lies at slot ``turn`` of the ring,
    row ``y0`` and column ``x0``. ``peaks`` (K, depth) rises to the largest probability of each label and plane.
    """
    K, _, Y, X = logits.shape
    depth = sums.shape[1]
    # Two rows of maxima in turn: LLVM stores a value that is kept in place lane by lane.
    tops = np.empty((2, X), np.float32)
    for z in range(lo, hi):
        slot = (turn + z) % depth
        for k in range(K):
            tops[0] = peaks[k, slot]
            for y in range(Y):
                into, old, new = sums[k, slot, y0 + y, x0 : x0 + X], tops[y % 2], tops[1 - y % 2]
                for x in range(X):
                    # Powers below e^−87 would be denormal, which processors compute slowly.
                    d = min(max(logits[k, z, y, x] - normaliser[z, y, x], LOWEST), _ZERO)
                    p = exp(d)
                    into[x] += blend[z, y, x] * p
                    new[x] = p if p > old[x] else old[x]
            peaks[k, slot] = tops[Y % 2].max()


@njit(nogil=True, cache=True)
def _add_logits(lo, hi, sums, logits, blend, turn, y0, x0):  # type: ignore[no-untyped-def]
    """Add blend·logits; as :func:`_add_probabilities`."""
    K, _, Y, X = logits.shape
    for z in range(lo, hi):
        slot = (turn + z) % sums.shape[1]
        for k in range(K):
            for y in range(Y):
                into = sums[k, slot, y0 + y, x0 : x0 + X]
                for x in range(X):
                    into[x] += blend[z, y, x] * logits[k, z, y, x]


@njit(nogil=True, cache=True)
def _divide(lo, hi, sums, weights, slot, labels, planes):  # type: ignore[no-untyped-def]
    """Fill rows lo ≤ y < hi of ``planes``; see :func:`average_plane`."""
    X = sums.shape[3]
    for y in range(lo, hi):
        for i, k in enumerate(labels):
            uncovered = _ONE if k == 0 else _ZERO
            for x in range(X):
                weight = weights[slot, y, x]
                planes[i, y, x] = sums[k, slot, y, x] / weight if weight > 0 else uncovered
        for k in range(len(sums)):
            sums[k, slot, y] = _ZERO
