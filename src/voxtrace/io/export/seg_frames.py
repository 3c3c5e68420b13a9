"""Frames of a DICOM-SEG: which segment each shows, and where it lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.dicom.functional_groups import frame_values
from voxtrace.io.dicom.header_values import Values, number_of, numbers_of
from voxtrace.io.dicom.positions import same_mm
from voxtrace.io.export.seg_planes import plane_distance
from voxtrace.io.raw_affine import LARGEST_MM, SMALLEST_MM
from voxtrace.volume import Array, Grid

if TYPE_CHECKING:
    from pydicom import Dataset

_SAME_COSINE = 1e-3
_SAME_MM = 1e-3
_SHIFT_PIXELS = 0.2
_MOST_VOXELS = 1 << 31


@dataclass(frozen=True)
class SegFrame:
    """A frame: its segment (0 in a label map, which has all of them), and where it lies, (L, P, S) in mm."""

    segment: int
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    pixel_spacing_mm: tuple[float, ...]
    stated_mm: float = 0.0
    thickness_mm: float = 0.0


def frames_of(header: Dataset) -> tuple[SegFrame, ...]:
    """Return the frames of a segmentation, in the order of the file.

    Raises
    ------
    ReadError
        When a frame does not say where it lies, or which segment it shows.
    """
    shared = (header.get("SharedFunctionalGroupsSequence") or [None])[0]
    groups = header.get("PerFrameFunctionalGroupsSequence") or ()
    count = int(header.get("NumberOfFrames") or 1)
    if len(groups) != count:
        raise ReadError(f"its header describes {len(groups)} of {count} frames")
    common = frame_values(shared) if shared is not None else {}
    is_map = str(header.get("SegmentationType")) == "LABELMAP"
    return tuple(_frame(common | frame_values(g), 0 if is_map else _segment(g, shared)) for g in groups)


def stack_frames(frames: Sequence[SegFrame], rows: int, columns: int) -> tuple[Grid, tuple[int, ...]]:
    """Return the grid that frames span, and the plane of each.

    Raises
    ------
    ReadError
        When they are no regular stack.
    """
    first = frames[0]
    for name in ("orientation", "pixel_spacing_mm"):
        apart = np.abs(np.asarray([getattr(f, name) for f in frames]) - getattr(first, name)).max()
        if apart > (_SAME_COSINE if name == "orientation" else _SAME_MM):
            raise ReadError(f"its frames differ in {name.removesuffix('_mm').replace('_', ' ')}")
    axes = _axes(first)
    offsets = (np.asarray([f.position_mm for f in frames]) - first.position_mm) @ axes
    if float(np.abs(offsets[:, :2]).max()) > _SHIFT_PIXELS * min(first.pixel_spacing_mm):
        raise ReadError("its planes do not lie behind each other")
    depths, numbers = _distinct(offsets[:, 2])
    distance = plane_distance(depths, first.stated_mm, first.thickness_mm)
    planes = tuple(distance.indices[n] for n in numbers)
    size = (columns, rows, distance.indices[-1] + 1)
    _check_size(size, (*first.pixel_spacing_mm, distance.step_mm))
    lowest = frames[int(np.argmin(offsets[:, 2]))].position_mm
    return _grid(size, first, distance.step_mm, lowest, axes), planes


def _frame(values: Values, segment: int) -> SegFrame:
    position = numbers_of(values, "ImagePositionPatient", 3)
    orientation = numbers_of(values, "ImageOrientationPatient", 6)
    spacing = numbers_of(values, "PixelSpacing", 2)
    if not (position and orientation and spacing):
        raise ReadError("a frame does not say where it lies (position, orientation, pixel spacing)")
    stated, thick = (_length(values, name) for name in ("SpacingBetweenSlices", "SliceThickness"))
    return SegFrame(segment, position, orientation, spacing, stated, thick)


def _length(values: Values, name: str) -> float:
    value = values.get(name)
    return 0.0 if value in (None, "") else number_of(value, name)


def _segment(group: Dataset, shared: Dataset | None) -> int:
    for place in (group, shared):
        named = place.get("SegmentIdentificationSequence") if place is not None else None
        if named:
            return int(named[0].ReferencedSegmentNumber)
    raise ReadError("a frame does not say which segment it shows")


def _axes(first: SegFrame) -> Array:
    across, down = np.asarray(first.orientation[:3]), np.asarray(first.orientation[3:])
    if not np.allclose([across @ across, down @ down, across @ down], [1.0, 1.0, 0.0], atol=1e-2):
        raise ReadError("its rows and columns are not at right angles")
    across = across / np.linalg.norm(across)
    down = down - (down @ across) * across
    down = down / np.linalg.norm(down)
    return np.stack([across, down, np.cross(across, down)], axis=1)


def _distinct(depths_mm: Array) -> tuple[Array, Array]:
    """Return the distinct depths, ascending, and the number of each frame's among them."""
    order = np.argsort(depths_mm, kind="stable")
    ordered = depths_mm[order]
    gaps = np.diff(ordered)
    steps = np.concatenate([[0], np.cumsum(gaps > same_mm(gaps))])
    numbers = np.empty(len(order), int)
    numbers[order] = steps
    begins = np.flatnonzero(np.diff(steps, prepend=-1))
    return ordered[begins], numbers


def _check_size(size: tuple[int, int, int], sides_mm: tuple[float, ...]) -> None:
    if not all(SMALLEST_MM <= side <= LARGEST_MM for side in sides_mm):
        shown = "×".join(f"{side:.4g}" for side in sides_mm)
        raise ReadError(f"its voxels are {shown} mm; expected {SMALLEST_MM:g} to {LARGEST_MM:g} mm")
    if math.prod(size) > _MOST_VOXELS:
        raise ReadError(f"its planes span {size[2]} planes of {size[0]}×{size[1]} pixels, more than can be held")


def _grid(size: tuple[int, int, int], first: SegFrame, step_mm: float, lowest: tuple[float, ...], axes: Array) -> Grid:
    rows_mm, columns_mm = first.pixel_spacing_mm
    origin = (lowest[0], lowest[1], lowest[2])
    return Grid(size, (columns_mm, rows_mm, step_mm), origin, tuple(axes.ravel().tolist()))
