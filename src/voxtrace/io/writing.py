"""LabelMap and Volume -> files, each read back before it takes its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtrace.io.stored_orientation import stored_array
from voxtrace.io.suffixes import NIFTI, suffix_of
from voxtrace.volume import LabelMap, Volume


def write(item: LabelMap | Volume, path: str | Path) -> Path:
    """Write a label map or a one-channel volume onto the grid it came from, and return the path.

    The name's ending chooses the format, see :mod:`voxtrace.io.formats`. NIfTI, NRRD and MetaImage hold exactly the
    size, spacing, origin and direction of ``item.geometry.grid``; NIfTI written for a NIfTI input has its orientation
    fields bit for bit. (NRRD stores direction times spacing, so an oblique direction may differ in the sixteenth
    digit.) Label names and colours travel inside the file. Other formats (``.seg.nrrd``, ``.dcm``, ``.stl`` …) are
    for label maps.

    Before the file takes its name it is read back: the eight corners and the centre must lie where they belong, in mm,
    and all voxels must be there. The file appears whole or not at all; when it does not, an older one is untouched.

    Raises
    ------
    OutputError
        When the ending names no format, the volume has several channels, the system refuses, or what was written is
        not what was to be written.
    """
    from voxtrace.io.export.exporting import export_all

    export_all(item, path)
    return Path(path)


def load_writers(path: Path) -> None:
    """Import the packages that :func:`write` needs for such a name, so that it need not while others wait for it.

    For NRRD and MetaImage that takes a quarter of a second, in which others can compute.
    """
    from voxtrace.io import itk, voxel_writing  # noqa: F401

    if suffix_of(path) not in NIFTI:
        itk.simpleitk()


def to_sitk(item: LabelMap | Volume) -> Any:
    """Return a SimpleITK image of a label map or a one-channel volume, on the grid it came from."""
    from voxtrace.io.itk import image_of

    return image_of(stored_array(item), item.geometry.grid)
