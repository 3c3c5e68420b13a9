"""An array on a grid -> a NIfTI-1 file: little-endian, qform and sform of code 1, voxels as they are.

A file written onto a :class:`NiftiGrid` gets the orientation fields of the file the grid came from, bit for bit. Label
names go into a header extension, as Connectome Workbench, MITK and TotalSegmentator write them.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np

from voxtrace.errors import OutputError
from voxtrace.io.gzip import as_bytes, create_plain_or_gzip
from voxtrace.io.nifti.header import NIFTI1, NIFTI1_VOXELS, NUMBER_TYPES, NiftiGrid, Orientation
from voxtrace.volume import Array, Grid

LARGEST_AXIS = 32767  # voxels along an axis that a NIfTI-1 header can tell
_EXTENSION_CODE = (
    0  # as TotalSegmentator writes it; nibabel cannot read the contents of code 30, which is meant for this
)
_SCANNER = 1  # code of a transform into the scanner's space
_MM_AND_SECONDS = 10
_PIECE = 1 << 20
_DATATYPES: Final[dict[str, int]] = {kind: code for code, kind in NUMBER_TYPES.items()}


def write_nifti(array: Array, grid: Grid, path: Path, extension: str = "", description: str = "") -> None:
    """Write an array (Z, Y, X) onto its stored grid; ``extension`` is the text of a header extension.

    ``description`` is free text in the header, of which the first 79 bytes are kept.

    Raises
    ------
    OutputError
        When an axis is longer than a header can tell, or the number type has no code in NIfTI.
    """
    if max(grid.size) > LARGEST_AXIS:
        raise OutputError(
            f"the volume has {max(grid.size)} voxels along an axis; expected at most {LARGEST_AXIS} in NIfTI. "
            "Choose a name ending in .nrrd."
        )
    start = encode_header(grid, array.dtype, extension, description)
    voxels = as_bytes(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False))
    with create_plain_or_gzip(path) as target:
        target.write(start)
        for first in range(0, len(voxels), _PIECE):
            target.write(voxels[first : first + _PIECE])


def encode_header(grid: Grid, dtype: np.dtype[np.generic], extension: str = "", description: str = "") -> bytes:
    """Return all bytes of a little-endian NIfTI-1 file before its voxels.

    Raises
    ------
    OutputError
        When the number type has no code in NIfTI.
    """
    code = _DATATYPES.get(dtype.str[1:])
    if code is None:
        raise OutputError(f"numbers of type {dtype} cannot be written as NIfTI; convert them to float32 first.")
    kept = grid.orientation if isinstance(grid, NiftiGrid) else None
    orientation = orientation_of(grid) if kept is None else kept
    block = _extension(extension)
    header = bytearray(NIFTI1_VOXELS)
    struct.pack_into("<i", header, 0, NIFTI1.size)
    header[38:39] = b"r"  # regular
    _pack(header, NIFTI1.dim, 3, *grid.size, 1, 1, 1, 1)
    _pack(header, NIFTI1.datatype, code, dtype.itemsize * 8)
    _pack(header, NIFTI1.pixdim, *orientation.pixdim)
    _pack(header, NIFTI1.offset, float(NIFTI1_VOXELS + len(block)))
    _pack(header, NIFTI1.scale, 1.0, 0.0)
    _pack(header, NIFTI1.units, orientation.units & 0xFF)
    header[148:227] = description.encode("ascii", "replace")[:79].ljust(79, b"\0")
    _pack(header, NIFTI1.codes, *orientation.codes)
    _pack(header, NIFTI1.numbers, *orientation.numbers)
    header[344:348] = b"n+1\0"
    header[NIFTI1.size] = 1 if block else 0
    return bytes(header) + block


def orientation_of(grid: Grid) -> Orientation:
    """Return header fields for a grid: qform and sform of code 1, in mm, with the same directions."""
    lps_to_ras = np.array([-1.0, -1.0, 1.0])
    directions = lps_to_ras[:, np.newaxis] * np.reshape(grid.direction, (3, 3))
    origin = lps_to_ras * grid.origin_mm
    handedness, quaternion = quaternion_of(directions)
    matrix = np.column_stack([directions * grid.spacing_mm, origin])
    return Orientation(
        pixdim=(handedness, *grid.spacing_mm, 0.0, 0.0, 0.0, 0.0),
        units=_MM_AND_SECONDS,
        codes=(_SCANNER, _SCANNER),
        numbers=(*quaternion, *origin.tolist(), *matrix.ravel().tolist()),
    )


def quaternion_of(directions: Array) -> tuple[float, tuple[float, float, float]]:
    """Return ``qfac`` (1, or -1 for left-handed axes) and (b, c, d) of the quaternion of a direction matrix.

    The first number of the quaternion, a ≥ 0, follows from the others. Axes that are off right angles by rounding are
    replaced by the nearest rotation.
    """
    # polar decomposition: the nearest orthogonal matrix
    left, _, right = np.linalg.svd(directions)
    turn = left @ right
    handedness = 1.0 if np.linalg.det(turn) > 0 else -1.0
    turn = turn * (1.0, 1.0, handedness)
    # the eigenvector of the largest eigenvalue of this matrix is (b, c, d, a); stable for every rotation
    m = turn
    key = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], 0, 0, 0],
            [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], 0, 0],
            [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], 0],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m.trace()],
        ]
    )
    _, vectors = np.linalg.eigh(key)  # reads the lower triangle
    b, c, d, a = (float(v) for v in vectors[:, -1] * (1.0 if vectors[3, -1] >= 0 else -1.0))
    if a < 1e-9 and (b, c, d) < (0.0, 0.0, 0.0):  # a half turn has two quaternions: take the positive one
        b, c, d = -b, -c, -d
    return handedness, (b, c, d)


def _extension(text: str) -> bytes:
    """Return a header extension that holds a text; nothing for an empty one."""
    if not text:
        return b""
    content = text.encode()
    size = (len(content) + 8 + 15) // 16 * 16  # the standard asks for a multiple of 16
    return struct.pack("<2i", size, _EXTENSION_CODE) + content.ljust(size - 8, b"\0")


def _pack(header: bytearray, kind_at: tuple[str, int], *values: float) -> None:
    struct.pack_into(f"<{kind_at[0]}", header, kind_at[1], *values)
