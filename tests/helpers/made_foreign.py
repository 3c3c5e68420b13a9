"""Small scans in the formats of other programs, written byte by byte or by the package that knows them best."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np


def mgh_tags(entries: dict[int, tuple[str, tuple[int, int, int]]]) -> bytes:
    """Return what follows the voxels of a FreeSurfer volume: parameters, a command line, and a colour table."""

    def text(words: str) -> bytes:
        return struct.pack(">i", len(words) + 1) + words.encode() + b"\0"

    command = b"mri_convert a b\0"
    table = struct.pack(">2i", -2, max(entries) + 1) + text("lut.txt") + struct.pack(">i", len(entries))
    for value, (name, colour) in entries.items():
        table += struct.pack(">i", value) + text(name) + struct.pack(">4i", *colour, 0)
    return bytes(20) + struct.pack(">iq", 3, len(command)) + command + struct.pack(">i", 1) + table


def gipl(array: np.ndarray[Any, Any], kind: int, spacing: tuple[float, ...], origin: tuple[float, ...]) -> bytearray:
    """Return a GIPL file with an array (Z, Y, X)."""
    header = bytearray(256)
    struct.pack_into(">4HH4f", header, 0, *array.shape[::-1], 1, kind, *spacing, 0.0)
    struct.pack_into(">4d", header, 204, *origin, 0.0)
    struct.pack_into(">I", header, 252, 0xEFFFE9B0)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()
