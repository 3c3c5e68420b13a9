"""The even lattice of windows, the schedule interface, and the weights that blend overlapping results.

Windows of length 4 with overlap 0.5 over an axis of 11 voxels; the first touches one border and the last the other,
the rest are spread evenly (nnU-Net's rule)::

    voxel      0  1  2  3  4  5  6  7  8  9 10
    window 0   0  0  0  0                          target distance 4·(1 − 0.5) = 2
    window 1         1  1  1  1                    ⌈(11 − 4)/2⌉ + 1 = 5 windows,
    window 2               2  2  2  2              7/4 = 1.75 apart: 0, 1.75, 3.5, 5.25, 7
    window 3                  3  3  3  3           rounded to even: 0, 2, 4, 5, 7
    window 4                        4  4  4  4

A *schedule* is a generator. It yields a row of windows, is sent a decision for each, and may choose the next row by
them. Rows come in ascending z, so that the engine can finish planes and free them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from voxtrace.volume import Array, Shape


class Window(NamedTuple):
    """First voxel (z, y, x) of a window on the padded network grid; its size is the plan's window."""

    z: int
    y: int
    x: int


class Decision(NamedTuple):
    """Result of one window, sent to the schedule.

    ``facts`` of its last step, by name; ``labels`` (Z, Y, X), the strongest label of each voxel at that step. Several
    networks or mirrorings decide by their average; facts of the method are those of the first network, not mirrored.
    """

    window: Window
    facts: Mapping[str, float]
    labels: npt.NDArray[np.uint8]


Row = Sequence[Window]
Skipped = Sequence[Window]  # windows that a schedule left out because of decisions
Schedule = Generator[Row, Sequence[Decision], Skipped]


class ScheduleMaker(Protocol):
    """Makes the schedule for a grid.

    Rows are yielded in ascending z of their first windows. The windows of a row have one z, possibly that of the row
    before; windows one voxel thick may have up to ``Windowing.slices`` consecutive ones, ascending. Voxels that no
    window covers are background. ``yield`` returns a Decision for each window of the row, in order. The generator's
    return value names the windows that it left out because of decisions.
    """

    def __call__(self, shape: Shape, window: Shape, overlap: float) -> Schedule:
        """Return a fresh schedule over a grid of ``shape`` voxels (Z, Y, X), at least as large as the window."""
        ...


def starts(length: int, window: int, overlap: float) -> tuple[int, ...]:
    """Return the first voxels of windows along one axis: evenly spaced, both borders included, ascending.

    Examples
    --------
    >>> starts(11, 4, 0.5)
    (0, 2, 4, 5, 7)
    >>> starts(4, 4, 0.5)
    (0,)
    """
    room = length - window
    if room <= 0:
        return (0,)
    # Limited by the room, so that no two windows start on the same voxel.
    count = min(room, math.ceil(room / (window * (1.0 - overlap)))) + 1
    return tuple(round(i * room / (count - 1)) for i in range(count))


def regular(shape: Shape, window: Shape, overlap: float) -> Schedule:
    """Yield every window of the even lattice, one row for each z; decisions are ignored."""
    along_z, along_y, along_x = (starts(n, w, overlap) for n, w in zip(shape, window, strict=True))
    for z in along_z:
        yield [Window(z, y, x) for y in along_y for x in along_x]
    return ()


def by_slices(n: int) -> ScheduleMaker:
    """Return the schedule of :func:`regular` for windows one voxel thick, ``n`` slices in a row (a batch)."""
    return partial(_by_slices, n)


def _by_slices(n: int, shape: Shape, window: Shape, overlap: float) -> Schedule:
    # Windows one voxel thick: each row of the regular lattice is a slice.
    rows = list(regular(shape, window, overlap))
    for first in range(0, len(rows), n):
        yield [w for row in rows[first : first + n] for w in row]
    return ()


