"""FreeSurfer's ``.mgh``, and ``.mgz``, which is the same packed with gzip.

A header of 284 bytes, big-endian, then the voxels, then parameters of the sequence and tags, one of which may be the
colour table of a segmentation. The layout is that of FreeSurfer's ``mri.h`` and ``mghio``, and the voxel size,
directions and centre mean what nibabel's ``freesurfer.mghformat`` takes them for.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Final

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.described_image import DescribedImage, ras_grid, stored_numbers
from voxtrace.io.foreign.first_bytes import bytes_at, header_bytes, packing_of
from voxtrace.io.foreign.freesurfer_colours import are_tags, colour_table
from voxtrace.io.integrity import check_unpacked_size, damaged
from voxtrace.io.passport_checks import SIDES_KNOWN
from voxtrace.io.voxel_files import Packing, VoxelFile
from voxtrace.passport import Finding
from voxtrace.volume import Array

_HEADER = struct.Struct(">7ih15f")
_VOXELS = 284  # first byte of the voxels
_MOST_AFTER = 1 << 24  # bytes of parameters and tags
_PARAMETERS = 20  # bytes of repetition time, flip angle, echo and inversion time and field of view
_LONGEST = 1 << 31
_TYPES: Final[dict[int, str]] = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}
_MM = Finding("units", "fine", "FreeSurfer measures in mm")
_PLACED = Finding("transforms", "fine", "directions and centre of the header")
_UNPLACED = (
    Finding(
        "transforms",
        "corrected",
        "the header does not say where the volume lies",
        "read as FreeSurfer does: coronal slices of 1 mm about the middle; check the sides against another image",
    ),
)
# x to the left, y to the feet, z to the front, in (R, A, S)
_CORONAL = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def open_mgh(path: Path) -> DescribedImage:
    """Return what the header of a FreeSurfer volume says.

    Raises
    ------
    ReadError
        When it is none, holds numbers of another type, or is cut short.
    """
    packing = packing_of(path)
    start = header_bytes(path, packing, _VOXELS, "FreeSurfer")
    version, *sizes, kind, _, placed = _HEADER.unpack_from(start)[:8]
    if version != 1:
        raise ReadError(f"{path} is not a FreeSurfer volume, though its name says so; expected version 1.")
    _check_name(path, packing)
    if not all(0 < n < _LONGEST for n in sizes):
        shown = "×".join(map(str, sizes))
        raise ReadError(f"{path} has {shown} voxels; expected at least one along each axis. Correct its header.")
    if kind not in _TYPES:
        raise ReadError(
            f"{path} holds numbers of a type that cannot be read (FreeSurfer type {kind}); expected whole numbers or "
            "float. Convert it with `mri_convert -odt float IN OUT.nii.gz`."
        )
    if placed not in (0, 1):
        raise ReadError(
            f"{path} has goodRASFlag {placed}, which programs read differently: some place it by its header, some do "
            "not; expected 0 or 1. Correct its header."
        )
    numbers = np.array(_HEADER.unpack_from(start)[8:], np.float64)
    steps_mm, origin_mm = _affine(numbers, sizes[:3], known=placed == 1)
    expected = math.prod(sizes) * np.dtype(_TYPES[kind]).itemsize
    _check_length(path, packing, expected)
    file = VoxelFile(path, packing, 0, skip=_VOXELS, rest=_MOST_AFTER)
    # a whole volume more is shorter than what may follow, or it is refused when voxels are read
    after = kind != 3 or packing == "raw" or expected // sizes[3] <= _MOST_AFTER
    tags = _tags(path, packing, expected) if after else b""
    if not are_tags(tags):
        raise damaged(path, "what follows its voxels is neither parameters nor tags, but may be more voxels")
    found = (_PLACED, SIDES_KNOWN, _MM) if placed == 1 else _UNPLACED
    return DescribedImage(
        ras_grid(sizes[:3], steps_mm, origin_mm, path),
        sizes[3],
        stored_numbers((file,), _TYPES[kind], sizes[:3], sizes[3], path),
        "",
        found,
        *(colour_table(tags) if kind != 3 else ({}, {})),
    )


def _check_name(path: Path, packing: Packing) -> None:
    """Refuse a packed file whose name says that it is plain, and the reverse: FreeSurfer goes by the name."""
    named = "deflate" if path.suffix.lower() == ".mgz" else "raw"
    if named != packing:
        right = ".mgh" if packing == "raw" else ".mgz"
        packed = "plain" if packing == "raw" else "packed with gzip"
        raise ReadError(f"{path} is {packed}, though its name says otherwise; rename it to {right}.")


def _check_length(path: Path, packing: Packing, expected: int) -> None:
    """Refuse a file that cannot hold its voxels."""
    size = path.stat().st_size
    if packing == "deflate":
        check_unpacked_size(expected + _VOXELS, size, path)
    elif size < expected + _VOXELS:
        raise damaged(path, f"it holds {size - _VOXELS} bytes of voxels where its header promises {expected}")


def _tags(path: Path, packing: Packing, expected: int) -> bytes:
    """Return what follows voxels and parameters."""
    return bytes_at(path, packing, _VOXELS + expected + _PARAMETERS, _MOST_AFTER)


def _affine(numbers: Array, size: list[int], *, known: bool) -> tuple[Array, Array]:
    """Return steps (3×3, a column an axis) and the first voxel's centre, in (R, A, S) mm.

    ``numbers`` are the voxel size (3), the directions (9, an axis after another) and the centre (3); FreeSurfer
    counts the voxel at half the size as the centre.
    """
    steps_mm = np.reshape(numbers[3:12], (3, 3)).T * numbers[:3] if known else _CORONAL
    centre_mm = numbers[12:] if known else np.zeros(3)
    return steps_mm, centre_mm - steps_mm @ (np.asarray(size) / 2)
