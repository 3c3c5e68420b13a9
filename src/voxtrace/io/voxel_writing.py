"""A label map or volume -> NIfTI, NRRD or MetaImage on the grid it came from, read back before it takes its name."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError, ReadError
from voxtrace.io.export.options import ExportOptions, Written
from voxtrace.io.integrity import check_meta_voxels, check_not_empty
from voxtrace.io.itk import image_of, last_line, quiet, simpleitk, widened
from voxtrace.io.names import DESCRIPTION, to_keys, to_xml
from voxtrace.io.nifti import write_nifti
from voxtrace.io.stored_orientation import stored_array
from voxtrace.io.suffixes import NIFTI, suffix_of
from voxtrace.io.text_headers import read_meta_header
from voxtrace.io.verification import ExpectedFile, verify_written
from voxtrace.passport import MADE_UP_DESCRIPTION
from voxtrace.volume import Array, Grid, LabelMap, Volume

_FULL_BYTES = 1 << 20  # with less than this left, an incomplete file means a full disk


def write(item: LabelMap | Volume, path: Path, options: ExportOptions) -> Written:
    """Write a label map with its names and colours, or a one-channel volume, onto the grid it came from.

    No option applies to these formats.

    Raises
    ------
    OutputError
        When the volume has several channels, the system refuses, or the file read back is not as expected.
    """
    suffix = suffix_of(path)
    array, expected = stored_array(item), ExpectedFile.of(item.geometry)
    if suffix in NIFTI:
        extension = to_xml(item) if isinstance(item, LabelMap) else ""
        _save_nifti(array, item.geometry.grid, path, expected, (extension, _description(item)))
    else:
        keys = to_keys(item, ascii_only=suffix != ".nrrd") if isinstance(item, LabelMap) else {}
        keys |= {DESCRIPTION: said} if (said := _description(item)) else {}
        _save_with_itk(array, item.geometry.grid, path, expected, keys)
    return Written((path,))


def _description(item: LabelMap | Volume) -> str:
    """Return what the header says in words: that a scan is made up, or the note of a label map."""
    if isinstance(item, LabelMap):
        return item.note
    return MADE_UP_DESCRIPTION if item.made_up else ""


def _save_nifti(array: Array, grid: Grid, path: Path, expected: ExpectedFile, texts: tuple[str, str]) -> None:
    array = np.ascontiguousarray(widened(array))
    with atomic_file(path) as temporary:
        write_nifti(array, grid, temporary, *texts)
        verify_written(temporary, array, expected)


def _save_with_itk(array: Array, grid: Grid, path: Path, expected: ExpectedFile, keys: Mapping[str, str]) -> None:
    image = image_of(array, grid)
    for key, value in keys.items():
        image.SetMetaData(key, value)
    if suffix_of(path) == ".mhd":
        _save_pair(image, path, expected)
        return
    with atomic_file(path) as temporary:
        _write_image(image, temporary)
        verify_written(temporary, simpleitk().GetArrayViewFromImage(image), expected)


def _save_pair(image: Any, path: Path, expected: ExpectedFile) -> None:
    """Write header and voxels of ``.mhd``; the voxels take their name first, so no header ever lacks its voxels."""
    # contexts close in reverse order: the voxels take their name before the header does
    with atomic_file(path) as header, atomic_file(path.with_suffix(".zraw")) as voxels:
        beside = header.with_suffix(".zraw")  # the name ITK chooses
        try:
            _write_image(image, header)
            beside.replace(voxels)
        finally:
            beside.unlink(missing_ok=True)
        verify_written(header, simpleitk().GetArrayViewFromImage(image), expected, voxels)
        text = header.read_text(encoding="latin-1")
        header.write_text(text.replace(beside.name, path.with_suffix(".zraw").name), encoding="latin-1")


def _write_image(image: Any, path: Path) -> None:
    """Write with ITK and measure what it wrote: on a full disk it cuts files short without an error."""
    path.touch()  # raises the system's own error where writing is refused
    with quiet():
        try:
            simpleitk().WriteImage(image, str(path), useCompression=True)
            check_complete(path)
        except (RuntimeError, ReadError) as error:
            if shutil.disk_usage(path.parent).free < _FULL_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise OutputError(
                f"{path.parent} took no complete file: {last_line(error)}. Choose another folder or format."
            ) from error


def check_complete(path: Path) -> None:
    """Refuse a file that ITK wrote and that is empty, or a MetaImage whose voxels are cut short."""
    check_not_empty(path)
    if suffix_of(path) in (".mha", ".mhd"):
        check_meta_voxels(path, read_meta_header(path))
