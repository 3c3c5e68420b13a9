"""The size that compressed pixels state themselves: decoders allocate by it, whatever the header says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

_SOI, _SOC = b"\xff\xd8", b"\xff\x4f\xff\x51"  # JPEG and JPEG-LS begin so; JPEG 2000, within a box or not
# markers that begin a JPEG frame: all of C0 to CF but tables (C4), extensions (C8) and arithmetic coding (CC); JPEG-LS
_FRAMES = (*(0xC0 + n for n in range(16) if n not in (4, 8, 12)), 0xF7)
_WITHOUT_LENGTH = (0x01, 0xD8, *range(0xD0, 0xD8))


def check_codestreams(file: Dataset) -> None:
    """Refuse compressed pixels whose own size is not that of the header.

    Raises
    ------
    ValueError
        When a frame states another size, or none.
    """
    from pydicom.encaps import generate_frames

    wanted = int(file.Rows), int(file.Columns)
    offsets = None
    if "ExtendedOffsetTable" in file and "ExtendedOffsetTableLengths" in file:
        offsets = (file.ExtendedOffsetTable, file.ExtendedOffsetTableLengths)
    count = int(file.get("NumberOfFrames") or 1)
    for frame in generate_frames(file.PixelData, number_of_frames=count, extended_offsets=offsets):
        found = stated_size(frame)
        if found != wanted:
            raise ValueError(f"compressed pixels of the size {found} in a file that states {wanted}")


def stated_size(frame: bytes) -> tuple[int, int] | None:
    """Return the rows and columns that a compressed frame states; None where it does not."""
    if frame[:2] == _SOI:
        return _jpeg_size(frame)
    start = frame.find(_SOC, 0, 1 << 12)
    if start < 0 or len(frame) < start + 24:
        return None
    right, low, left, high = (int.from_bytes(frame[i : i + 4], "big") for i in range(start + 8, start + 24, 4))
    return low - high, right - left


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(frame):
        if frame[at] != 0xFF:
            return None
        kind = frame[at + 1]
        if kind in _FRAMES:
            return int.from_bytes(frame[at + 5 : at + 7], "big"), int.from_bytes(frame[at + 7 : at + 9], "big")
        if kind == 0xFF:  # fill byte
            at += 1
        elif kind in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None
