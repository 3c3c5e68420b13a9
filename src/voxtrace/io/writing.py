"""LabelMap and Volume -> files, each save proved by reading it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtrace.errors import OutputError
from voxtrace.io.stored import as_stored
from voxtrace.io.suffixes import NIFTI, listed, suffix_of
from voxtrace.volume import Array, LabelMap, Volume


def write(item: LabelMap | Volume, path: str | Path) -> Path:
    """Write a label map or a one-channel volume onto the grid it came from, and return the path.

    A name that ends in one of ``voxtrace.io.export.ENDINGS`` (``.seg.nrrd``, ``.dcm``, ``.stl`` …) is written by
    :func:`voxtrace.io.export.export`. Otherwise the file holds exactly the size, spacing, origin and direction of
    ``item.geometry.grid``; NIfTI written for a NIfTI input has its orientation fields bit for bit. (NRRD stores
    direction times spacing, so an oblique direction may differ in the sixteenth digit.) Label names and colours travel
    inside the file.

    Before the file takes its name it is read back: the eight corners and the centre must lie where they belong, in mm,
    and all voxels must be there. The file appears whole or not at all; when it does not, an older one is untouched.

    Raises
    ------
    OutputError
        When the name ends in none of these, the volume has several channels, the system refuses, or what was
        written is not what was to be written.
    """
    from voxtrace.io import export, itk, names
    from voxtrace.io.proof import Promise

    path = Path(path)
    if export.is_export(path):
        return export.export(item, path)
    suffix = _check_output(path)
    array, promise = _stored(item), Promise.of(item.geometry)
    keys, extension = {}, ""
    if isinstance(item, LabelMap) and suffix in NIFTI:
        extension = names.to_xml(item)
    elif isinstance(item, LabelMap):
        keys = names.to_keys(item, ascii_only=suffix != ".nrrd")
    itk.save(array, item.geometry.grid, path, promise, keys=keys, extension=extension)
    return path


def load_writers(path: Path) -> None:
    """Load the packages that :func:`write` needs for such a name, so that it need not when there is something to write.

    Takes a quarter of a second, in which others can compute.
    """
    from voxtrace.io import itk, names, proof  # noqa: F401

    if suffix_of(path) in NIFTI:
        proof.header_class()


def to_sitk(item: LabelMap | Volume) -> Any:
    """Return a SimpleITK image of a label map or a one-channel volume, on the grid it came from."""
    from voxtrace.io import itk

    return itk.image_of(_stored(item), item.geometry.grid)


def _check_output(path: Path) -> str:
    suffix = suffix_of(path)
    if not suffix:
        raise OutputError(f"{path} names no format that can be written. Choose a name ending in {listed()}.")
    return suffix


def _stored(item: LabelMap | Volume) -> Array:
    """Return the item's voxels (Z, Y, X) in the orientation of the grid they are written onto."""
    if isinstance(item, Volume) and item.data.shape[0] != 1:
        raise OutputError(
            f"{item.name} has {item.data.shape[0]} channels; expected one. Write a file for each channel."
        )
    array = item.data[0] if isinstance(item, Volume) else item.data
    return as_stored(array, item.geometry, item.name)
