"""What the chunks of a zarr array unpack to, told by their first bytes before a codec takes memory for it.

A chunk of blosc, lz4 or zstd states its unpacked size, and codecs believe it; one of gzip does not, so it is unpacked
piece by piece and counted. A shard holds many chunks and a table of them at its end.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from voxtrace.io.integrity import damaged
from voxtrace.io.voxel_files import inflated

PACKERS: Final = ("blosc", "gzip", "lz4", "zlib", "zstd")
_ZSTD = b"\x28\xb5\x2f\xfd"
_START = 18  # bytes that tell the size, in any of these
_ABSENT = 0xFFFFFFFFFFFFFFFF
_MOST_IN_SHARD = 1 << 20


@dataclass(frozen=True)
class Packing:
    """How chunks are packed: by whom (``""`` for not at all), to how many bytes each unpacks, and how many a shard has.

    ``per_shard`` is 0 where each file is one chunk; ``extra`` are bytes of a checksum after a chunk.
    """

    by: str
    chunk_bytes: int
    per_shard: int = 0
    extra: int = 0


def check_chunks(files: Iterable[Path], packing: Packing) -> None:
    """Refuse files of which a chunk unpacks to another size than its metadata says.

    Raises
    ------
    ReadError
        When one does.
    """
    for file in files:
        with file.open("rb") as opened:
            for start, length in _chunks_in(opened, file, packing):
                _check(opened, file, (start, length), packing)


def _chunks_in(opened: IO[bytes], file: Path, packing: Packing) -> Iterator[tuple[int, int]]:
    """Yield where chunks lie in a file: first byte and length."""
    size = file.stat().st_size
    if not packing.per_shard:
        yield 0, size
        return
    table = 16 * packing.per_shard
    if packing.per_shard > _MOST_IN_SHARD or size < table + 4:
        raise damaged(file, "it is a shard without a table of its chunks")
    opened.seek(size - table - 4)
    numbers = struct.unpack(f"<{2 * packing.per_shard}Q", opened.read(table))
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        if (start, length) == (_ABSENT, _ABSENT):
            continue
        if start + length > size:
            raise damaged(file, "a chunk lies beyond its end")
        yield start, length


def _check(opened: IO[bytes], file: Path, where: tuple[int, int], packing: Packing) -> None:
    start, length = where
    opened.seek(start)
    if packing.by in ("gzip", "zlib"):
        found = 0
        for piece in inflated(io.BytesIO(opened.read(length)), file):
            found += len(piece)
            if found > packing.chunk_bytes:
                break
    else:
        found = _stated(opened.read(min(_START, length)), packing.by, length - packing.extra)
    if found != packing.chunk_bytes:
        raise damaged(file, f"a chunk unpacks to {found} bytes where {packing.chunk_bytes} were expected")


def _stated(begin: bytes, by: str, length: int) -> int:
    """Return how many bytes a chunk says that it unpacks to; -1 where it does not say."""
    if not by:
        return length
    if by == "blosc" and len(begin) >= 16:
        return int(struct.unpack_from("<I", begin, 4)[0])
    if by == "lz4" and len(begin) >= 4:
        return int(struct.unpack_from("<I", begin)[0])
    if by == "zstd" and begin[:4] == _ZSTD and len(begin) > 5:
        return _zstd_size(begin)
    return -1


def _zstd_size(begin: bytes) -> int:
    """Return the content size in the header of a zstd frame (RFC 8878, 3.1.1.1); -1 where it holds none."""
    flags = begin[4]
    single = bool(flags & 0x20)
    at = 5 + (0 if single else 1) + (0, 1, 2, 4)[flags & 3]
    width = (1 if single else 0, 2, 4, 8)[flags >> 6]
    if not width or len(begin) < at + width:
        return -1
    return int.from_bytes(begin[at : at + width], "little") + (256 if width == 2 else 0)
