"""The bytes of a file that may be packed with gzip: its start, and what follows its voxels."""

from __future__ import annotations

from pathlib import Path

from voxtrace.io.integrity import check_not_empty, damaged
from voxtrace.io.voxel_files import Packing, inflated

_GZIP = b"\x1f\x8b"


def packing_of(path: Path) -> Packing:
    """Return how a file is packed, by its first bytes."""
    check_not_empty(path)
    with path.open("rb") as file:
        return "deflate" if file.read(2) == _GZIP else "raw"


def bytes_at(path: Path, packing: Packing, start: int, most: int) -> bytes:
    """Return up to ``most`` bytes from ``start`` on, unpacked; fewer where the file ends before.

    Raises
    ------
    ReadError
        When the packed stream is damaged before that.
    """
    with path.open("rb") as file:
        if packing == "raw":
            file.seek(start)
            return file.read(most)
        found, position = bytearray(), 0
        for piece in inflated(file, path):
            found += piece[max(0, start - position) :]
            position += len(piece)
            if len(found) >= most:
                break
        return bytes(found[:most])


def header_bytes(path: Path, packing: Packing, length: int, kind: str) -> bytes:
    """Return the first ``length`` bytes of a file of this kind.

    Raises
    ------
    ReadError
        When the file is shorter.
    """
    found = bytes_at(path, packing, 0, length)
    if len(found) < length:
        raise damaged(path, f"it ends after {len(found)} of the {length} bytes that a {kind} header has")
    return found
