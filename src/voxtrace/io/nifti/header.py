"""The fields of a NIfTI header: how many voxels of which type, where they lie, how they are scaled.

Offsets are those of the NIfTI-1 standard (nifti1.h) and of NIfTI-2 (nifti2.h); extensions start after byte 352 and
544. A NIfTI file keeps its orientation twice, as a quaternion (qform) and as a matrix (sform); see
:mod:`voxtrace.io.nifti.transforms` for which one counts.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from voxtrace.errors import ReadError
from voxtrace.volume import Grid

HEADER_BYTES = 540  # of NIfTI-2, the longer one
NIFTI1_BYTES, NIFTI1_VOXELS = 348, 352  # length of a NIfTI-1 header; first byte after it and the extension flag
_NIFTI2_VOXELS = 544
NUMBER_TYPES: Final[dict[int, str]] = {  # datatype code -> numpy type, for one real number a voxel
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
_COMPONENTS = {32: 2, 128: 3, 1792: 2, 2304: 4}  # complex, RGB, complex double, RGBA: datatype code -> values a voxel
_VECTOR_INTENTS = (1005, 1006, 1007)  # symmetric matrix, displacement, vector: along the fifth axis
_EPSILON = 2.0**-52  # a slope this small counts as 0, as in ITK
_LARGEST_OFFSET = 2**62  # bytes; a larger number is no position in a file


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
class NiftiHeader:
    """What a NIfTI header says of its voxels.

    Attributes
    ----------
    version
        1 or 2.
    byte_order
        ``"<"`` or ``">"``.
    sizes
        Up to seven numbers of voxels along x, y, z, t, …
    components
        Values in each voxel: 1 for a scalar, 2 for complex, 3 for RGB.
    datatype, bits
        Code of the number type, and the bits of a voxel as the header states them.
    offset
        First byte of the voxels.
    scale
        Slope and intercept as stored.
    orientation
        Where the voxels lie.
    description
        Free text, at most 79 characters.
    """

    version: int
    byte_order: str
    sizes: tuple[int, ...]
    components: int
    datatype: int
    bits: int
    offset: int
    scale: tuple[float, float]
    orientation: Orientation
    description: str = ""

    @property
    def number_type(self) -> str:
        """Numpy's name of the stored number type with its byte order; ``""`` for other than one real number a voxel."""
        kind = NUMBER_TYPES.get(self.datatype, "")
        return kind and self.byte_order + kind

    @property
    def voxel_count(self) -> int:
        """How many voxels the file holds, over all axes."""
        return math.prod(max(1, n) for n in self.sizes)

    @property
    def byte_count(self) -> int:
        """How many bytes the voxels take."""
        bits = max(self.bits, 8 * int(NUMBER_TYPES.get(self.datatype, "u0")[1:]))
        return self.voxel_count * bits // 8

    @property
    def rescale(self) -> tuple[float, float] | None:
        """Slope and intercept to apply; None where stored values need no rescaling (slope 0, or 1 with intercept 0)."""
        slope, intercept = self.scale
        if not math.isfinite(slope) or abs(slope) <= _EPSILON:
            return None
        intercept = intercept if math.isfinite(intercept) else 0.0
        return None if (slope, intercept) == (1.0, 0.0) else (slope, intercept)

    @property
    def extensions_start(self) -> int:
        """The first byte after the header and the flag that announces extensions."""
        return NIFTI1_VOXELS if self.version == 1 else _NIFTI2_VOXELS


@dataclass(frozen=True)
class NiftiGrid(Grid):
    """A grid that came from a NIfTI file, with the fields of its header.

    Header fields are 32-bit numbers; directions computed from them do not lead back to the same bits, so a file
    written onto this grid gets the fields themselves.

    Attributes
    ----------
    orientation
        The header's fields.
    moved_mm
        How far a corner of this grid lies from where the fields put it, at most: axes that are not quite at right
        angles in the file are so here.
    """

    orientation: Orientation | None = field(default=None, compare=False, repr=False)
    moved_mm: float = field(default=0.0, compare=False)


