"""Scalars in TensorBoard's own file format, so that nothing need be installed to write them.

A file is a sequence of records: length (8 bytes), its checksum, an ``Event`` message (Protocol Buffers) and its
checksum. Format: tensorboard/compat/proto/event.proto and TensorFlow's record_writer; checksums are CRC-32C, masked.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from voxtrace.atomic import output_error

_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_MASK = 0xA282EAD8


class ScalarFile:
    """A new file of scalars in a folder, which ``tensorboard --logdir`` shows together with earlier ones.

    Raises
    ------
    OutputError
        The folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"events.out.tfevents.{time.time_ns():020d}.{os.getpid()}.voxtrace"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._append(_double(1, time.time()) + _bytes(3, b"brain.Event:2"))
        except OSError as error:
            raise output_error(folder, error) from error

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Append the values of a step by name; nothing where there are none."""
        if not values:
            return
        summary = b"".join(
            _bytes(1, _bytes(1, name.encode()) + _key(2, 5) + struct.pack("<f", value))
            for name, value in values.items()
        )
        self._append(_double(1, time.time()) + _key(2, 0) + _varint(step) + _bytes(5, summary))

    def _append(self, message: bytes) -> None:
        length = struct.pack("<Q", len(message))
        with self._file.open("ab") as file:
            file.write(length + _checksum(length) + message + _checksum(message))


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of bytes.

    Examples
    --------
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _checksum(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF)


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _bytes(field: int, data: bytes) -> bytes:
    return _key(field, 2) + _varint(len(data)) + data


def _double(field: int, number: float) -> bytes:
    return _key(field, 1) + struct.pack("<d", number)
