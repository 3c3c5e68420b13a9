"""Find the DICOM series in a folder whose grid a label map lies on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from voxtrace.errors import GeometryError, ReadError
from voxtrace.io.dicom import DicomGrid, find_series, grid_of
from voxtrace.io.dicom.stack import stack_slices
from voxtrace.io.export.on_grid import OnGrid
from voxtrace.io.suffixes import is_dicomdir
from voxtrace.volume import Array, Grid, LabelMap

_TOLERANCE = 0.1  # of a voxel


def find_source_series(labels: OnGrid, source: Path) -> tuple[Array, DicomGrid]:
    """Return the labels (Z, Y, X) as stacked in the one series of ``source`` they fit, and its grid.

    A label map may lack planes of the series at its ends: DICOM-SEG files usually leave out those without labels.
    ``source`` is a folder, searched with its subfolders, or one file of the series that is meant.

    Raises
    ------
    ReadError
        When there is no such folder or file, or no DICOM image in it.
    GeometryError
        When no series, or more than one, has the grid of the labels.
    """
    grids = list(grids_in(source))
    fitting = [(array, grid) for grid in grids if (array := onto(labels, grid)) is not None]
    if not fitting and isinstance(labels, LabelMap):
        fitting = [(array, grid) for grid in grids if (array := _with_empty_planes(labels, grid)) is not None]
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


def onto(labels: OnGrid, grid: Grid) -> Array | None:
    """Return the labels as a view in the order of ``grid``, (Z, Y, X); None when they lie on other voxels."""
    turned, first = _placed(labels, grid)
    return turned if first == (0, 0, 0) and turned.shape == grid.size[::-1] else None


def _with_empty_planes(labels: LabelMap, grid: Grid) -> Array | None:
    """Return the labels in the order of ``grid`` with the planes that they lack at its ends; None on other voxels."""
    turned, first = _placed(labels, grid)
    whole = np.zeros(grid.size[::-1], labels.data.dtype)
    if first is None or first[1:] != (0, 0) or turned.shape[1:] != whole.shape[1:]:
        return None
    if first[0] < 0 or first[0] + len(turned) > len(whole):
        return None
    whole[first[0] : first[0] + len(turned)] = turned
    return whole


def _placed(labels: OnGrid, grid: Grid) -> tuple[Array, tuple[int, ...] | None]:
    """Return a view of the labels in the order of ``grid``, and the voxel of the grid on which its first voxel lies.

    None when the axes are no turned ones of the grid, or the voxels lie between its voxels.
    """
    # whole numbers where both grids have the same voxels, in another order or direction
    step = np.linalg.inv(grid.affine) @ labels.geometry.matrix  # canonical index -> index in grid
    turn = np.round(step[:3, :3])
    axes = [int(np.argmax(np.abs(row))) for row in turn]
    if sorted(axes) != [0, 1, 2] or not np.array_equal(np.abs(turn).sum(0), [1, 1, 1]):
        return labels.data, None
    turned = labels.data.transpose(axes)
    flips = tuple(slice(None, None, -1 if turn[i, axis] < 0 else 1) for i, axis in enumerate(axes))
    shape = labels.geometry.shape
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), -1).reshape(-1, 3)
    ends = np.where(turn.sum(1) < 0, np.asarray(turned.shape) - 1, 0)
    found = corners @ step[:3, :3].T + step[:3, 3]
    first = np.round((found - corners @ turn.T - ends).mean(0))
    off = float(np.abs(found - corners @ turn.T - ends - first).max())
    return turned[flips], tuple(int(n) for n in first) if off <= _TOLERANCE else None


def grids_in(source: Path) -> Iterator[DicomGrid]:
    """Yield the grid on which reading brings each series that can be opened; from headers alone."""
    if not source.exists():
        raise ReadError(f"{source} does not exist; expected a folder with the DICOM images that were segmented.")
    folder = source.parent if source.is_file() else source
    found = find_series(folder)
    if source.is_file() and not is_dicomdir(source):
        found = tuple(series for series in found if any(slice_.path == source for slice_ in series.slices))
    if not any(series.is_placed for series in found):
        raise ReadError(f"{source} holds no DICOM images with a position; name the folder of the images.")
    for series in found:
        stack = stack_slices(series.slices) if series.usable else None
        if stack is not None:
            yield grid_of(stack)


def _words(grid: Grid) -> str:
    return f"{'×'.join(map(str, grid.size))} voxels of {'×'.join(f'{s:.4g}' for s in grid.spacing_mm)} mm"


def _point(grid: Grid) -> str:
    return ", ".join(f"{v:.2f}" for v in grid.origin_mm)
