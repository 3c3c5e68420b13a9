"""What a header states of the size of its pixels, compared with what the file holds, before anything is allocated."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal

from voxtrace.io.dicom.header_values import Values, whole_of
from voxtrace.io.dicom.opening import LARGEST_RATIO

if TYPE_CHECKING:
    from pydicom import Dataset

_FLOATS = (0x0008, 0x0009)  # FloatPixelData, DoubleFloatPixelData; elements of group 7FE0
_LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")
_UNDEFINED = 0xFFFFFFFF
_FREE_BYTES = 1 << 28  # blank images compress to nearly nothing
_SMALLEST_FRAME = 8  # bytes of a compressed frame


@dataclass(frozen=True)
class PixelElement:
    """The pixels of a file: whether they are floating-point numbers, compressed, and how many bytes there are."""

    is_float: bool
    compressed: bool
    held_bytes: int


def pixel_element(header: Dataset, stream: BinaryIO) -> PixelElement | None:
    """Return the pixel element that a stream stands at; None where it ends before."""
    implicit, little = header.original_encoding
    order: Literal["little", "big"] = "little" if little in (True, None) else "big"
    start = stream.tell()
    begin = stream.read(12)
    size = stream.seek(0, os.SEEK_END)
    if len(begin) < 8:
        return None
    element = int.from_bytes(begin[2:4], order)
    long = not implicit and begin[4:6] in _LONG
    at = 8 if long else 4 if implicit or not begin[4:6].isalpha() else 6
    length = int.from_bytes(begin[at : at + (2 if at == 6 else 4)], order)
    held = max(0, size - start - (12 if long else 8))
    compressed = length == _UNDEFINED
    return PixelElement(element in _FLOATS, compressed, held if compressed else min(length, held))


def extent_fault(values: Values, element: PixelElement) -> str:
    """Return what is wrong where the header states more pixels than the file can hold; else ``""``."""
    rows, columns, frames = (whole_of(values, name, 1) for name in ("Rows", "Columns", "NumberOfFrames"))
    frames = frames or 1
    samples, bits = whole_of(values, "SamplesPerPixel", 1), whole_of(values, "BitsAllocated", 16) or 16
    if min(rows, columns, frames, samples, bits) < 1:
        return (
            f"{rows} rows, {columns} columns, {frames} frames and {samples} values a pixel of {bits} bits are stated; "
            "expected at least 1"
        )
    stated = -(-frames * rows * columns * samples * bits // 8)
    held = element.held_bytes
    if element.compressed:
        short = frames * _SMALLEST_FRAME > held or stated > _FREE_BYTES + LARGEST_RATIO * held
    else:
        short = stated > held and samples == 1  # colours may be stored with fewer numbers
    if not short:
        return ""
    many = f" in {frames} frames" if frames > 1 else ""
    return (
        f"its header states {rows}×{columns} pixels{many}, {stated} bytes, and the file holds {held}; it is cut short "
        "or its header is wrong"
    )