class Fields(NamedTuple):
    """Number types (as :mod:`struct` names them) and offsets of a header's fields."""

    version: int
    size: int
    dim: tuple[str, int]
    intent: tuple[str, int]
    datatype: tuple[str, int]
    pixdim: tuple[str, int]
    offset: tuple[str, int]
    scale: tuple[str, int]
    units: tuple[str, int]
    codes: tuple[str, int]
    numbers: tuple[str, int]
    description: tuple[str, int]


NIFTI1: Final = Fields(
    version=1,
    size=NIFTI1_BYTES,
    dim=("8h", 40),
    intent=("h", 68),
    datatype=("2h", 70),
    pixdim=("8f", 76),
    offset=("f", 108),
    scale=("2f", 112),
    units=("B", 123),
    codes=("2h", 252),
    numbers=("18f", 256),
    description=("80s", 148),
)
NIFTI2: Final = Fields(
    version=2,
    size=HEADER_BYTES,
    dim=("8q", 16),
    intent=("i", 504),
    datatype=("2h", 12),
    pixdim=("8d", 104),
    offset=("q", 168),
    scale=("2d", 176),
    units=("i", 500),
    codes=("2i", 344),
    numbers=("18d", 352),
    description=("80s", 240),
)


def parse_header(start: bytes, path: Path, *, pair: bool = False) -> NiftiHeader:
    """Return the header in the first ``HEADER_BYTES`` bytes of a file.

    Raises
    ------
    ReadError
        When these are no header of NIfTI-1 or NIfTI-2 in one file, or of a ``pair`` of header and voxels.
    """
    # the first number of a header is its own length, in the byte order of the file
    for fields in (NIFTI1, NIFTI2):
        order = next((order for order in "<>" if start[:4] == struct.pack(f"{order}i", fields.size)), "")
        if order and len(start) >= fields.size and _is_meant(start, fields, pair=pair):
            header = _unpacked(start, order, fields)
            if header is not None:
                return header
    raise ReadError(f"{path} is not a NIfTI file, though its name says so; expected a NIfTI-1 or -2 header.")


def _is_meant(start: bytes, fields: Fields, *, pair: bool) -> bool:
    """Return whether a header says that its voxels lie in the same file, or beside it in a pair."""
    if fields is NIFTI2:
        return start[4:7] == b"ni2" if pair else True
    return start[344:347] == (b"ni1" if pair else b"n+1")


def _unpacked(start: bytes, order: str, fields: Fields) -> NiftiHeader | None:
    """Return the header with these fields; None where a field has no possible value."""

    def read(kind_at: tuple[str, int]) -> tuple[Any, ...]:
        return struct.unpack_from(f"{order}{kind_at[0]}", start, kind_at[1])

    dims, (datatype, bits), offset = read(fields.dim), read(fields.datatype), read(fields.offset)[0]
    if not 1 <= dims[0] <= 7 or bits < 1 or not 0 <= offset < _LARGEST_OFFSET:  # NaN fails, too
        return None
    sizes = tuple(dims[1 : 1 + dims[0]])
    # vectors lie along the fifth axis, which is not a spatial one
    vectors = sizes[4] if len(sizes) == 5 and read(fields.intent)[0] in _VECTOR_INTENTS else 1
    slope, intercept = read(fields.scale)
    return NiftiHeader(
        version=fields.version,
        byte_order=order,
        sizes=sizes[:4] if vectors > 1 else sizes,
        components=_COMPONENTS.get(datatype, 1) * max(1, vectors),
        datatype=datatype,
        bits=bits * max(1, vectors),
        offset=int(offset),
        scale=(slope, intercept),
        orientation=Orientation(read(fields.pixdim), read(fields.units)[0], read(fields.codes), read(fields.numbers)),
        description=read(fields.description)[0].split(b"\0")[0].decode("ascii", "replace").strip(),
    )


def extension_texts(block: bytes, byte_order: str) -> tuple[str, ...]:
    """Return the text of every extension in the bytes between header and voxels, in order."""
    position, texts = 0, []
    while position + 8 <= len(block):
        size, _ = struct.unpack_from(f"{byte_order}2i", block, position)
        if size < 8 or position + size > len(block):
            break
        texts.append(block[position + 8 : position + size].rstrip(b"\0").decode("utf-8", "replace"))
        position += size
    return tuple(texts)
