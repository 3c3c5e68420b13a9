"""The files that hold an array's chunks, or its shards: which are there, and which a reading needs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtrace.passport import Finding

_KEY = re.compile(r"(?:c[./])?([0-9]+(?:[./][0-9]+)*)")


@dataclass(frozen=True)
class ChunkFiles:
    """The chunk files of an array by their place along each axis.

    Attributes
    ----------
    sizes
        Voxels along each axis in one file.
    counts
        Files along each axis.
    found
        Place -> file, of those that are there.
    """

    sizes: tuple[int, ...]
    counts: tuple[int, ...]
    found: Mapping[tuple[int, ...], Path]

    @classmethod
    def of(cls, array: Any, place: Path, files: Iterable[Path]) -> ChunkFiles:
        """Return those among the files below ``place`` that a zarr array has its chunks in."""
        sizes = tuple(int(n) for n in (array.shards if array.shards is not None else array.chunks))
        counts = tuple(-(-int(n) // size) for n, size in zip(array.shape, sizes, strict=True))
        named = ((_place_of(file.relative_to(place).as_posix(), array, counts), file) for file in files)
        return cls(sizes, counts, {key: file for key, file in named if key is not None})

    def needed(self, chosen: tuple[Any, ...]) -> list[Path]:
        """Return the files that hold a part of an array: a number chooses along an axis, a slice takes all of it."""
        wanted = [one // size if isinstance(one, int) else None for one, size in zip(chosen, self.sizes, strict=True)]
        return [
            file
            for key, file in sorted(self.found.items())
            if all(want is None or want == at for want, at in zip(wanted, key, strict=True))
        ]

    def said(self) -> tuple[Finding, ...]:
        """Return a finding where some files are missing; zarr leaves out those of the fill value alone."""
        expected = math.prod(self.counts)
        missing = expected - len(self.found)
        if not missing:
            return ()
        found = f"{missing} of {expected} chunks are not stored"
        return (Finding("chunks", "corrected", found, "read as the fill value; check that no file was lost"),)


def _place_of(name: str, array: Any, counts: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the place of a chunk file along each axis, by its name; None for any other file."""
    match = _KEY.fullmatch(name)
    if match is None or len(name) > 200:
        return None
    key = tuple(int(word) for word in re.split("[./]", match[1]))
    inside = len(key) == len(counts) and all(at < count for at, count in zip(key, counts, strict=True))
    return key if inside and array.metadata.encode_chunk_key(key) == name else None
