"""Coverage: which part of known labels a schedule of windows would let a perfect network find."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from voxtrace.volume import Array, Shape
from voxtrace.windows.grid import Decision, Row, Schedule, Windowing


def covered(windowing: Windowing, labels: Array, window: Shape, overlap: float) -> npt.NDArray[np.bool_]:
    """Return which voxels get an answer where the true labels answer for the network, (Z, Y, X).

    No network runs: each window decides by the labels that lie in it.

    Parameters
    ----------
    windowing
        Schedule, and which results it keeps.
    labels
        True label of each voxel, (Z, Y, X), on the network grid; padded to a window where it is smaller.
    window, overlap
        As in the plan.
    """
    padded = np.pad(labels, [(0, max(0, w - n)) for n, w in zip(labels.shape, window, strict=True)])
    found = np.zeros(padded.shape, bool)
    schedule = windowing.schedule((padded.shape[0], padded.shape[1], padded.shape[2]), window, overlap)
    decisions: list[Decision] | None = None
    while (row := _next_row(schedule, decisions)) is not None:
        decisions = []
        for place in row:
            box = tuple(slice(first, first + n) for first, n in zip(place, window, strict=True))
            decisions.append(Decision(place, {}, padded[box]))
            if windowing.keeps(decisions[-1]):
                found[box] = True
    return found[tuple(slice(n) for n in labels.shape)]


def coverage(
    windowing: Windowing, labels: Array, window: Shape, overlap: float, box: tuple[slice, slice, slice] | None = None
) -> dict[int, float]:
    """Return for each label value in ``labels`` except 0 which fraction of its voxels gets an answer; see `covered`.

    Windows lie over the ``box`` alone, if it is given, and voxels outside it get no answer.
    """
    inside = box or (slice(None), slice(None), slice(None))
    found = np.zeros(labels.shape, bool)
    found[inside] = covered(windowing, labels[inside], window, overlap)
    reached = np.bincount(labels[found].ravel(), minlength=int(labels.max()) + 1)
    present = np.bincount(labels.ravel())
    return {value: float(reached[value] / n) for value, n in enumerate(present) if value and n}


def _next_row(schedule: Schedule, decisions: Sequence[Decision] | None) -> Row | None:
    try:
        return next(schedule) if decisions is None else schedule.send(decisions)
    except StopIteration:
        return None
