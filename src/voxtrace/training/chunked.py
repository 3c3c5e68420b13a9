"""Arrays in compressed chunks: a zarr array of one shard, from which a box is read by its own chunks alone.

Any zarr reader opens the folder. Here the shard's index says where each chunk lies in the one file, and only the chunks
that a box touches are read and unpacked: without zarr's event loop, which takes longer than the rest and does not
survive a fork into loader processes. Index and chunks end with their CRC-32C, which is checked before they are used: a
damaged chunk is told, never trained on.
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import IO, Any

import google_crc32c
import numpy as np

from voxtrace.errors import DatasetError
from voxtrace.safe_text import read_json
from voxtrace.volume import Array

SIDE = 32  # voxels of a chunk along each axis: the larger, the more is unpacked that a window does not hold
KEPT = 1024  # arrays whose header and index stay in memory; of a CT of 512×512×300 they take 40 kB
_HEADER = struct.Struct("<4xIII")  # of a Blosc frame: bytes unpacked, of a block, packed
_CHECKSUM = 4  # bytes at the end of each chunk and of a shard's index


def write_chunked(folder: Path, array: Array) -> None:
    """Write an array (…, Z, Y, X) as a zarr array, a folder that is not there yet; it is packed without loss."""
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec

    chunk = (*(1 for _ in array.shape[:-3]), *(min(SIDE, n) for n in array.shape[-3:]))
    stored = zarr.create_array(
        folder,
        shape=array.shape,
        chunks=chunk,
        shards=tuple(math.ceil(n / c) * c for n, c in zip(array.shape, chunk, strict=True)),
        dtype=array.dtype,
        compressors=(BloscCodec(cname="lz4", clevel=3, shuffle="shuffle"), Crc32cCodec()),
        config={"write_empty_chunks": True},
    )
    stored[...] = array


class ChunkedArray:
    """A stored array that is read when it is indexed by slices, like a numpy array, and cannot be written.

    Attributes
    ----------
    shape, dtype, chunk
        Of the array, and the shape of a chunk.

    Raises
    ------
    DatasetError
        The folder holds no such array, or its header or index is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / "zarr.json"
        try:
            self._open(read_json(self._file))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise self._damaged() from error

    def _open(self, header: Any) -> None:
        """Take sizes from the header, and the places of chunks from the file's index."""
        self._file = self._folder.joinpath("c", *("0" for _ in header["shape"]))
        self.shape: tuple[int, ...] = tuple(int(n) for n in header["shape"])
        self.dtype = np.dtype(str(header["data_type"])).newbyteorder("<")
        self.chunk: tuple[int, ...] = tuple(int(n) for n in header["codecs"][0]["configuration"]["chunk_shape"])
        if len(self.chunk) != len(self.shape) or not 1 <= min(self.chunk) <= max(self.chunk) <= SIDE:
            raise ValueError(f"{self._folder} has chunks of {self.chunk}")
        self._grid = tuple(math.ceil(n / c) for n, c in zip(self.shape, self.chunk, strict=True))
        self._places = self._index()

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Array:
        """Return the box of slices, an ellipsis and numbers, without steps, as an array in memory has it; read now.

        Raises
        ------
        DatasetError
            A chunk is damaged, or cannot be read.
        """
        parts = self._parts(key if isinstance(key, tuple) else (key,))
        low, high = self._box(parts)
        box = np.empty([h - a for a, h in zip(low, high, strict=True)], self.dtype)
        if box.size:
            try:
                self._fill(box, low, high)
            except OSError as error:
                raise self._useless(f"cannot be read ({error.strerror or error})") from error
        found: Array = box[tuple(slice(None) if isinstance(part, slice) else 0 for part in parts)]
        return found

    def _fill(self, box: Array, low: Sequence[int], high: Sequence[int]) -> None:
        """Read what lies between first and behind-last voxels into an array of that size."""
        with self._file.open("rb") as file:
            for at in self._touched(low, high):
                begin = [max(a, i * c) for a, i, c in zip(low, at, self.chunk, strict=True)]
                end = [min(h, i * c + c) for h, i, c in zip(high, at, self.chunk, strict=True)]
                source = _between(begin, end, [i * c for i, c in zip(at, self.chunk, strict=True)])
                box[_between(begin, end, low)] = self._unpacked(file, at)[source]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[...], dtype)

    def _index(self) -> Array:
        """Return where each chunk begins in the file, and how long it is: uint64 (grid …, 2)."""
        n = math.prod(self._grid) * 16
        size = self._file.stat().st_size
        if not 0 < n <= size - _CHECKSUM:  # before so much is read as a damaged header says
            raise ValueError(f"{self._file} is shorter than its index")
        with self._file.open("rb") as file:
            file.seek(size - n - _CHECKSUM)
            places = np.frombuffer(_checked(file, n), "<u8").reshape(*self._grid, 2)
        if bool((places > size).any()) or bool((places.sum(-1) > size - n).any()):
            raise ValueError(f"{self._file} is shorter than its index says")
        return places

    def _parts(self, key: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return a slice or a number for each axis."""
        if Ellipsis in key:
            at = key.index(Ellipsis)
            key = (*key[:at], *(slice(None) for _ in range(self.ndim - len(key) + 1)), *key[at + 1 :])
        return (*key, *(slice(None) for _ in range(self.ndim - len(key))))

    def _box(self, parts: tuple[Any, ...]) -> tuple[list[int], list[int]]:
        """Return first and behind-last voxel along each axis."""
        ranges = [_ends(part, n) for part, n in zip(parts, self.shape, strict=True)]
        if any(step != 1 for _, _, step in ranges):
            raise IndexError("a stored array is read without steps")
        return [a for a, _, _ in ranges], [max(a, b) for a, b, _ in ranges]

    def _touched(self, low: Sequence[int], high: Sequence[int]) -> Iterator[tuple[int, ...]]:
        ranges = [range(a // c, (h - 1) // c + 1) for a, h, c in zip(low, high, self.chunk, strict=True)]
        return product(*ranges)

    def _unpacked(self, file: IO[bytes], at: tuple[int, ...]) -> Array:
        begin, length = (int(n) for n in self._places[at])
        file.seek(begin)
        try:
            packed = _checked(file, length - _CHECKSUM)
            # The sizes that a chunk tells are believed when it is unpacked.
            if _HEADER.unpack(packed[:16])[::2] != (math.prod(self.chunk) * self.dtype.itemsize, len(packed)):
                raise ValueError("other sizes")
            unpacked = import_module("numcodecs.blosc").decompress(packed)  # that zarr needs; it has no types
        except (ValueError, RuntimeError, struct.error) as error:
            raise self._damaged() from error
        return np.frombuffer(unpacked, self.dtype).reshape(self.chunk)

    def _damaged(self) -> DatasetError:
        return self._useless("is damaged")

    def _useless(self, why: str) -> DatasetError:
        return DatasetError(
            f"{self._file} {why}; delete its folder {self._folder.parent}, then --resume prepares the case anew."
        )


def opened(folder: Path, axes: int) -> ChunkedArray:
    """Return the array of so many axes in a folder; header and index are read once, and again if a file has changed.

    Raises
    ------
    DatasetError
        As :class:`ChunkedArray`.
    """
    try:
        found = [file.stat() for file in (folder / "zarr.json", folder.joinpath("c", *("0",) * axes))]
    except OSError:
        return ChunkedArray(folder)  # which says what it misses
    return _opened(folder, tuple((file.st_ino, file.st_size, file.st_mtime_ns) for file in found))


@lru_cache(maxsize=KEPT)
def _opened(folder: Path, written: tuple[tuple[int, int, int], ...]) -> ChunkedArray:
    return ChunkedArray(folder)


def _checked(file: IO[bytes], length: int) -> bytes:
    """Return the next bytes of a file; ValueError where the CRC-32C behind them is not theirs."""
    held = file.read(max(length, 0))
    if google_crc32c.value(held) != int.from_bytes(file.read(_CHECKSUM), "little"):
        raise ValueError("the checksum is another")
    return held


def _ends(part: Any, n: int) -> tuple[int, int, int]:
    """Return first and behind-last voxel of n, and the step, of a slice or a number."""
    if isinstance(part, slice):
        return part.indices(n)
    number = operator.index(part)
    if not -n <= number < n:
        raise IndexError(f"voxel {number} of {n}")
    return number % n, number % n + 1, 1


def _between(begin: Sequence[int], end: Sequence[int], origin: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(b - o, e - o) for b, e, o in zip(begin, end, origin, strict=True))
