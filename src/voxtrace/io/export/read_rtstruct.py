"""DICOM RTSTRUCT -> label map on the grid of the images that it was drawn on; the inverse of our export.

A voxel belongs to a region when its centre lies within the region's closed contours in its plane, by the even-odd
rule: holes may be contours of their own, or joined to their outline by a channel.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.errors import GeometryError, ReadError
from voxtrace.io.dicom import open_dicom
from voxtrace.io.export.fill import toggle
from voxtrace.io.export.find_source_series import grids_in
from voxtrace.io.export.segments import VALUE_WORDS
from voxtrace.io.export.source_headers import read_header
from voxtrace.io.suffixes import is_dicom, stem_of
from voxtrace.volume import Array, Geometry, Grid, LabelMap, Triple

if TYPE_CHECKING:
    from pydicom import Dataset

_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_OFF_PLANE = 0.2  # of the distance of planes: positions are often rounded to 0.1 mm
_MOST_VALUE = 65535


@dataclass(frozen=True, eq=False)
class _Region:
    """A region of interest: label value, name, colour, and closed contours (N, 3), (L, P, S) in mm."""

    value: int
    name: str
    colour: Triple | None
    contours_mm: tuple[Array, ...]


def is_rtstruct(path: str | Path) -> bool:
    """Return whether a file is a DICOM RTSTRUCT; only its header is read."""
    path = Path(path)
    if not path.is_file() or not is_dicom(path):
        return False
    try:
        return str(open_dicom(path, tags=["SOPClassUID"]).get("SOPClassUID", "")) == _CLASS
    except ReadError:
        return False


def read_rtstruct(path: str | Path, source: str | Path | None = None, only: Sequence[str] = ()) -> LabelMap:
    """Return the regions of an RTSTRUCT as labels on the grid of its images, in canonical orientation.

    Labels keep the values they had when VoxTrace wrote the file; in files of other programs they are the numbers of
    the regions. Regions without closed contours (points, open lines) are left out.

    Parameters
    ----------
    path
        The file.
    source
        A folder with the images that the contours were drawn on, or one file of their series.
    only
        Names of the regions to take; all where it is empty.

    Raises
    ------
    ReadError
        When the file is no RTSTRUCT, names regions that are not there, has no closed contour, or regions overlap.
    GeometryError
        When the images are not found, or contours do not lie in their planes.
    """
    path = Path(path)
    if source is None:
        raise ReadError(
            f"{path} holds contours (RTSTRUCT), which become labels on the images that they were drawn on. Name the "
            f"folder of these images: voxtrace export {path.name} labels.nii.gz --source FOLDER (source= in Python)."
        )
    with warnings.catch_warnings():  # values that violate the standard are checked where they matter
        warnings.simplefilter("ignore")
        dataset = open_dicom(path, pixels=True)
        regions = _chosen(_regions(dataset, path), tuple(only), path)
        grid = _grid(dataset, Path(source), path)
    array = _filled(regions, grid, path)
    data = np.ascontiguousarray(grid.layout.to_canonical(array))
    names = {region.value: region.name for region in regions}
    colours = {region.value: region.colour for region in regions if region.colour is not None}
    return LabelMap(data, Geometry.from_grid(grid), names, colours, stem_of(path))


def _regions(dataset: Dataset, path: Path) -> tuple[_Region, ...]:
    """Return the regions that have closed contours, in the order of the file."""
    if str(dataset.get("SOPClassUID", "")) != _CLASS:
        raise ReadError(f"{path} is no RTSTRUCT; expected DICOM contours.")
    try:
        named = {int(item.ROINumber): item for item in dataset.get("StructureSetROISequence") or ()}
        found = [
            (int(item.ReferencedROINumber), _colour(item), contours)
            for item in dataset.get("ROIContourSequence") or ()
            if (contours := tuple(_contours(item)))
        ]
    except Exception as error:  # damaged elements are parsed when they are asked for, each type with errors of its own
        raise ReadError(f"{path}: its contours cannot be read ({error}); export the file again.") from error
    if not found:
        raise ReadError(f"{path} holds no closed contour; expected at least one region drawn as an area.")
    values = _values([number for number, _, _ in found], named)
    return tuple(
        _Region(value, str(getattr(named.get(number), "ROIName", "") or f"region {number}"), colour, contours)
        for value, (number, colour, contours) in zip(values, found, strict=True)
    )


def _contours(item: Dataset) -> Iterator[Array]:
    for contour in item.get("ContourSequence") or ():
        points = np.asarray(contour.get("ContourData") or (), dtype=np.float64)
        if contour.get("ContourGeometricType") in _CLOSED and len(points) >= 9 and len(points) % 3 == 0:
            if not np.isfinite(points).all():
                raise ValueError("a contour has a point that is not finite")
            yield points.reshape(-1, 3)


def _colour(item: Dataset) -> Triple | None:
    shades = [int(shade) for shade in item.get("ROIDisplayColor") or ()]
    if len(shades) != 3 or not all(0 <= shade <= 255 for shade in shades):
        return None
    red, green, blue = (shade / 255 for shade in shades)
    return red, green, blue


def _values(numbers: Sequence[int], named: dict[int, Any]) -> list[int]:
    """Return a label value for each region: the noted one, else its number, else its place in the file."""
    noted = [_noted(str(getattr(named.get(number), "ROIDescription", ""))) for number in numbers]
    for values in (noted, list(numbers)):
        if len(set(values)) == len(values) and all(1 <= value <= _MOST_VALUE for value in values):
            return values
    return list(range(1, len(numbers) + 1))


def _noted(description: str) -> int:
    words, _, number = description.rpartition(" ")
    return int(number) if words == VALUE_WORDS and number.isascii() and number.isdigit() and len(number) < 6 else 0


def _chosen(regions: tuple[_Region, ...], only: tuple[str, ...], path: Path) -> tuple[_Region, ...]:
    names = [region.name for region in regions]
    missing = [name for name in only if name not in names]
    if missing:
        raise ReadError(f"{path} has no region {missing[0]!r} with closed contours; it has {', '.join(names)}.")
    return tuple(region for region in regions if not only or region.name in only)


def _grid(dataset: Dataset, source: Path, path: Path) -> Grid:
    """Return the grid of the series that the contours refer to; of the only one where they refer to none."""
    wanted = set(_series_uids(dataset))
    grids = list(grids_in(source))
    found = [grid for grid in grids if not wanted or _series_uid(grid.sources[0].path) in wanted]
    if len(found) == 1:
        return found[0]
    if wanted and not found:
        raise GeometryError(
            f"{path} was drawn on images that are not in {source}; name the folder of the series that was contoured."
        )
    raise GeometryError(
        f"{path} fits {len(found)} series in {source}; expected one. Name one file of the series that was contoured."
    )


def _series_uids(dataset: Dataset) -> Iterator[str]:
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            for series in study.get("RTReferencedSeriesSequence") or ():
                yield str(series.get("SeriesInstanceUID", ""))


def _series_uid(file: Path) -> str:
    return str(read_header(file).get("SeriesInstanceUID", ""))


def _filled(regions: Sequence[_Region], grid: Grid, path: Path) -> Array:
    """Return the label of each voxel as the images lie, (Z, Y, X)."""
    array = np.zeros(grid.size[::-1], np.uint16)
    to_voxels = np.linalg.inv(grid.affine)  # of (S, P, L)
    for region in regions:
        for plane, mask in _masks(region, to_voxels, grid, path):
            taken = array[plane][mask]
            if taken.any():
                other = next(one.name for one in regions if one.value == int(taken.max()))
                raise ReadError(
                    f"{path}: the regions {other!r} and {region.name!r} overlap, and a label map has one label at each "
                    "voxel. Take regions that do not, each with --only NAME (only= in Python)."
                )
            array[plane][mask] = region.value
    return array.astype(np.uint8) if int(array.max()) < 256 else array


def _masks(region: _Region, to_voxels: Array, grid: Grid, path: Path) -> Iterator[tuple[int, Array]]:
    """Yield the planes that a region has contours in, with the voxels (Y, X) within."""
    by_plane: dict[int, list[Array]] = {}
    for contour in region.contours_mm:
        voxels = contour[:, ::-1] @ to_voxels[:3, :3].T + to_voxels[:3, 3]  # (Z, Y, X)
        plane = round(float(voxels[:, 0].mean()))
        off = float(np.abs(voxels[:, 0] - plane).max())
        if off > _OFF_PLANE or not 0 <= plane < grid.size[2]:
            raise GeometryError(
                f"{path}: a contour of {region.name!r} lies {_place(off, plane, grid)}; expected it in the plane of an "
                "image. Name the folder of the images that it was drawn on."
            )
        by_plane.setdefault(plane, []).append(voxels[:, :0:-1])
    for plane, lines in by_plane.items():
        mask = np.zeros(grid.size[1::-1], bool)
        for line in lines:
            toggle(mask, line)
        yield plane, mask


def _place(off: float, plane: int, grid: Grid) -> str:
    if not 0 <= plane < grid.size[2]:
        return "outside the stack of images"
    return f"{off * grid.spacing_mm[2]:.2g} mm from the nearest image"
