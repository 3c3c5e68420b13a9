"""A label map or volume -> NIfTI, NRRD or MetaImage on the grid it came from, read back before it takes its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from voxtrace.atomic import atomic_file
from voxtrace.errors import OutputError
from voxtrace.io import metaimage, nrrd
from voxtrace.io.export.options import ExportOptions, Written
from voxtrace.io.gzip import FAST_LEVEL, as_bytes, deflated, gzip_ng
from voxtrace.io.itk import widened
from voxtrace.io.names import DESCRIPTION, to_keys, to_xml
from voxtrace.io.nifti import write_nifti
from voxtrace.io.stored_orientation import stored_array
from voxtrace.io.suffixes import NIFTI, suffix_of
from voxtrace.io.verification import ExpectedFile, verify_written
from voxtrace.passport import MADE_UP_DESCRIPTION
from voxtrace.volume import Array, Grid, LabelMap, Volume

_PIECE = 1 << 20
_METAIMAGE = (".mha", ".mhd")


def write(item: LabelMap | Volume, path: Path, options: ExportOptions) -> Written:
    """Write a label map with its names and colours, or a one-channel volume, onto the grid it came from.

    No option applies to these formats.

    Raises
    ------
    OutputError
        When the volume has several channels, the name ends in capital letters that other programs do not take for
        MetaImage, the system refuses, or the file read back is not as expected.
    """
    suffix = suffix_of(path)
    if suffix in _METAIMAGE and not path.name.endswith(suffix):
        raise OutputError(
            f"{path}: ITK and 3D Slicer open MetaImage by an ending in small letters alone; "
            f"name it {path.name[: -len(suffix)]}{suffix}."
        )
    array, expected = stored_array(item), ExpectedFile.of(item.geometry)
    if suffix in NIFTI:
        extension = to_xml(item) if isinstance(item, LabelMap) else ""
        _save_nifti(array, item.geometry.grid, path, expected, (extension, _description(item)))
    else:
        keys = to_keys(item, ascii_only=suffix != ".nrrd") if isinstance(item, LabelMap) else {}
        keys |= {DESCRIPTION: said} if (said := _description(item)) else {}
        save = _save_nrrd if suffix == ".nrrd" else _save_meta
        save(array, item.geometry.grid, path, expected, keys)
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


def _save_nrrd(array: Array, grid: Grid, path: Path, expected: ExpectedFile, entries: Mapping[str, str]) -> None:
    array = _little_endian(array)
    with atomic_file(path) as temporary:
        write_nrrd(array, grid, temporary, entries)
        verify_written(temporary, array, expected)


def write_nrrd(array: Array, grid: Grid, path: Path, entries: Mapping[str, str]) -> None:
    """Write an array (Z, Y, X) onto its stored grid as NRRD, packed, with free text by key."""
    array = _little_endian(array)
    with path.open("wb") as file:
        file.write(nrrd.header_text(grid, array.dtype.str[1:], entries).encode("utf-8", "replace"))
        # equal contents give equal bytes: neither name nor time is in the stream
        with gzip_ng.GzipNGFile("", "wb", fileobj=file, mtime=0, compresslevel=FAST_LEVEL) as packed:
            for first in range(0, array.nbytes, _PIECE):
                packed.write(as_bytes(array)[first : first + _PIECE])


def _save_meta(array: Array, grid: Grid, path: Path, expected: ExpectedFile, entries: Mapping[str, str]) -> None:
    array = _little_endian(array)
    packed = deflated(as_bytes(array))
    size = sum(len(piece) for piece in packed)

    def header(file_name: str) -> bytes:
        # "surrogateescape" keeps bytes of a file name that are no text
        return metaimage.header_text(grid, array.dtype.str[1:], entries, file_name, size).encode(
            "utf-8", "surrogateescape"
        )

    if suffix_of(path) == ".mha":
        with atomic_file(path) as temporary:
            _write_pieces(temporary, (header("LOCAL"), *packed))
            verify_written(temporary, array, expected)
        return
    # contexts close in reverse order: the voxels take their name before the header does
    beside = path.with_name(data_file_name(path.stem))
    with atomic_file(path) as temporary, atomic_file(beside) as voxels:
        _write_pieces(voxels, packed)
        # verified with the name that the voxels have now
        _write_pieces(temporary, (header(voxels.name),))
        verify_written(temporary, array, expected)
        _write_pieces(temporary, (header(beside.name),))


def data_file_name(stem: str) -> str:
    """Return the name of the file with the voxels of ``stem.mhd``, one that MetaImage headers can hold.

    In a header a ``%`` numbers files, ``LIST`` and ``LOCAL`` are words, and blanks at the ends are lost; such letters
    are written as + and two hexadecimal digits.

    Examples
    --------
    >>> data_file_name("case 1"), data_file_name("50%")
    ('case 1.zraw', '50+25.zraw')
    """
    quoted = _MEANT_OTHERWISE.sub(lambda found: f"+{ord(found[0]):02X}", stem)
    return f"{quoted}.zraw"


_MEANT_OTHERWISE = re.compile(r"[%+\x00-\x1f]|^\s|^L(?=IST|OCAL)|^l(?=ist|ocal)", re.IGNORECASE)


def _little_endian(array: Array) -> Array:
    array = np.ascontiguousarray(widened(array))
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(pieces)