def strided_starts(length: int, window: int, overlap: float) -> tuple[int, ...]:
    """Return the first voxels of windows along one axis: a whole stride apart, the last one moved back to the border.

    The stride is ``⌊window·(1 − overlap)⌋``, at least 1.

    Examples
    --------
    >>> strided_starts(240, 128, 2 / 3)
    (0, 42, 84, 112)
    >>> strided_starts(100, 128, 2 / 3)
    (0,)
    """
    # Rounding: 10 · (1 − 0.9) is 0.9999999999999998 and must count as 1.
    stride = max(1, math.floor(window * (1.0 - overlap) + 1e-6))
    last = max(0, length - window)
    return (*range(0, last, stride), last)


def strided(n: int = 1) -> ScheduleMaker:
    """Return the schedule of every window of the lattice of :func:`strided_starts`; decisions are ignored.

    A row holds ``n`` consecutive z; more than 1 only for windows one voxel thick.
    """
    return partial(_strided, n)


def _strided(n: int, shape: Shape, window: Shape, overlap: float) -> Schedule:
    along_z, along_y, along_x = (strided_starts(s, w, overlap) for s, w in zip(shape, window, strict=True))
    for first in range(0, len(along_z), n):
        yield [Window(z, y, x) for z in along_z[first : first + n] for y in along_y for x in along_x]
    return ()


def everything(decision: Decision) -> bool:
    """Return True: every window's result is kept."""
    return True


def count_windows(shape: Shape, window: Shape, overlap: float) -> int:
    """Return how many windows :func:`regular` yields; an adaptive schedule yields more or fewer."""
    return math.prod(len(starts(n, w, overlap)) for n, w in zip(shape, window, strict=True))


def gaussian(window: Shape) -> npt.NDArray[np.float32]:
    """Return the blending weight of each voxel of a window, (Z, Y, X) float32: 1 in the centre, never 0.

    As :func:`endless_gaussian`, but weights that are 0 in float16 take its smallest positive value.
    """
    return np.maximum(endless_gaussian(window), np.float32(np.finfo(np.float16).smallest_subnormal))


def endless_gaussian(window: Shape) -> npt.NDArray[np.float32]:
    """Return a Gaussian around the middle voxel ``window // 2``, (Z, Y, X) float32, 1 there and above 1e-11 everywhere.

    σ is an eighth of the window along each axis.
    """
    z, y, x = (_bell(n) for n in window)
    weights: Array = z[:, None, None] * y[:, None] * x
    return weights.astype(np.float32)


def uniform(window: Shape) -> npt.NDArray[np.float32]:
    """Return 1 for each voxel of a window, (Z, Y, X) float32: overlapping results are averaged with equal weights."""
    return np.ones(window, np.float32)


@dataclass(frozen=True)
class Windowing:
    """How windows cover a volume.

    Attributes
    ----------
    schedule
        Where windows lie and in which order they run; may depend on decisions.
    blend
        Window size -> weight of each voxel, (Z, Y, X) float32, all positive.
    keeps
        Called for each window that has run; where it returns False, the result is discarded as if the window had not
        run, except for its facts.
    slices
        Most consecutive z in one row; more than 1 only for windows one voxel thick.
    """

    schedule: ScheduleMaker = regular
    blend: Callable[[Shape], npt.NDArray[np.float32]] = gaussian
    keeps: Callable[[Decision], bool] = everything
    slices: int = 1

    @property
    def reads_answers(self) -> bool:
        """Whether decisions may be read: not where every result is kept and the schedule is one of this module's."""
        made_by = getattr(self.schedule, "func", self.schedule)
        return self.keeps is not everything or made_by not in (regular, _by_slices, _strided)


def _bell(n: int) -> npt.NDArray[np.float64]:
    # nnU-Net's σ, an eighth of the window.
    distance = np.arange(n) - n // 2
    return np.exp(-0.5 * (distance / (n / 8.0)) ** 2)
