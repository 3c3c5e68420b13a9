"""Verification of a saved file: it is read back and compared with what was to be written.

Geometry: the eight corner voxels and the centre, in mm, by the header that was written. Voxels: a checksum over all of
them, in one pass over the file that needs no memory for the volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from voxtrace.errors import ReadBackError, ReadError
from voxtrace.io.gzip import DAMAGED_STREAM, as_bytes, checksum, chunks, open_plain_or_gzip
from voxtrace.io.nifti import NiftiGrid, affine_of, parse_header
from voxtrace.io.nifti.header import HEADER_BYTES
from voxtrace.io.raw_affine import CORNERS, RawAffine
from voxtrace.io.suffixes import NIFTI, suffix_of
from voxtrace.io.text_formats import open_text_image
from voxtrace.io.voxel_files import inflated
from voxtrace.volume import Array, Geometry

_TOLERANCE_MM = 1e-3
_ROUNDING = 1e-6  # of a coordinate: NIfTI keeps 32-bit numbers
_CHUNK = 1 << 20
_UNREADABLE: tuple[type[Exception], ...] = (ReadError, OSError, RuntimeError, *DAMAGED_STREAM)
_REMEDY = "No file was kept; choose another format, and please report this."


@dataclass(frozen=True, eq=False)
class ExpectedFile:
    """What a file is to hold.

    Attributes
    ----------
    size
        Voxels along x, y, z of the stored grid.
    voxels
        (9, 3): the eight corners and the centre as indices (x, y, z) of the stored grid.
    landmarks_mm
        (9, 3): where these lie, (L, P, S).
    tolerance_mm
        How far a landmark may lie from there: rounding, and what the grid itself was moved by on reading.
    """

    size: tuple[int, int, int]
    voxels: Array
    landmarks_mm: Array
    tolerance_mm: float

    @staticmethod
    def of(geometry: Geometry) -> ExpectedFile:
        """Return what to expect for data on this geometry, from its canonical affine and its way back to the file."""
        grid = geometry.grid
        canonical = CORNERS * (np.asarray(geometry.shape) - 1)
        stored = grid.layout.stored_index(canonical, geometry.shape)
        landmarks_mm = geometry.world_mm(canonical)[:, ::-1]
        moved_mm = grid.moved_mm if isinstance(grid, NiftiGrid) else 0.0
        tolerance_mm = _TOLERANCE_MM + moved_mm + _ROUNDING * float(np.abs(landmarks_mm).max())
        return ExpectedFile(grid.size, stored[:, ::-1], landmarks_mm, tolerance_mm)


def verify_written(path: Path, array: Array, expected: ExpectedFile) -> None:
    """Compare a written file with what was to be written: the array (Z, Y, X) and where it lies.

    Raises
    ------
    ReadBackError
        When the file puts them elsewhere, holds others, or cannot be read back.
    """
    try:
        affine, found = _nifti(path) if suffix_of(path) in NIFTI else _text(path)
    except _UNREADABLE as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ReadBackError(f"what was written cannot be read back ({reason}). {_REMEDY}") from error
    if affine.size != expected.size:
        raise ReadBackError(f"the written file has {affine.size} voxels where {expected.size} were to be. {_REMEDY}")
    found_mm = expected.voxels @ affine.steps_mm.T + affine.origin_mm
    apart_mm = float(np.linalg.norm(found_mm - expected.landmarks_mm, axis=1).max())
    # NaN fails this comparison, as it should
    if not apart_mm <= expected.tolerance_mm:
        raise ReadBackError(
            f"the written file puts a corner of the volume {apart_mm:.3g} mm from where it belongs. {_REMEDY}"
        )
    if found != checksum(as_bytes(array)):
        raise ReadBackError(f"the written file holds other voxels than were to be written. {_REMEDY}")


def _nifti(path: Path) -> tuple[RawAffine, int]:
    with open_plain_or_gzip(path) as file:
        header = parse_header(file.read(HEADER_BYTES), path)
        file.seek(header.offset)
        return affine_of(header, path)[0], _checksum(file)


def _text(path: Path) -> tuple[RawAffine, int]:
    image = open_text_image(path)
    found = 0
    for file in image.files:
        with file.path.open("rb") as opened:
            opened.seek(file.start)
            for piece in inflated(opened, path) if file.packing == "deflate" else chunks(opened, _CHUNK):
                found = checksum(piece, found)
    return RawAffine.of(image.grid), found


def _checksum(file: IO[bytes]) -> int:
    found = 0
    for chunk in chunks(file, _CHUNK):
        found = checksum(chunk, found)
    return found
