"""Files <-> Volume: NIfTI, NRRD, MetaImage and DICOM series.

Everything read comes in canonical orientation (see :mod:`voxtrace.volume`); everything written goes back onto the grid
of the file it came from. SimpleITK and pydicom are imported on the first call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import GeometryError, OutputError, ReadError
from voxtrace.io.intact import check_finite, count_bad
from voxtrace.io.suffixes import SUFFIXES, is_dicom, stem_of, suffix_of
from voxtrace.volume import Array, Geometry, Grid, LabelMap, Volume

__all__ = ["SUFFIXES", "from_sitk", "read", "read_labels", "to_sitk", "write"]

_NNUNET_CHANNEL = re.compile(r"_\d{4}$")


def read(path: str | Path | Sequence[str | Path]) -> Volume:
    """Return the volume in a file or DICOM folder, in canonical orientation.

    Parameters
    ----------
    path
        A NIfTI, NRRD or MetaImage file; a folder with one DICOM series; one file of a series; or several paths,
        whose volumes become the channels (C) of one.

    Returns
    -------
    Volume
        ``data`` (C, Z, Y, X) in the file's own number type, float64 as float32. The name is that of the file or
        folder, for several files without nnU-Net's ``_0000``.

    Raises
    ------
    ReadError
        When there is no such file, or it holds no complete, finite, three-dimensional scalar volume.
    GeometryError
        When several files lie on different grids.
    """
    if isinstance(path, (str, Path)):
        return _read_one(Path(path))
    volumes = [_read_one(Path(p)) for p in path]
    if not volumes:
        raise ReadError("an empty list of files was given; expected at least one, a file for each channel.")
    stacked = Volume.stack(volumes)
    return replace(stacked, name=_NNUNET_CHANNEL.sub("", stacked.name) if len(volumes) > 1 else stacked.name)


def read_labels(path: str | Path) -> LabelMap:
    """Return the label map in a file, in canonical orientation, with the names and colours the file carries.

    Names come from the label table in a NIfTI header (as VoxTrace, TotalSegmentator and Connectome Workbench write
    it) or from 3D Slicer's segment keys in NRRD and MetaImage files.

    Raises
    ------
    ReadError
        When the file cannot be read, or holds anything but whole numbers from 0 to 65535.
    """
    from voxtrace.io import itk, names
    from voxtrace.io.nifti import read_extensions

    path = Path(path)
    _check_volume_file(path)
    with _readable(path):
        array, grid, keys = itk.load(path)
        if suffix_of(path) in (".nii", ".nii.gz"):
            label_names, colours = names.from_xml(read_extensions(path))
        else:
            label_names, colours = names.from_keys(keys, ascii_only=suffix_of(path) != ".nrrd")
    _check_finite(array, path)
    canonical = np.array(grid.layout.to_canonical(array), order="C")
    try:
        return LabelMap(canonical, Geometry.from_grid(grid), label_names, colours, stem_of(path))
    except GeometryError as error:
        raise ReadError(f"{path} is not a label map: {error}") from error


def write(item: LabelMap | Volume, path: str | Path) -> Path:
    """Write a label map or a one-channel volume onto the grid it came from, and return the path.

    The file holds exactly the size, spacing, origin and direction of ``item.geometry.grid``; NIfTI written for a
    NIfTI-1 input has its orientation fields bit for bit. (NRRD stores direction times spacing, so an oblique
    direction may differ in the sixteenth digit.) Label names and colours travel inside the file. The file appears
    whole or not at all.

    Raises
    ------
    OutputError
        When the suffix is none of ``SUFFIXES``, the volume has several channels, or the system refuses.
    """
    from voxtrace.io import itk, names

    path = Path(path)
    suffix = _check_output(path)
    array = _stored(item)
    if isinstance(item, Volume):
        itk.save(array, item.geometry.grid, path, keys={})
    elif suffix in (".nii", ".nii.gz"):
        itk.save(array, item.geometry.grid, path, keys={}, extension=names.to_xml(item))
    else:
        itk.save(array, item.geometry.grid, path, keys=names.to_keys(item, ascii_only=suffix != ".nrrd"))
    return path


def to_sitk(item: LabelMap | Volume) -> Any:
    """Return a SimpleITK image of a label map or a one-channel volume, on the grid it came from."""
    from voxtrace.io import itk

    return itk.image_of(_stored(item), item.geometry.grid)


def from_sitk(image: Any, name: str = "volume") -> Volume:
    """Return a three-dimensional scalar SimpleITK image as a volume in canonical orientation.

    Raises
    ------
    ReadError
        When the image has another number of dimensions, several numbers a voxel, or NaN or infinite voxels.
    """
    from voxtrace.io import itk

    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ReadError(
            f"the image {name} has {image.GetDimension()} dimensions and {image.GetNumberOfComponentsPerPixel()} "
            "number(s) a voxel; expected 3 and 1. Extract one volume first."
        )
    return _canonical(itk.simpleitk().GetArrayFromImage(image), itk.grid_of(image), Path(name), name)


def _read_one(path: Path) -> Volume:
    from voxtrace.io import dicom, itk

    with _readable(path):
        if path.is_dir() or (path.is_file() and not suffix_of(path) and is_dicom(path)):
            series = dicom.load(path)
            read = _canonical(series.array, series.grid, path, series.name)
            return replace(read, modality=series.modality, passport=series.passport)
        _check_volume_file(path)
        array, grid, _ = itk.load(path)
    return _canonical(array, grid, path, stem_of(path))


def _canonical(array: Array, grid: Grid, path: Path, name: str) -> Volume:
    _check_finite(array, path)
    canonical = grid.layout.to_canonical(array)[np.newaxis]
    data = np.array(canonical, order="C", dtype=np.float32 if array.dtype == np.float64 else None)
    return Volume(data, Geometry.from_grid(grid), name=name)


def _check_volume_file(path: Path) -> None:
    if path.is_dir():
        raise ReadError(f"{path} is a folder; expected a file ending in {_listed()}.")
    if not path.is_file():
        raise ReadError(f"{path} does not exist; check the path.")
    if not suffix_of(path):
        raise ReadError(f"{path} is not a volume; expected a file ending in {_listed()}, or a DICOM series.")


def _check_finite(array: Array, path: Path) -> None:
    if np.issubdtype(array.dtype, np.floating):
        check_finite(count_bad(array), array.size, path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the system's refusal to read into one sentence."""
    try:
        yield
    except OSError as error:
        raise ReadError(f"{path} cannot be read: {error.strerror or error}; check the path and permissions.") from error


def _check_output(path: Path) -> str:
    suffix = suffix_of(path)
    if path.suffix.lower() == ".dcm":
        raise OutputError(f"{path}: DICOM-SEG cannot be written yet. Choose a name ending in {_listed()}.")
    if not suffix:
        raise OutputError(f"{path} names no format that can be written. Choose a name ending in {_listed()}.")
    return suffix


def _stored(item: LabelMap | Volume) -> Array:
    """Return the item's voxels (Z, Y, X) in the orientation of the grid they are written onto."""
    if isinstance(item, Volume) and item.data.shape[0] != 1:
        raise OutputError(
            f"{item.name} has {item.data.shape[0]} channels; expected one. Write a file for each channel."
        )
    array = item.data[0] if isinstance(item, Volume) else item.data
    stored = item.geometry.stored
    if stored is None:
        return array
    turned = stored.layout.to_stored(array)
    if turned.shape != stored.size[::-1]:
        raise OutputError(
            f"{item.name} has {turned.shape} voxels where the grid to write onto has {stored.size[::-1]}; "
            "expected equal shapes. Give a cropped or resampled array a geometry of its own."
        )
    return turned


def _listed() -> str:
    return f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
