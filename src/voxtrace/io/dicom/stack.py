"""Slices in order along their normal: how far apart they lie, what lacks, what is there twice, whether they are tilted.

All from headers. What is found here is both what a series is judged by and what its voxels are stacked by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxtrace.io.dicom.slices import Slice
from voxtrace.volume import Array

EVEN_FRACTION = 0.05  # of the slice distance: a plane off by less is where it should be
_SAME_FRACTION = 0.01  # of the slice distance: two images nearer than this lie in one place
_SAME_MM = 1e-2
_UPRIGHT_PIXELS = 0.1  # a stack that leans by less, from end to end, is upright
_STRAIGHT_PIXELS = 0.2  # slices off a straight line by less are on it
_WIDEST_GAP = 2.0  # times the median


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order along their normal.

    Attributes
    ----------
    places
        The images at each position; more than one where something is there twice.
    depths_mm
        How far each position lies from the first along the normal.
    step_mm
        The distance between planes of the volume.
    rungs
        The plane of the volume, with fractions, on which each position lies.
    shifts
        How far right and down each position's image lies against the first, in pixels (columns, rows).
    wander
        How far positions lie off the straight line through the first and the last, in pixels.
    """

    places: tuple[tuple[Slice, ...], ...]
    depths_mm: Array
    step_mm: float
    rungs: Array
    shifts: Array
    wander: float

    @property
    def first(self) -> Slice:
        """The image at the lowest position."""
        return self.places[0][0]

    @property
    def planes(self) -> int:
        """How many planes the volume has."""
        return round(float(self.rungs[-1])) + 1

    @property
    def doubles(self) -> int:
        """How many images lie where another one does."""
        return sum(len(images) - 1 for images in self.places)

    @property
    def is_on_rungs(self) -> bool:
        """Whether every image lies on a plane of the volume."""
        return bool(np.abs(self.rungs - np.round(self.rungs)).max() <= EVEN_FRACTION)

    @property
    def missing_runs(self) -> tuple[tuple[int, int], ...]:
        """The plane at which each gap begins, and how many planes it lacks; only where images lie on planes."""
        if not self.is_on_rungs:
            return ()
        on = np.round(self.rungs).astype(int)
        lacking = np.diff(on) - 1
        return tuple((int(on[i]) + 1, int(lacking[i])) for i in np.flatnonzero(lacking))

    @property
    def has_wide_gaps(self) -> bool:
        """Whether a gap of an uneven stack is too wide to be bridged."""
        gaps = np.diff(self.depths_mm)
        return not self.is_on_rungs and bool(gaps.max() > _WIDEST_GAP * np.median(gaps))

    @property
    def is_tilted(self) -> bool:
        """Whether the stack leans."""
        return bool(np.abs(self.shifts).max() > _UPRIGHT_PIXELS)

    @property
    def is_straight(self) -> bool:
        """Whether the positions follow one line."""
        return self.wander <= _STRAIGHT_PIXELS

    @property
    def tilt_deg(self) -> float:
        """The angle between the line of the positions and the normal."""
        sideways = np.linalg.norm(self.shifts[-1] * np.asarray(self.first.pixel_spacing_mm)[::-1])
        return float(np.degrees(np.arctan2(sideways, self.depths_mm[-1])))

    @property
    def is_regridded(self) -> bool:
        """Whether the volume's planes are others than the images."""
        return self.is_tilted or not self.is_on_rungs or bool(self.missing_runs)


def stacked(slices: Sequence[Slice]) -> Stack | None:
    """Return placed slices in order, or None when they all lie in one place."""
    normal = slices[0].normal
    ordered = sorted(slices, key=lambda s: (float(np.dot(normal, s.position_mm)), str(s.path), s.source.frame))
    depths = np.asarray([float(np.dot(normal, s.position_mm)) for s in ordered])
    gaps = np.diff(depths)
    apart = gaps[gaps > _SAME_MM]
    if not len(apart):
        return None
    begins = np.flatnonzero(np.concatenate([[True], gaps > max(_SAME_MM, _SAME_FRACTION * float(np.median(apart)))]))
    places = tuple(tuple(images) for images in (ordered[a:b] for a, b in _spans(begins, len(ordered))))
    if len(places) < 2:
        return None
    depths = depths[begins] - depths[0]
    step, rungs = _ladder(depths)
    shifts = _shifts(places)
    leaning = np.outer(depths / depths[-1], shifts[-1])
    return Stack(places, depths, step, rungs, shifts, float(np.abs(shifts - leaning).max()))


def _spans(begins: Array, count: int) -> list[tuple[int, int]]:
    return list(zip(begins.tolist(), [*begins[1:].tolist(), count], strict=True))


def _ladder(depths_mm: Array) -> tuple[float, Array]:
    """Return a step and the rung (with fractions) of each depth: first an even ladder, then one with gaps.

    Where neither fits, the step is the one nearest to the median gap that keeps both ends: as many planes as were
    measured. The smallest gap would make many that never were.
    """
    gaps = np.diff(depths_mm)
    for usual in (float(depths_mm[-1]) / len(gaps), float(np.median(gaps)), float(gaps.min())):
        on = np.concatenate([[0], np.cumsum(np.round(gaps / usual))])
        if np.diff(on).min() < 1 or on[-1] - len(gaps) > len(depths_mm) / 2:
            continue
        step = float(depths_mm[-1] / on[-1])
        rungs = depths_mm / step
        if np.abs(rungs - np.round(rungs)).max() <= EVEN_FRACTION and np.diff(np.round(rungs)).min() >= 1:
            return step, rungs
    step = float(depths_mm[-1]) / max(1, round(float(depths_mm[-1] / np.median(gaps))))
    return step, depths_mm / step


def _shifts(places: Sequence[Sequence[Slice]]) -> Array:
    first = places[0][0]
    offsets = np.asarray([images[0].position_mm for images in places]) - first.position_mm
    rows_mm, columns_mm = first.pixel_spacing_mm
    return offsets @ first.axes[:, :2] / (columns_mm, rows_mm)
