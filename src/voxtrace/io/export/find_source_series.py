"""Find the DICOM series in a folder whose grid a label map lies on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from voxtrace.errors import GeometryError, ReadError
from voxtrace.io.dicom import DicomGrid, SourceFrame, find_series, load_series
from voxtrace.io.export.source_headers import ImagePlanePosition, frame_count, plane_position_of, read_header
from voxtrace.io.suffixes import is_dicom
from voxtrace.volume import Array, Grid, LabelMap

_TOLERANCE = 0.1  # of a voxel
_SAME_MM = 1e-3
_SAME_COSINE = 1e-3

_Image = tuple[SourceFrame, ImagePlanePosition]


def find_source_series(labels: LabelMap, source: Path) -> tuple[Array, DicomGrid]:
    """Return the labels (Z, Y, X) as stacked in the one series of ``source`` they fit, and its grid.

    ``source`` is a folder, searched with its subfolders, or one file of the series that is meant.

    Raises
    ------
    ReadError
        When there is no such folder or file, or no DICOM image in it.
    GeometryError
        When no series, or more than one, has the grid of the labels.
    """
    grids = list(_grids(source))
    fitting = [(array, grid) for grid in grids if (array := onto(labels, grid)) is not None]
    if not fitting and (straightened := _straightened(labels, source)):
        return straightened
    if not fitting:
        shapes = ", ".join(sorted({_words(grid) for grid in grids})) or "no stack of images"
        raise GeometryError(
            f"no series in {source} has the grid of {labels.name}: expected {_words(labels.geometry.grid)} "
            f"starting at {_point(labels.geometry.grid)} mm (LPS), found {shapes}. Name the folder of the images that "
            "were segmented, or resample the labels onto them."
        )
    if len(fitting) > 1:
        raise GeometryError(
            f"{len(fitting)} series in {source} have the grid of {labels.name}; "
            "name one file of the series that was segmented."
        )
    return fitting[0]


def onto(labels: LabelMap, grid: Grid) -> Array | None:
    """Return the labels as a view in the order of ``grid``, (Z, Y, X); None when they lie on other voxels."""
    # whole numbers where both grids have the same voxels, in another order or direction
    step = np.linalg.inv(grid.affine) @ labels.geometry.matrix  # canonical index -> index in grid
    turn = np.round(step[:3, :3])
    axes = [int(np.argmax(np.abs(row))) for row in turn]
    if sorted(axes) != [0, 1, 2] or not np.array_equal(np.abs(turn).sum(0), [1, 1, 1]):
        return None
    turned = labels.data.transpose(axes)
    flips = tuple(slice(None, None, -1 if turn[i, axis] < 0 else 1) for i, axis in enumerate(axes))
    if turned.shape != grid.size[::-1]:
        return None
    shape = labels.geometry.shape
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), -1).reshape(-1, 3)
    exact = corners @ turn.T + np.where(turn.sum(1) < 0, np.asarray(turned.shape) - 1, 0)
    found = corners @ step[:3, :3].T + step[:3, 3]
    return turned[flips] if float(np.abs(found - exact).max()) <= _TOLERANCE else None


def _grids(source: Path) -> Iterator[DicomGrid]:
    for images in _series(source):
        grid = _grid(images)
        if grid is not None:
            yield grid


def _series(source: Path) -> list[list[_Image]]:
    """Return the images under a folder (or beside a file, of its series) by series, orientation and size."""
    if not source.exists():
        raise ReadError(f"{source} does not exist; expected a folder with the DICOM images that were segmented.")
    files = sorted(p for p in (source.rglob("*") if source.is_dir() else source.parent.iterdir()) if p.is_file())
    groups: dict[tuple[object, ...], list[_Image]] = {}
    wanted: set[tuple[object, ...]] = set()
    for file in filter(is_dicom, files):
        header = read_header(file)
        for frame in range(frame_count(header)):
            position = plane_position_of(header, frame)
            if position is not None:
                key = (str(header.get("SeriesInstanceUID", "")), position.size, _rounded(position))
                groups.setdefault(key, []).append((SourceFrame(file, frame), position))
                if file == source:
                    wanted.add(key)
    if not groups:
        raise ReadError(f"{source} holds no DICOM images with a position; name the folder of the images.")
    return [group for key, group in groups.items() if source.is_dir() or key in wanted]


def _rounded(position: ImagePlanePosition) -> tuple[float, ...]:
    """Return orientation and spacing, rounded so that headers that differ in the last digit give equal keys."""
    return (*np.round(position.orientation, 2).tolist(), *np.round(position.spacing_mm, 3).tolist())


def _grid(images: Sequence[_Image]) -> DicomGrid | None:
    """Return the grid of images that stack evenly along their normal, one at each position; otherwise None."""
    first = images[0][1]
    ordered = sorted(images, key=lambda image: float(np.dot(image[1].position_mm, first.normal)))
    starts = np.asarray([position.position_mm for _, position in ordered])
    steps = np.diff(starts, axis=0)
    if len(ordered) < 2:
        return None
    step = (starts[-1] - starts[0]) / (len(ordered) - 1)
    distance_mm = float(np.linalg.norm(step))
    if distance_mm < _SAME_MM or float(np.abs(steps - step).max()) > _TOLERANCE * distance_mm:
        return None
    across = step / distance_mm
    if float(np.linalg.norm(across - first.normal)) > 0.5 * _TOLERANCE:
        return None  # tilted gantry: the planes form no right-angled grid
    position = ordered[0][1]
    matrix = np.stack([position.orientation[:3], position.orientation[3:], first.normal], axis=1)
    return DicomGrid(
        size=(position.size[1], position.size[0], len(ordered)),
        spacing_mm=(position.spacing_mm[1], position.spacing_mm[0], distance_mm),
        origin_mm=(position.position_mm[0], position.position_mm[1], position.position_mm[2]),
        direction=tuple(matrix.ravel().tolist()),
        sources=tuple(image for image, _ in ordered),
    )


def _straightened(labels: LabelMap, source: Path) -> tuple[Array, DicomGrid] | None:
    """Return labels and grid of the series that reading resamples onto the labels' grid: tilt, gaps, uneven spacing.

    That decodes pixels, so it is tried last.
    """
    folder = source if source.is_dir() else source.parent
    found = [s for s in find_series(folder) if source.is_dir() or any(part.path == source for part in s.slices)]
    grids = [load_series(series).grid for series in found if series.usable]
    fitting = [(array, grid) for grid in grids if (array := onto(labels, grid)) is not None]
    return fitting[0] if len(fitting) == 1 else None


def _words(grid: Grid) -> str:
    return f"{'×'.join(map(str, grid.size))} voxels of {'×'.join(f'{s:.4g}' for s in grid.spacing_mm)} mm"


def _point(grid: Grid) -> str:
    return ", ".join(f"{v:.2f}" for v in grid.origin_mm)
