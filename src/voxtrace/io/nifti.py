"""What SimpleITK does not carry through a NIfTI-1 header: the orientation bit for bit, and the names of labels.

A NIfTI file keeps its orientation in 32-bit numbers, twice (quaternion and matrix), and ITK's way from those to
direction cosines and back loses the last bits. A :class:`NiftiGrid` therefore remembers the fields themselves, and
:func:`patch` puts them into the header of a file that is written onto that grid. The same call adds the label table
that Connectome Workbench, MITK and TotalSegmentator use, as a header extension.

Offsets are those of the NIfTI-1 standard (nifti1.h): ``dim`` at 40, ``pixdim`` at 76, ``vox_offset`` at 108,
``scl_slope`` at 112, ``xyzt_units`` at 123, ``qform_code`` … ``srow_z`` at 252 to 328; extensions start after byte 352.
NIfTI-2 (nifti2.h) has ``dim`` at 16, ``pixdim`` at 104, ``scl_slope`` at 176, ``qform_code`` … ``srow_z`` at 344 to
496, ``xyzt_units`` at 500.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.packed import opened
from voxtrace.volume import Array, Grid

NIFTI2_HEADER = 540
_HEADER = 348
_EXTENSIONS = 352
_CODE = 0  # as TotalSegmentator writes it; nibabel cannot read the contents of code 30, which is meant for this
_LARGEST_EXTENSION = 1 << 24
MOST_VOXELS = 32767  # along an axis, in a NIfTI-1 header
_NUMBERS = {  # codes of DT_UINT8 … DT_UINT64 -> numpy's names
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}


@dataclass(frozen=True)
class Orientation:
    """The fields of a NIfTI header that say where its voxels lie.

    ``pixdim`` are 8 numbers, ``units`` the code of ``xyzt_units``, ``codes`` those of qform and sform, ``numbers``
    the quaternion (3), its offset (3) and the matrix by rows (12).
    """

    pixdim: tuple[float, ...]
    units: int
    codes: tuple[int, int]
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class Header:
    """What a NIfTI header says of its voxels: how many along each axis, where they lie, how they are scaled.

    ``sizes`` are up to seven numbers along x, y, z, t, …; ``scale`` is slope and intercept as stored; ``version`` is
    1 or 2.
    """

    sizes: tuple[int, ...]
    orientation: Orientation
    scale: tuple[float, float]
    version: int = 1

    @property
    def itk_reads(self) -> bool:
        """Whether ITK reads such a file as the standard says.

        It reads version 1 only, stumbles over a transform that is not finite, and adds the intercept where a slope
        of 0 says that nothing is scaled.
        """
        slope, intercept = self.scale
        unscaled = slope == 0 or not math.isfinite(slope)
        finite = all(math.isfinite(number) for number in self.orientation.numbers)
        return self.version == 1 and finite and not (unscaled and intercept and math.isfinite(intercept))

    @property
    def as_stored(self) -> bool:
        """Whether numbers mean what they are: no slope, or 1 without an intercept."""
        slope, intercept = self.scale
        return slope == 0 or not math.isfinite(slope) or (slope, intercept) == (1.0, 0.0)


class _Fields(NamedTuple):
    """Number types and offsets of the fields of a header, as struct has them."""

    version: int
    dim: tuple[str, int]
    pixdim: tuple[str, int]
    scale: tuple[str, int]
    codes: tuple[str, int]
    numbers: tuple[str, int]
    units: tuple[str, int]


_FIRST = _Fields(1, ("8h", 40), ("8f", 76), ("2f", 112), ("2h", 252), ("18f", 256), ("B", 123))
_SECOND = _Fields(2, ("8q", 16), ("8d", 104), ("2d", 176), ("2i", 344), ("18d", 352), ("i", 500))


@dataclass(frozen=True)
class NiftiGrid(Grid):
    """A grid that came from a NIfTI file and remembers how that file put it.

    ``moved_mm`` is how far at most a corner of this grid lies from where the fields put it: axes that are not quite
    at right angles in the file are so here.
    """

    orientation: Orientation | None = field(default=None, compare=False, repr=False)
    moved_mm: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class VoxelLayout:
    """Where in a NIfTI file the voxels lie: first byte, how many along x, y, z, t, …, bits of each voxel.

    ``numbers`` is numpy's name of the number type when a voxel is one real number, else ``""``.
    """

    offset: int
    sizes: tuple[int, ...]
    bits: int
    numbers: str

    @property
    def byte_count(self) -> int:
        """Bytes that the voxels take."""
        return math.prod(max(1, n) for n in self.sizes) * self.bits // 8

    @property
    def floating(self) -> str:
        """The number type when that is a floating-point one, else ``""``."""
        return self.numbers if "f" in self.numbers else ""


def voxel_layout(header: bytes) -> VoxelLayout | None:
    """Return where the voxels lie, from the first ``NIFTI2_HEADER`` bytes; None when this is no NIfTI header."""
    if (order := _byte_order(header, _HEADER)) and header[344:347] == b"n+1":
        dims = struct.unpack_from(f"{order}8h", header, 40)
        kind, bits = struct.unpack_from(f"{order}2h", header, 70)
        offset = int(struct.unpack_from(f"{order}f", header, 108)[0])
    elif (order := _byte_order(header, NIFTI2_HEADER)) and len(header) >= NIFTI2_HEADER:
        kind, bits = struct.unpack_from(f"{order}2h", header, 12)
        dims = struct.unpack_from(f"{order}8q", header, 16)
        offset = struct.unpack_from(f"{order}q", header, 168)[0]
    else:
        return None
    if offset < 0 or bits < 1 or not 1 <= dims[0] <= 7:
        return None
    numbers = _NUMBERS.get(kind, "")
    return VoxelLayout(offset, tuple(dims[1 : 1 + dims[0]]), bits, numbers and order + numbers)


def read_header(path: Path) -> Header:
    """Return what the header of a NIfTI-1 or NIfTI-2 file says of its voxels.

    Raises
    ------
    ReadError
        When the file does not start with such a header.
    """
    start = _start(path, NIFTI2_HEADER)
    if (order := _byte_order(start, _HEADER)) and len(start) >= _HEADER:
        return _unpacked(start, order, _FIRST)
    if (order := _byte_order(start, NIFTI2_HEADER)) and len(start) >= NIFTI2_HEADER:
        return _unpacked(start, order, _SECOND)
    raise ReadError(f"{path} is not a NIfTI file, though its name says so; expected a NIfTI-1 or -2 header.")


def _unpacked(start: bytes, order: str, fields: _Fields) -> Header:
    def read(kind_at: tuple[str, int]) -> tuple[Any, ...]:
        return struct.unpack_from(f"{order}{kind_at[0]}", start, kind_at[1])

    dims = read(fields.dim)
    where = Orientation(read(fields.pixdim), read(fields.units)[0], read(fields.codes), read(fields.numbers))
    slope, intercept = read(fields.scale)
    return Header(tuple(dims[1 : 1 + dims[0]]), where, (slope, intercept), fields.version)


def voxels(path: Path, frame: int) -> Array:
    """Return one frame's voxels (Z, Y, X) through nibabel, for headers that ITK refuses.

    Raises
    ------
    ReadError
        When nibabel cannot make sense of the file either, or a voxel holds several values.
    """
    import nibabel

    try:
        proxy: Any = nibabel.load(path).dataobj  # type: ignore[attr-defined]
    except (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError) as error:
        raise ReadError(f"{path} cannot be read: {error}; copy or export the file again.") from error
    if proxy.dtype.kind not in "iuf":
        raise ReadError(f"{path} has several values in each voxel; expected one. Export each as a file of its own.")
    at = (slice(None),) * 3 + (frame, 0, 0, 0)[: max(0, len(proxy.shape) - 3)]
    array = np.asanyarray(proxy[at[: len(proxy.shape)]]).T
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")  # never the file itself, mapped to memory


def read_extensions(path: Path) -> tuple[str, ...]:
    """Return the text of every header extension of a NIfTI-1 file, in order; none when there are none."""
    header = _start(path, _EXTENSIONS)
    order = _byte_order(header, _HEADER)
    if not order or len(header) < _EXTENSIONS or header[_HEADER] == 0:
        return ()
    end = min(int(struct.unpack_from(f"{order}f", header, 108)[0]), _LARGEST_EXTENSION)
    block, position, texts = _start(path, end), _EXTENSIONS, []
    while position + 8 <= len(block):
        size, _ = struct.unpack_from(f"{order}2i", block, position)
        if size < 8 or position + size > len(block):
            break
        texts.append(block[position + 8 : position + size].rstrip(b"\0").decode("utf-8", "replace"))
        position += size
    return tuple(texts)


def patch(start: bytes, grid: Grid, extension: str = "") -> bytes:
    """Return the first 352 bytes of a little-endian NIfTI-1 file with a grid's size and orientation, and an extension.

    The result is longer than 352 bytes by the extension, if there is one; the voxels follow it directly.
    """
    header = bytearray(start)
    struct.pack_into("<3h", header, 42, *grid.size)
    if isinstance(grid, NiftiGrid) and grid.orientation is not None:
        kept = grid.orientation
        struct.pack_into("<8f", header, 76, *kept.pixdim)
        header[123] = kept.units & 0xFF
        struct.pack_into("<2h", header, 252, *kept.codes)
        struct.pack_into("<18f", header, 256, *kept.numbers)
    if not extension:
        return bytes(header)
    text = extension.encode()
    size = (len(text) + 8 + 15) // 16 * 16  # the standard asks for a multiple of 16
    header[_HEADER] = 1
    struct.pack_into("<f", header, 108, float(_EXTENSIONS + size))
    return bytes(header) + struct.pack("<2i", size, _CODE) + text.ljust(size - 8, b"\0")


def _byte_order(header: bytes, size: int) -> str:
    """Return struct's sign for the byte order in which the first number is ``size``, or ``""``."""
    return next((order for order in "<>" if header[:4] == struct.pack(f"{order}i", size)), "")


def _start(path: Path, count: int) -> bytes:
    with opened(path) as file:
        start: bytes = file.read(count)
        return start
