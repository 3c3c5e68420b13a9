"""Find the DICOM series in a folder whose grid a label map lies on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from voxtrace.errors import GeometryError, ReadError
from voxtrace.io.child.guarded import find_series
from voxtrace.io.dicom import DicomGrid, grid_of
from voxtrace.io.dicom.stack import stack_slices
from voxtrace.io.export.on_grid import OnGrid
from voxtrace.io.suffixes import is_dicomdir
from voxtrace.volume import Array, Grid

_TOLERANCE = 0.1  # of a voxel


def find_source_series(labels: OnGrid, source: Path) -> tuple[Array, DicomGrid]:
    """Return the labels (Z, Y, X) as stacked in the one series of ``source`` they fit, and its grid.

    ``source`` is a folder, searched with its subfolders, or one file of the series that is meant. Where no series has
    the labels' grid, one that has more planes at the ends will do: DICOM-SEG leaves out planes without labels.

    Raises
    ------
    ReadError
        When there is no such folder or file, or no DICOM image in it.
    GeometryError
        When no series, or more than one, has the grid of the labels.
    """
    grids = list(grids_in(source))
    fitting = [(array, grid) for grid in grids if (array := onto(labels, grid)) is not None]
    # a series with exactly the labels' planes goes before longer ones
    fitting = [found for found in fitting if found[0].size == labels.data.size] or fitting
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
    """Return the labels in the order of ``grid``, (Z, Y, X); None when they lie on other voxels.

    A view where both have the same voxels. Labels that lack planes at an end, as a segmentation file leaves out those
    without labels, are completed with empty ones.
    """
    # whole numbers where both grids have the same voxels, in another order or direction
    step = np.linalg.inv(grid.affine) @ labels.geometry.matrix  # canonical index -> index in grid
    turn = np.round(step[:3, :3])
    axes = [int(np.argmax(np.abs(row))) for row in turn]
    if sorted(axes) != [0, 1, 2] or not np.array_equal(np.abs(turn).sum(0), [1, 1, 1]):
        return None
    turned = labels.data.transpose(axes)
    flips = tuple(slice(None, None, -1 if turn[i, axis] < 0 else 1) for i, axis in enumerate(axes))
    shape = labels.geometry.shape
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), -1).reshape(-1, 3)
    exact = corners @ turn.T + np.where(turn.sum(1) < 0, np.asarray(turned.shape) - 1, 0)
    found = corners @ step[:3, :3].T + step[:3, 3]
    first = int(np.round((found - exact)[:, 0].mean()))  # the plane of the grid that the labels begin in
    if float(np.abs(found - exact - (first, 0, 0)).max()) > _TOLERANCE:
        return None
    return _completed(turned[flips], first, grid.size[::-1])


def _completed(array: Array, first: int, shape: tuple[int, ...]) -> Array | None:
    """Return an array of planes with empty ones before and after, of the shape; None where it does not fit in.

    Scalars are not completed: a number is not known where it was not written.
    """
    if array.shape[1:] != shape[1:] or first < 0 or first + len(array) > shape[0]:
        return None
    if array.shape == shape:
        return array
    if not np.issubdtype(array.dtype, np.integer):
        return None
    whole = np.zeros(shape, array.dtype)
    whole[first : first + len(array)] = array
    return whole


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
