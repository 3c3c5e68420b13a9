"""Slices in order along their normal: spacing, missing slices, duplicates and gantry tilt, all from headers.

The same result decides whether a series is valid and how its voxels are stacked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxtrace.io.dicom.positions import ROUNDING_MM, are_rounded, positions_of
from voxtrace.io.dicom.slices import Slice
from voxtrace.volume import Array

EVEN_FRACTION = 0.05  # of the slice distance: a plane off by less counts as regular
_ROUNDED_FRACTION = 0.25  # of the slice distance: rounding beyond this leaves the order of slices in doubt
_UPRIGHT_PIXELS = 0.1  # a stack that is tilted by less, from end to end, is upright
_STRAIGHT_PIXELS = 0.2  # slices off a straight line by less are on it
_WIDEST_GAP = 2.0  # times the median


@dataclass(frozen=True, eq=False)
class SliceStack:
    """Slices in order along their normal.

    Attributes
    ----------
    positions
        The images at each position; more than one where there are duplicates.
    depths_mm
        How far each position lies from the first along the normal.
    step_mm
        The distance between planes of the volume.
    plane_indices
        Where each position lies among the planes of the volume, with fractions.
    shifts
        Offset of each position's image from the first, right and down, in pixels (columns, rows).
    off_line_pixels
        Largest distance of a position from the straight line through the first and the last, in pixels.
    is_straight
        Whether the positions are on one line, as far as their rounding tells.
    is_rounded
        Whether positions lie off even planes only because they were rounded to 0.1 mm.
    """

    positions: tuple[tuple[Slice, ...], ...]
    depths_mm: Array
    step_mm: float
    plane_indices: Array
    shifts: Array
    off_line_pixels: float
    is_straight: bool = True
    is_rounded: bool = False

    @property
    def first(self) -> Slice:
        """The image at the lowest position."""
        return self.positions[0][0]

    @property
    def planes(self) -> int:
        """How many planes the volume has."""
        return round(float(self.plane_indices[-1])) + 1

    @property
    def duplicates(self) -> int:
        """How many images are at the position of another one."""
        return sum(len(images) - 1 for images in self.positions)

    @property
    def is_regular(self) -> bool:
        """Whether every image lies on a plane of the volume."""
        return bool(np.abs(self.plane_indices - np.round(self.plane_indices)).max() <= EVEN_FRACTION)

    @property
    def missing_runs(self) -> tuple[tuple[int, int], ...]:
        """The first plane of each gap, and how many planes are missing there; empty for an irregular stack."""
        if not self.is_regular:
            return ()
        on = np.round(self.plane_indices).astype(int)
        lacking = np.diff(on) - 1
        return tuple((int(on[i]) + 1, int(lacking[i])) for i in np.flatnonzero(lacking))

    @property
    def has_wide_gaps(self) -> bool:
        """Whether a gap of an irregular stack is too wide for interpolation."""
        gaps = np.diff(self.depths_mm)
        return not self.is_regular and bool(gaps.max() > _WIDEST_GAP * np.median(gaps))

    @property
    def is_tilted(self) -> bool:
        """Whether the stack is tilted."""
        return bool(np.abs(self.shifts).max() > _UPRIGHT_PIXELS)

    @property
    def tilt_deg(self) -> float:
        """The angle between the line of the positions and the normal."""
        sideways = np.linalg.norm(self.shifts[-1] * np.asarray(self.first.pixel_spacing_mm)[::-1])
        return float(np.degrees(np.arctan2(sideways, self.depths_mm[-1])))

    @property
    def is_regridded(self) -> bool:
        """Whether planes of the volume are not the images themselves."""
        return self.is_tilted or not self.is_regular or bool(self.missing_runs)


def stack_slices(slices: Sequence[Slice]) -> SliceStack | None:
    """Return slices in order along their normal, or None when all are at the same position."""
    numbers = positions_of(slices)
    normal = slices[0].normal
    ordered = sorted(
        range(len(slices)),
        key=lambda i: (float(np.dot(normal, slices[i].position_mm)), str(slices[i].path), slices[i].source.frame),
    )
    begins = np.flatnonzero(np.diff([-1, *(numbers[i] for i in ordered)]))
    if len(begins) < 2:
        return None
    positions = tuple(tuple(slices[i] for i in ordered[a:b]) for a, b in _spans(begins, len(ordered)))
    depths = np.asarray([float(np.dot(normal, images[0].position_mm)) for images in positions])
    depths -= depths[0]
    rounded = are_rounded(np.asarray([images[0].position_mm for images in positions]))
    step, plane_indices = _regular_positions(depths, rounding_mm=0.0)
    snapped = rounded and not _is_even(plane_indices)
    if snapped:
        step, plane_indices = _regular_positions(depths, rounding_mm=ROUNDING_MM)
        snapped = _is_even(plane_indices)
    shifts = _shifts(positions, rounding_mm=ROUNDING_MM if rounded else 0.0)
    # a gantry tilt shifts slices in proportion to their depth
    on_line = np.outer(depths / depths[-1], shifts[-1])
    off_line = float(np.abs(shifts - on_line).max())
    allowed = _STRAIGHT_PIXELS + (ROUNDING_MM / min(slices[0].pixel_spacing_mm) if rounded else 0.0)
    return SliceStack(positions, depths, step, plane_indices, shifts, off_line, off_line <= allowed, snapped)


def _is_even(plane_indices: Array) -> bool:
    return bool(np.abs(plane_indices - np.round(plane_indices)).max() <= EVEN_FRACTION)


def _spans(begins: Array, count: int) -> list[tuple[int, int]]:
    return list(zip(begins.tolist(), [*begins[1:].tolist(), count], strict=True))


def _regular_positions(depths_mm: Array, *, rounding_mm: float) -> tuple[float, Array]:
    """Return the distance between planes and the plane index (with fractions) of each depth.

    Regular planes are tried first, then regular planes with gaps. Depths may be off by ``rounding_mm``; those that are
    get the whole plane index. Where neither fits, the distance is the one nearest to the median gap that keeps both
    ends, which gives as many planes as there are images; the smallest gap would add many interpolated ones.
    """
    gaps = np.diff(depths_mm)
    for usual in (float(depths_mm[-1]) / len(gaps), float(np.median(gaps)), float(gaps.min())):
        on = np.concatenate([[0], np.cumsum(np.round(gaps / usual))])
        # two slices in one plane, or more missing planes than slices: this distance does not fit
        if np.diff(on).min() < 1 or on[-1] - len(gaps) > len(depths_mm) / 2:
            continue
        step = float(depths_mm[-1] / on[-1])
        allowed = max(EVEN_FRACTION, min(_ROUNDED_FRACTION, 1.001 * rounding_mm / step))
        plane_indices = depths_mm / step
        nearest = np.round(plane_indices)
        if np.abs(plane_indices - nearest).max() <= allowed and np.diff(nearest).min() >= 1:
            # all positions together are more precise than two rounded ends
            return (float(np.polyfit(nearest, depths_mm, 1)[0]), nearest) if rounding_mm else (step, plane_indices)
    step = float(depths_mm[-1]) / max(1, round(float(depths_mm[-1] / np.median(gaps))))
    return step, depths_mm / step


def _shifts(positions: Sequence[Sequence[Slice]], *, rounding_mm: float) -> Array:
    """Return the offsets in plane in pixels (columns, rows); none where rounding alone explains them."""
    first = positions[0][0]
    offsets = np.asarray([images[0].position_mm for images in positions]) - first.position_mm
    rows_mm, columns_mm = first.pixel_spacing_mm
    in_plane: Array = offsets @ first.axes[:, :2]
    if float(np.abs(in_plane).max()) <= 1.001 * rounding_mm:
        return np.zeros_like(in_plane)
    shifts: Array = in_plane / (columns_mm, rows_mm)
    return shifts
