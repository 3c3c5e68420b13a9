"""An array of a trace as it lies on disk, read piece by piece; whoever made the folder, it is safe to read.

zarr believes what a chunk says of its own size. Here the size of each chunk is compared with what the array's header
promises before it is unpacked, and whatever zarr raises becomes one of our errors.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.safe_text import brief
from voxtrace.volume import Array

_LARGEST_CHUNK = 1 << 28  # bytes
_LARGEST_UNWRITTEN = 3 << 28  # bytes of an array whose chunks are not all there
_LONGEST_HEADER = 1 << 20  # bytes
_MOST_AXES = 4
_MOST_CHUNKS = 1 << 20
_CODECS = ("blosc", "zstd")
_ZSTD = b"\x28\xb5\x2f\xfd"


class StoredArray:
    """An array on disk that is read when it is indexed, like a numpy array, and cannot be written.

    Attributes
    ----------
    folder
        Where it lies.
    shape, dtype, chunks
        As a zarr array has them.
    """

    def __init__(self, folder: Path, remedy: str = "Predict the case again.") -> None:
        self.folder, self._remedy = folder, remedy
        self._array = self._opened()
        self.shape: tuple[int, ...] = tuple(self._array.shape)
        self.dtype: np.dtype[Any] = np.dtype(self._array.dtype)
        self.chunks: tuple[int, ...] = tuple(self._array.chunks)
        self._codec = self._check()
        self._checked: set[tuple[int, ...]] = set()

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Array:
        """Return a part of the array, read now.

        Raises
        ------
        ReadError
            A chunk of it is damaged, or cannot be read.
        """
        try:
            for at in self._touched(key):
                self._check_chunk(at)
            return np.asarray(self._array[key])
        except (ReadError, IndexError, MemoryError):
            raise
        except Exception as error:  # zarr and its codecs have errors of many classes
            raise self._damaged(str(error)) from error

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[...], dtype)

    def _opened(self) -> Any:
        import zarr

        header = self.folder / "zarr.json"
        # a device is no file, and would be read for ever
        if not header.is_file() or header.stat().st_size > _LONGEST_HEADER:
            raise self._damaged(f"it has no header of at most {_LONGEST_HEADER >> 10} KiB")
        try:
            return zarr.open_array(self.folder, mode="r", zarr_format=3)
        except Exception as error:
            raise self._damaged(str(error)) from error

    def _check(self) -> str:
        """Return how chunks are packed; refuse what no trace holds, or what is too large to be believed."""
        if min(self.chunks, default=0) < 1:
            raise self._damaged(f"it lies in pieces of {self.chunks}")
        if math.prod(self._counts) > _MOST_CHUNKS:
            raise self._damaged(f"it lies in {math.prod(self._counts)} pieces; expected at most {_MOST_CHUNKS}")
        codecs = [codec.to_dict()["name"] for codec in self._array.metadata.codecs]
        if codecs[:1] != ["bytes"] or codecs[1:] not in ([], *([one] for one in _CODECS)):
            raise self._damaged(f"it is packed by {', '.join(map(str, codecs))[:80]}; expected {' or '.join(_CODECS)}")
        if self.dtype.kind not in "uif" or self._chunk_bytes > _LARGEST_CHUNK or not 1 <= self.ndim <= _MOST_AXES:
            raise self._damaged(
                f"it has numbers of type {self.dtype} in pieces of {self.chunks}; expected plain numbers in pieces of "
                f"at most {_LARGEST_CHUNK >> 20} MiB"
            )
        size = math.prod(self.shape) * self.dtype.itemsize
        if size > _LARGEST_UNWRITTEN and self._written() < math.prod(self._counts):
            raise self._damaged(f"it promises {size / 1e9:.3g} GB, of which a part is not there")
        return "".join(map(str, codecs[1:]))

    @property
    def _chunk_bytes(self) -> int:
        return math.prod(self.chunks) * self.dtype.itemsize

    @property
    def _counts(self) -> list[int]:
        return [-(-n // size) for n, size in zip(self.shape, self.chunks, strict=True)]

    def _written(self) -> int:
        """Return how many files with chunks there are."""
        return sum(len(files) for _, _, files in os.walk(self.folder)) - 1

    def _touched(self, key: Any) -> Iterator[tuple[int, ...]]:
        """Yield the chunks that a key may need and that were not looked at before."""
        parts = list(key) if isinstance(key, tuple) else [key]
        if any(part is Ellipsis for part in parts):
            at = next(i for i, part in enumerate(parts) if part is Ellipsis)
            parts[at : at + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        parts += [slice(None)] * (self.ndim - len(parts))
        ranges = [_chunks_of(part, n, size) for part, n, size in zip(parts, self.shape, self.chunks, strict=True)]
        yield from (at for at in product(*ranges) if at not in self._checked)

    def _check_chunk(self, at: tuple[int, ...]) -> None:
        """Compare what a chunk says of its size with what it must be; a chunk that is missing is empty."""
        file = self.folder / self._array.metadata.encode_chunk_key(at)
        if not file.resolve().is_relative_to(self.folder.resolve()):
            raise self._damaged("a part of it leads elsewhere")
        if os.path.lexists(file):
            if not file.is_file():
                raise self._damaged(f"{file.name} is no file")
            with file.open("rb") as opened:
                size = _unpacked_size(opened.read(18), file.stat().st_size, self._codec)
            if size != self._chunk_bytes:
                raise self._damaged(f"a part of it unpacks to {size} bytes; expected {self._chunk_bytes}")
        self._checked.add(at)

    def _damaged(self, how: str) -> ReadError:
        return ReadError(f"{self.folder} is damaged ({brief(how).rstrip('.')}). {self._remedy}")


def _chunks_of(part: Any, n: int, size: int) -> Sequence[int]:
    """Return the chunks of an axis of n voxels that a part of a key lies in; all of them where that is not plain."""
    if isinstance(part, slice):
        inside = range(*part.indices(n))
        return range(min(inside[0], inside[-1]) // size, max(inside[0], inside[-1]) // size + 1) if inside else ()
    if np.ndim(part) == 0 and np.issubdtype(np.asarray(part).dtype, np.integer):
        index = int(part) + (n if part < 0 else 0)
        return (index // size,) if 0 <= index < n else ()
    return range(-(-n // size))


def _unpacked_size(begin: bytes, packed: int, codec: str) -> int:
    """Return the bytes that a chunk says it unpacks to, by its first 18 bytes; −1 where that is wrong."""
    if not codec:
        return packed
    if codec == "blosc":
        whole = len(begin) >= 16 and int.from_bytes(begin[12:16], "little") == packed
        return int.from_bytes(begin[4:8], "little") if whole else -1
    return _zstd_size(begin)


def _zstd_size(begin: bytes) -> int:
    """Return the content size in the header of a zstd frame (RFC 8878, 3.1.1.1); −1 where it states none."""
    if begin[:4] != _ZSTD or len(begin) < 6:
        return -1
    flags = begin[4]
    single = bool(flags & 0x20)
    width = (1 if single else 0, 2, 4, 8)[flags >> 6]
    first = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    stored = begin[first : first + width]
    if not width or len(stored) < width:
        return -1
    return int.from_bytes(stored, "little") + (256 if width == 2 else 0)
