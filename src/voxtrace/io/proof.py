"""The proof of a save: the written file is read back and compared with what was to be written.

Where it lies: the eight corner voxels and the centre, in mm, as another reader than the writer sees them (nibabel for
NIfTI; the header that ITK reads back for NRRD and MetaImage). What it holds: a checksum over all voxels, in one pass
over the file that needs no memory for the volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from voxtrace.errors import OutputError, ReadError
from voxtrace.io.forms import place
from voxtrace.io.headers import meta_fields, nrrd_fields
from voxtrace.io.nifti import Header, NiftiGrid, Orientation
from voxtrace.io.packed import DAMAGE, as_bytes, checksum, chunks, opened, unpacker
from voxtrace.io.placement import CORNERS, Placement
from voxtrace.io.suffixes import NIFTI, suffix_of
from voxtrace.volume import Array, Geometry

_TOLERANCE_MM = 1e-3
_ROUNDING = 1e-6  # of a coordinate: NIfTI keeps 32-bit numbers
_CHUNK = 1 << 20
_UNREADABLE: tuple[type[Exception], ...] = (ReadError, OSError, RuntimeError, *DAMAGE)


@dataclass(frozen=True, eq=False)
class Promise:
    """What a file is to hold.

    Attributes
    ----------
    size
        Voxels along x, y, z of the stored grid.
    voxels
        (9, 3): the eight corners and the centre as indices (x, y, z) of the stored grid.
    marks_mm
        (9, 3): where these lie, (L, P, S).
    tolerance_mm
        How far a mark may lie from there: rounding, and what the grid itself was moved by on reading.
    """

    size: tuple[int, int, int]
    voxels: Array
    marks_mm: Array
    tolerance_mm: float

    @staticmethod
    def of(geometry: Geometry) -> Promise:
        """Return the promise for data on this geometry, from its canonical affine and its way back to the file."""
        grid = geometry.grid
        canonical = CORNERS * (np.asarray(geometry.shape) - 1)
        stored = grid.layout.stored_index(canonical, geometry.shape)
        marks_mm = geometry.world_mm(canonical)[:, ::-1]
        moved_mm = grid.moved_mm if isinstance(grid, NiftiGrid) else 0.0
        tolerance_mm = _TOLERANCE_MM + moved_mm + _ROUNDING * float(np.abs(marks_mm).max())
        return Promise(grid.size, stored[:, ::-1], marks_mm, tolerance_mm)


def prove(path: Path, array: Array, promise: Promise, voxels: Path | None = None) -> None:
    """Compare a written file with what was to be written: the array (Z, Y, X) and where it lies.

    ``voxels`` is where MetaImage in two files has its voxels now.

    Raises
    ------
    OutputError
        When the file puts them elsewhere, holds others, or cannot be read back.
    """
    suffix = suffix_of(path)
    try:
        placed, found = _nifti(path) if suffix in NIFTI else _text(path, suffix, voxels or path)
    except _UNREADABLE as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise OutputError(f"what was written cannot be read back ({reason}). {_REMEDY}") from error
    if placed.size != promise.size:
        raise OutputError(f"the written file has {placed.size} voxels where {promise.size} were to be. {_REMEDY}")
    found_mm = promise.voxels @ placed.steps_mm.T + placed.origin_mm
    apart_mm = float(np.linalg.norm(found_mm - promise.marks_mm, axis=1).max())
    if not apart_mm <= promise.tolerance_mm:
        raise OutputError(
            f"the written file puts a corner of the volume {apart_mm:.3g} mm from where it belongs. {_REMEDY}"
        )
    if found != checksum(as_bytes(array)):
        raise OutputError(f"the written file holds other voxels than were to be written. {_REMEDY}")


_REMEDY = "No file was kept; choose another format, and please report this."


def _nifti(path: Path) -> tuple[Placement, int]:
    with opened(path) as file:
        header: Any = header_class()(file.read(348), check=False)
        names = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
        rows = [float(v) for name in ("srow_x", "srow_y", "srow_z") for v in header[name]]
        where = Orientation(
            tuple(float(v) for v in header["pixdim"]),
            int(header["xyzt_units"]),
            (int(header["qform_code"]), int(header["sform_code"])),
            (*(float(header[name]) for name in names), *rows),
        )
        file.seek(int(header["vox_offset"]))
        sizes = tuple(int(n) for n in header.get_data_shape())
        return place(Header(sizes, where, (1.0, 0.0)), path)[0], _checksum(file)


def header_class() -> Any:
    """Return nibabel's reader of headers, which carries no types."""
    from nibabel import Nifti1Header

    return Nifti1Header


def _text(path: Path, suffix: str, voxels: Path) -> tuple[Placement, int]:
    from voxtrace.io import itk

    with itk.quiet():
        placed = Placement.of(itk.grid_of(itk.opened(path)))
    fields, end = nrrd_fields(path) if suffix == ".nrrd" else meta_fields(path)
    packed = fields.get("encoding", "raw") != "raw" or fields.get("compresseddata", "").lower() == "true"
    with voxels.open("rb") as file:
        file.seek(end if voxels == path else 0)
        return placed, _unpacked_checksum(file) if packed else _checksum(file)


def _checksum(file: IO[bytes]) -> int:
    found = 0
    for chunk in chunks(file, _CHUNK):
        found = checksum(chunk, found)
    return found


def _unpacked_checksum(file: IO[bytes]) -> int:
    stream, found = unpacker(), 0
    for chunk in chunks(file, _CHUNK):
        found = checksum(stream.decompress(chunk), found)
    return found
