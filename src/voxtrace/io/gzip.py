"""Gzip through zlib-ng, which unpacks twice and packs five times as fast as zlib into files as small."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from gzip import BadGzipFile
from pathlib import Path
from typing import IO, Any

import numpy as np
from zlib_ng import gzip_ng as _gzip_ng
from zlib_ng import zlib_ng as _zlib_ng

from voxtrace.volume import Array

gzip_ng: Any = _gzip_ng  # has no types
zlib_ng: Any = _zlib_ng  # has a wrong one for its error
DAMAGED_STREAM: tuple[type[Exception], ...] = (EOFError, BadGzipFile, zlib_ng.error)
"""What reading a damaged stream raises."""

_LEVEL = 6
FAST_LEVEL = 2  # as ITK packs NRRD and MetaImage
_PIECE = 1 << 20
_ANY_STREAM = 47  # zlib or gzip


def open_plain_or_gzip(path: Path) -> Any:
    """Return a file to read from, unpacked while it is read where its name ends in ``.gz``."""
    return gzip_ng.open(path) if is_gzip(path) else path.open("rb")


@contextmanager
def create_plain_or_gzip(path: Path) -> Iterator[Any]:
    """Yield a file to write into, packed where its name ends in ``.gz``; equal contents give equal bytes."""
    with path.open("wb") as plain:
        if is_gzip(path):
            # without name and time in its header, so that equal contents give equal bytes
            with gzip_ng.GzipNGFile("", "wb", fileobj=plain, mtime=0, compresslevel=_LEVEL) as packed:
                yield packed
        else:
            yield plain


def decompressor() -> Any:
    """Return an object that unpacks a zlib or gzip stream piece by piece, as ``zlib.decompressobj`` does."""
    return zlib_ng.decompressobj(wbits=_ANY_STREAM)


def deflated(content: memoryview) -> list[bytes]:
    """Return a zlib stream of bytes, in pieces."""
    stream = zlib_ng.compressobj(FAST_LEVEL)
    pieces = [stream.compress(content[first : first + _PIECE]) for first in range(0, len(content), _PIECE)]
    return [piece for piece in (*pieces, stream.flush()) if piece]


def as_bytes(array: Array) -> memoryview:
    """Return the bytes of a contiguous array, not a copy of them."""
    return memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def checksum(piece: Any, before: int = 0) -> int:
    """Return the CRC-32 of a piece that follows bytes with the checksum ``before``."""
    return int(zlib_ng.crc32(piece, before))


def chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield what a file still holds, ``size`` bytes at a time."""
    while chunk := file.read(size):
        yield chunk


def is_gzip(path: Path) -> bool:
    """Tell whether the name of a file says that it is packed with gzip."""
    return path.name.lower().endswith(".gz")
