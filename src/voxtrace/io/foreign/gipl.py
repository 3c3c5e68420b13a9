"""GIPL, the format of Guy's image processing lab, as ITK and ITK-SNAP read and write it: ``.gipl``, ``.gipl.gz``.

A header of 256 bytes, big-endian, then the voxels. ITK reads voxel size and origin, and takes x to the left, y to the
back and z to the head; the header has room for a matrix, which ITK leaves zero and other programs fill differently, so
one that says anything else is refused.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.described_image import DescribedImage, stored_numbers
from voxtrace.io.foreign.first_bytes import header_bytes, packing_of
from voxtrace.io.passport_checks import SIDES_UNKNOWN
from voxtrace.io.text_images import grid_from
from voxtrace.io.timepoints import count_timepoints
from voxtrace.io.voxel_files import VoxelFile
from voxtrace.passport import Finding

_HEADER = struct.Struct(">4HH4f80s20f2b2d4d4fI")
_MAGIC = (0xEFFFE9B0, 0x2AE389B8)
_TYPES: Final[dict[int, str]] = {
    1: ">u1",
    7: ">i1",
    8: ">u1",
    15: ">i2",
    16: ">u2",
    31: ">u4",
    32: ">i4",
    64: ">f4",
    65: ">f8",
}
_MM = Finding("units", "fine", "GIPL measures in mm")


def open_gipl(path: Path) -> DescribedImage:
    """Return what the header of a GIPL file says.

    Raises
    ------
    ReadError
        When it is none, holds numbers of another type, or has a matrix.
    """
    packing = packing_of(path)
    values = _HEADER.unpack(header_bytes(path, packing, _HEADER.size, "GIPL"))
    if values[-1] not in _MAGIC:
        raise ReadError(f"{path} is not a GIPL file, though its name says so; expected its magic number.")
    dims, kind, spacing, matrix, origin = values[:4], values[4], values[5:9], values[10:30], values[34:38]
    if kind not in _TYPES:
        raise ReadError(
            f"{path} holds numbers of a type that cannot be read (GIPL type {kind}); expected one real number a voxel. "
            "Convert it, for example with ITK-SNAP."
        )
    if min(dims[:3]) < 1:
        raise ReadError(f"{path} has {'×'.join(map(str, dims[:3]))} voxels; expected at least one along each axis.")
    if not _says_nothing(matrix):
        raise ReadError(
            f"{path} has a matrix in its header, which programs read differently, so the sides of the patient are "
            "unknown; expected none. Convert it to NIfTI with the program that wrote it."
        )
    _check_finite(spacing[:3], origin[:3], path)
    grid = grid_from(dims[:3], np.diag(spacing[:3]), origin[:3], path)
    count = count_timepoints(tuple(max(1, n) for n in dims), 1, "", path)
    file = VoxelFile(path, packing, 0, skip=_HEADER.size)
    read = stored_numbers((file,), _TYPES[kind], dims[:3], count, path)
    return DescribedImage(grid, count, read, "", (SIDES_UNKNOWN, _MM))


def _says_nothing(matrix: tuple[float, ...]) -> bool:
    """Return whether the matrix is empty, or leaves axes as they are."""
    return not any(matrix) or any(
        matrix[: n * n] == tuple(np.eye(n).ravel()) and not any(matrix[n * n :]) for n in (3, 4)
    )


def _check_finite(spacing: tuple[float, ...], origin: tuple[float, ...], path: Path) -> None:
    if not all(0 < abs(step) < np.inf for step in spacing) or not np.all(np.isfinite(origin)):
        shown = "×".join(f"{step:g}" for step in spacing)
        raise ReadError(f"{path} has voxels of {shown} mm; expected finite numbers above 0. Correct its header.")
