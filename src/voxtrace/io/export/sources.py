"""The DICOM images that a label map was segmented from, plane by plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxtrace.errors import GeometryError, OutputError
from voxtrace.io.dicom import DicomGrid, SourceFrame
from voxtrace.io.dicom.positions import ROUNDING_MM, are_rounded
from voxtrace.io.dicom.slices import is_rounded_orientation
from voxtrace.io.export.copied_attributes import copied
from voxtrace.io.export.find_source_series import find_source_series
from voxtrace.io.export.on_grid import OnGrid
from voxtrace.io.export.source_headers import ImagePlanePosition, complete, frame_count, plane_position_of, read_header
from voxtrace.io.stored_orientation import to_stored_orientation
from voxtrace.volume import Array, Geometry, Grid

if TYPE_CHECKING:
    from pydicom import Dataset

_TOLERANCE = 0.1  # of a voxel
_EXACT_MM = 1e-3
_ROUNDED_COSINE = 1.25e-2


@dataclass(frozen=True, eq=False)
class SourceImages:
    """Source images, and the planes of the label map that belong to them.

    Attributes
    ----------
    headers
        One for each file, in the order of the stack; only what may be copied, see
        :mod:`voxtrace.io.export.copied_attributes`.
    frames
        For image i along the stack: which header, and which frame in it, counted from 0.
    planes
        Where each plane of the written array lies.
    grid
        The grid of the written array.
    regridded
        Whether the planes are not those of the images.
    notes
        A sentence for each thing that was missing in the headers, or violated the standard.
    """

    headers: tuple[Dataset, ...]
    frames: tuple[tuple[int, int], ...]
    planes: tuple[ImagePlanePosition, ...]
    grid: DicomGrid
    regridded: bool
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the images; one with several frames occurs once."""
        return _files_of(self.grid)

    def source_of(self, plane: int) -> tuple[Dataset, int] | None:
        """Return the image that a plane lies in and the frame counted from 0; None for planes of a new grid."""
        if self.regridded:
            return None
        header, frame = self.frames[plane]
        return self.headers[header], frame


def match(labels: OnGrid, source: Path | None) -> tuple[Array, SourceImages]:
    """Return the labels (Z, Y, X), plane by plane as the source images lie, and those images.

    Raises
    ------
    OutputError
        When the label map does not know its images and ``source`` is None.
    GeometryError
        When no series of ``source`` has the label map's grid.
    """
    if source is not None:
        array, grid = find_source_series(labels, source)
        return array, _source_images(grid, labels.name)
    stored = labels.geometry.stored
    if not isinstance(stored, DicomGrid) or not stored.sources:
        raise OutputError(
            f"{labels.name} does not know the DICOM images it belongs to, which DICOM exports refer to. "
            "Name their folder with --source (source= in Python)."
        )
    if not labels.geometry.is_close(Geometry.from_grid(stored)):
        raise GeometryError(f"{labels.name} does not lie on the grid of its DICOM images; resample it onto that grid.")
    return to_stored_orientation(labels.data, labels.geometry), _source_images(stored, labels.name)


def _source_images(grid: DicomGrid, name: str) -> SourceImages:
    files = _files_of(grid)
    headers, changes = copied(read_header(file) for file in files)
    notes = (*changes, *complete(headers))
    frames = tuple((files.index(source.path), source.frame) for source in grid.sources)
    if grid.regridded:
        planes = tuple(_planes_of(grid))
    else:
        planes = _plane_positions(grid.sources, headers, frames)
        _check_positions(planes, grid, name)
        if _are_rounded(planes):  # the grid that was read lies between the rounded positions
            planes = tuple(_planes_of(grid))
    return SourceImages(headers, frames, planes, grid, grid.regridded, notes)


def _files_of(grid: DicomGrid) -> tuple[Path, ...]:
    # a multi-frame file occurs once for each frame
    return tuple(dict.fromkeys(source.path for source in grid.sources))


