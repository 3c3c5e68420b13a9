"""Adaptive sliding windows: the centre runs first, its neighbours only where the centre is not empty.

Windows of one z start in the (Y, X) plane; the result of C decides whether the n run::

    fine grid: at most 9       coarse grid: at most 5
    of a short scan            of a long one, 9·n_z ≥ 50

        n  n  n                    n     n
        n  C  n                       C
        n  n  n                    n     n

Where C is *empty* its neighbours are skipped. By the paper's rule a centre without any foreground is empty, and nothing
else follows from it; by the rule of the published code a centre with little foreground is empty too, its own result is
discarded, and the next z start is skipped as well. Voxels that no window covers are background.

References
----------
CDL-UNet, a curriculum-driven lightweight 3D U-Net, MICCAI FLARE 2024 (https://openreview.net/forum?id=1ZR6Hsb8z3):
section 2.2.4, the idea and the rule "paper". Starts, thresholds and the rule "code" are those of its published code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

import numpy as np

from voxtrace.volume import Array, Shape
from voxtrace.windows.grid import Decision, Schedule, Window, starts

PUBLISHED_WINDOW: Shape = (32, 128, 192)  # thresholds in voxels are for this size
MOST_FINE = 50  # from this number of fine windows in a scan on, the coarse grid is used
TOUCHING = 10  # from this number of foreground voxels on a face of the published window on, a tube continues beyond it


class Centre(Window):
    """The window that decides whether the others of its z start run."""

    __slots__ = ()


class AxisStarts(NamedTuple):
    """Starts along Y or X: of the centre, and, ascending, of the grid around it (with or without the centre's own)."""

    centre: int
    around: tuple[int, ...]


@dataclass(frozen=True)
class Adaptive:
    """CDL-UNet's schedule: the centre window first, and its neighbours only where it is not empty.

    It is used as ``Windowing(schedule=adaptive, keeps=adaptive.keeps)``: the schedule decides which windows run,
    ``keeps`` which of them contribute to the result (by the rule "code" an empty centre does not).

    Along z, windows lie as in :func:`regular`. Every window runs at most once.

    Attributes
    ----------
    empty_below
        By the rule "code" a centre window with fewer foreground voxels is empty. The number is for a window of
        32×128×192 and scales with the window's size. 0 never skips, by either rule.
    tube_labels
        Where the centre would be empty without these labels, only its neighbours along y run, each if the labels reach
        the centre's face on that side; in the coarse grid none runs. Empty: the rule is off.
    central_only
        Leave the outer voxels of a wide scan background, as published: beyond 2 windows along an axis in the fine
        grid and 1.5 in the coarse one. Otherwise such an axis gets the even lattice that covers all of it; in the
        coarse grid its windows lie side by side, and the centre covers their seams.
    rule
        What a centre with little or no foreground means, see the top of this module. With a perfect network the rule
        "code" loses every structure smaller than its threshold that lies alone in a centre, or in the z start after an
        empty one.
    """

    empty_below: float = 1000.0
    tube_labels: frozenset[int] = frozenset()
    central_only: bool = False
    rule: Literal["paper", "code"] = "paper"

    def __call__(self, shape: Shape, window: Shape, overlap: float) -> Schedule:
        """Yield the centre of each z start, then those of its neighbours that must run; return those that need not."""
        along_z = iter(starts(shape[0], window[0], overlap))
        coarse = is_coarse(shape, window, overlap)
        y, x = (self.axis(n, w, overlap, coarse) for n, w in zip(shape[1:], window[1:], strict=True))
        skipped: list[Window] = []
        for z in along_z:
            (decision,) = yield [Centre(z, y.centre, x.centre)]
            if self.is_empty(decision.labels):
                skipped += _around(decision.window, y, x)
                if self.rule == "code" and (following := next(along_z, None)) is not None:
                    centre = Centre(following, y.centre, x.centre)
                    skipped += [centre, *_around(centre, y, x)]
                continue
            around = list(self._neighbours(decision, y, x, coarse))
            skipped += [window for window in _around(decision.window, y, x) if window not in around]
            if around:
                yield around
        return skipped

    def axis(self, length: int, window: int, overlap: float, coarse: bool) -> AxisStarts:
        """Return the starts along Y or X."""
        # Wider than the published grid reaches: an even lattice covers the whole axis.
        if not self.central_only and length > window * (1.5 if coarse else 2.0):
            return AxisStarts(round((length - window) / 2), starts(length, window, 0.0 if coarse else overlap))
        return coarse_axis(length, window) if coarse else fine_axis(length, window)

    def is_empty(self, labels: Array) -> bool:
        """Return whether labels (Z, Y, X) of a window have too little foreground to run its neighbours."""
        return bool(np.count_nonzero(labels) < self._least(labels))

    def keeps(self, decision: Decision) -> bool:
        """Return whether a result is kept: all, or by the rule "code" all except those of empty centres."""
        return not (self.rule == "code" and isinstance(decision.window, Centre) and self.is_empty(decision.labels))

    def is_tube(self, labels: Array) -> bool:
        """Return whether labels (Z, Y, X) of a window are tubes: all, or all except too few voxels for an organ."""
        # Without the background.
        counts = np.bincount(labels.ravel())[1:]
        others = sum(int(n) for label, n in enumerate(counts, 1) if label not in self.tube_labels)
        return bool(counts.sum() > others and (others == 0 or others < self._least(labels)))

    def _least(self, labels: Array) -> float:
        """Return how many foreground voxels a window must have in order not to be empty."""
        if self.rule == "paper":
            return min(1.0, self.empty_below)
        return self.empty_below * labels.size / math.prod(PUBLISHED_WINDOW)

    def _neighbours(self, decision: Decision, y: AxisStarts, x: AxisStarts, coarse: bool) -> Iterator[Window]:
        centre, labels = decision.window, decision.labels
        if self.tube_labels and self.is_tube(labels):
            yield from () if coarse else _along_tube(centre, labels, y)
            return
        yield from _around(centre, y, x)


def is_coarse(shape: Shape, window: Shape, overlap: float) -> bool:
    """Return whether a scan is so long that it gets the coarse grid."""
    return 9 * len(starts(shape[0], window[0], overlap)) >= MOST_FINE


def fine_axis(length: int, window: int) -> AxisStarts:
    """Return up to three starts: spread over the axis, or half a window apart about its middle when it is very long.

    Halves are rounded to even, as everywhere in this schedule.

    Examples
    --------
    >>> fine_axis(337, 192)
    AxisStarts(centre=72, around=(0, 72, 145))
    >>> fine_axis(337, 128)
    AxisStarts(centre=104, around=(40, 104, 168))
    """
    # ``room`` is the last possible start.
    room, middle = length - window, round(length / 2)
    if room <= 0:
        return AxisStarts(0, (0,))
    if length <= 2 * window:
        return AxisStarts(round(room / 2), tuple(sorted({0, round(room / 2), room})))
    centre = middle - window // 2
    return AxisStarts(centre, (middle - window, centre, min(middle, room)))


def coarse_axis(length: int, window: int) -> AxisStarts:
    """Return the centre's start and those of the corners: at the borders, or half a window apart about the middle.

    Examples
    --------
    >>> coarse_axis(250, 192)
    AxisStarts(centre=29, around=(0, 58))
    >>> coarse_axis(337, 128)
    AxisStarts(centre=104, around=(72, 136))
    """
    room, middle = length - window, round(length / 2)
    if room <= 0:
        return AxisStarts(0, (0,))
    if length <= 1.5 * window:
        return AxisStarts(middle - window // 2, (0, room))
    return AxisStarts(middle - window // 2, (middle - 3 * window // 4, min(middle - window // 4, room)))


def _around(centre: Window, y: AxisStarts, x: AxisStarts) -> list[Window]:
    """Return all neighbours of a centre."""
    windows = (Window(centre.z, *yx) for yx in product(y.around, x.around))
    return [window for window in windows if window != centre]


def _along_tube(centre: Window, labels: Array, y: AxisStarts) -> Iterator[Window]:
    """Yield the neighbours of the centre along y whose face of it the labels (Z, Y, X) touch."""
    # Scaled from a face of the published window to one of this size.
    enough = TOUCHING * labels[:, 0].size / (PUBLISHED_WINDOW[0] * PUBLISHED_WINDOW[2])
    before = [start for start in y.around if start < centre.y][-1:]
    behind = [start for start in y.around if start > centre.y][:1]
    for nearest, face in ((before, labels[:, 0]), (behind, labels[:, -1])):
        if np.count_nonzero(face) > enough:
            yield from (Window(centre.z, start, centre.x) for start in nearest)
