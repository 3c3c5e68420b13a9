"""The array of a level: where it lies, which ways of packing are read, and how much memory it may take.

Chunks that are not stored hold the fill value, so an array may promise any size in a few bytes; what it promises is
compared with what its files hold.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.integrity import check_packed_size, damaged
from voxtrace.io.ome_zarr.chunk_files import ChunkFiles
from voxtrace.io.ome_zarr.chunks import PACKERS, Packing, check_chunks
from voxtrace.safe_text import well_formed
from voxtrace.volume import Array

_MOST_FILES = 1_000_000
_CODECS: Final = ("blosc", "zlib", "gzip", "zstd", "lz4", "bytes", "crc32c", "transpose", "sharding_indexed")


@dataclass(frozen=True, eq=False)
class StoredLevel:
    """The zarr array of a level, how its chunks are packed, and the files they lie in."""

    array: Any
    packing: Packing
    files: ChunkFiles


@contextmanager
def understood(folder: Path) -> Iterator[None]:
    """Turn any fault of zarr's into one of our errors."""
    try:
        yield
    except (ReadError, FileNotFoundError, PermissionError):
        raise
    except MemoryError as error:
        raise ReadError(f"{folder} needs more memory than there is; expected a smaller image.") from error
    except Exception as error:  # zarr and its codecs raise errors of many kinds
        said = " ".join(str(error).split())[:160] or type(error).__name__
        raise damaged(folder, f"its zarr array cannot be read ({said})") from error


def inside(folder: Path, name: str) -> Path:
    """Return a folder that the metadata names.

    Raises
    ------
    ReadError
        When it lies elsewhere than below the image, is a link, or does not exist.
    """
    parts = name.replace("\\", "/").split("/")
    if any(part in ("", ".", "..") or "\0" in part or ":" in part for part in parts):
        raise ReadError(
            f"{folder} keeps its voxels in {well_formed(name)[:80]!r}; expected a folder below it. Correct that name."
        )
    found = folder
    for part in parts:
        found = found / part
        if found.is_symlink():
            raise ReadError(f"{found} is a link; expected a folder of the image. Copy the image whole.")
    if not found.is_dir():
        raise damaged(folder, f"its folder {well_formed(name)[:80]!r} is missing")
    return found


def open_level(folder: Path, name: str) -> StoredLevel:
    """Return the zarr array of a level after its type, packing and size were looked at.

    Raises
    ------
    ReadError
        When these are not such as are read, it names files elsewhere, or none of its chunks is stored.
    """
    import zarr

    place = inside(folder, name)
    stored = _stored_files(place)
    stored_bytes = sum(file.stat().st_size for file in stored)
    with understood(folder):
        array = zarr.open_array(store=str(place), mode="r")
        chunks = tuple(int(n) for n in array.chunks)
        packed_by = sorted({_name(one) for one in _codecs(array)})
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ReadError(f"{folder} holds values of type {array.dtype}; expected one real number each. Convert it.")
    unknown = [one for one in packed_by if one not in _CODECS]
    packers = [one for one in packed_by if one in PACKERS]
    if unknown or len(packers) > 1:
        said = (unknown or [" and ".join(packers)])[0]
        raise ReadError(f"{folder} is packed by {said[:40]!r}, which is not read; expected blosc, zstd or gzip.")
    with understood(folder):
        packing = _packing(array, packers, chunks)
        files = ChunkFiles.of(array, place, stored)
    check_packed_size(packing.chunk_bytes, stored_bytes, folder)
    check_packed_size(math.prod(array.shape[-3:]) * array.dtype.itemsize, stored_bytes, folder)
    if not files.found and min(files.counts, default=0) > 0:
        raise _nothing_stored(folder)
    return StoredLevel(array, packing, files)


def read_level(level: StoredLevel, chosen: tuple[Any, ...], folder: Path) -> Array:
    """Return the three axes in space of an array, the others at these places.

    Raises
    ------
    ReadError
        When none of the chunks there is stored, or one does not unpack to what the metadata says.
    """
    needed = level.files.needed(chosen)
    if not needed:
        raise _nothing_stored(folder)
    check_chunks(needed, level.packing)
    with understood(folder):
        found: Array = np.asarray(level.array[chosen])
    return found.view(np.uint8) if found.dtype.kind == "b" else found


def _nothing_stored(folder: Path) -> ReadError:
    return ReadError(
        f"{folder} stores none of the chunks that hold its voxels; expected at least one. Copy the image whole, or "
        "write it with `write_empty_chunks`."
    )


def _packing(array: Any, packers: list[str], chunks: tuple[int, ...]) -> Packing:
    """Return how the chunks of an array are packed."""
    shards = tuple(int(n) for n in array.shards) if array.shards is not None else ()
    each = math.prod(shards) // math.prod(chunks) if shards else 0
    checked = 4 if any(_name(one) == "crc32c" for one in _codecs(array)) else 0
    return Packing(packers[0] if packers else "", math.prod(chunks) * array.dtype.itemsize, each, checked)


def _codecs(array: Any) -> list[Any]:
    """Return all codecs of an array, of a shard those of the chunks in it."""
    return [*array.filters, *array.compressors, *([array.serializer] if array.serializer is not None else [])]


def _name(codec: Any) -> str:
    """Return the name of a codec: that of numcodecs, or of zarr's own."""
    if (known := getattr(codec, "codec_id", None)) is not None:
        return str(known)
    told = codec.to_dict()
    return str(told.get("name", type(codec).__name__))


def _stored_files(place: Path) -> list[Path]:
    """Return the files of an array; links are refused."""
    found: list[Path] = []
    for root, folders, names in os.walk(place):
        for name in (*folders, *names):
            one = Path(root, name)
            if one.is_symlink():
                raise ReadError(f"{one} is a link; expected a file of the image. Copy the image whole.")
        found += [Path(root, name) for name in names]
        if len(found) > _MOST_FILES:
            raise ReadError(f"{place} holds more than {_MOST_FILES} files; expected fewer. Store larger chunks.")
    return found