def _plane_positions(
    sources: Sequence[SourceFrame], headers: Sequence[Dataset], frames: Sequence[tuple[int, int]]
) -> tuple[ImagePlanePosition, ...]:
    return tuple(_plane_position(source, headers[i], frame) for source, (i, frame) in zip(sources, frames, strict=True))


def _plane_position(source: SourceFrame, header: Dataset, frame: int) -> ImagePlanePosition:
    try:
        found = plane_position_of(header, frame) if frame < frame_count(header) else None
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError):  # of values in the header alone
        found = None
    if found is None:
        raise GeometryError(f"{source.path} does not say where its frame {source.frame + 1} lies; export it again.")
    return found


def _planes_of(grid: Grid) -> list[ImagePlanePosition]:
    """Return where the planes of a grid lie."""
    matrix = np.reshape(grid.direction, (3, 3))
    orientation = (*matrix[:, 0].tolist(), *matrix[:, 1].tolist())
    spacing = (grid.spacing_mm[1], grid.spacing_mm[0])
    size = (grid.size[1], grid.size[0])
    starts = np.asarray(grid.origin_mm) + np.outer(np.arange(grid.size[2]), matrix[:, 2] * grid.spacing_mm[2])
    return [
        ImagePlanePosition(tuple(start), orientation, spacing, size, grid.spacing_mm[2]) for start in starts.tolist()
    ]


def _check_positions(planes: Sequence[ImagePlanePosition], grid: Grid, name: str) -> None:
    """Refuse a label map whose planes are not those of the images."""
    expected = _planes_of(grid)
    if len(planes) != len(expected) or any(p.size != e.size for p, e in zip(planes, expected, strict=True)):
        raise GeometryError(
            f"{name} has {grid.size} voxels, its source images {len(planes)} planes of {planes[0].size[::-1]}; "
            "expected the same. Name the folder of the right images with --source."
        )
    off_mm = max(float(np.abs(_ends(p) - _ends(e)).max()) for p, e in zip(planes, expected, strict=True))
    if off_mm > _TOLERANCE * min(grid.spacing_mm) + _rounding_mm(planes):
        raise GeometryError(
            f"{name} lies {off_mm:.3g} mm from its source images; expected at most a tenth of a voxel. "
            "Name the folder of the right images with --source."
        )


def _are_rounded(planes: Sequence[ImagePlanePosition]) -> bool:
    """Return whether positions or orientations were rounded so that the planes are no even stack of their own."""
    if _rounding_mm(planes) == 0.0:
        return False
    steps = np.diff(np.asarray([p.position_mm for p in planes]), axis=0)
    along = planes[0].normal / np.linalg.norm(planes[0].normal)
    uneven_mm = float(np.abs(steps - steps.mean(axis=0)).max()) if len(steps) else 0.0
    aslant_mm = float(np.abs(steps - np.outer(steps @ along, along)).max()) if len(steps) else 0.0
    return max(uneven_mm, aslant_mm) > _EXACT_MM


def _rounding_mm(planes: Sequence[ImagePlanePosition]) -> float:
    """Return how far rounding of the headers may move a pixel; 0 where nothing is rounded."""
    positions_mm = np.asarray([p.position_mm for p in planes])
    moved_mm = 2 * ROUNDING_MM if are_rounded(positions_mm) else 0.0
    rows, columns = planes[0].size
    extent_mm = max(rows * planes[0].spacing_mm[0], columns * planes[0].spacing_mm[1], float(np.ptp(positions_mm)))
    return moved_mm + (_ROUNDED_COSINE * extent_mm if is_rounded_orientation(planes[0].orientation) else 0.0)


def _ends(position: ImagePlanePosition) -> Array:
    """Return the first, last-in-row and last-in-column pixel of a plane, (3, 3), (L, P, S) in mm."""
    rows, columns = position.size
    start = np.asarray(position.position_mm)
    along = np.asarray(position.orientation[:3]) * position.spacing_mm[1] * (columns - 1)
    down = np.asarray(position.orientation[3:]) * position.spacing_mm[0] * (rows - 1)
    return np.stack([start, start + along, start + down])
