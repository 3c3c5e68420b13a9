"""Which files a call may look at, and how much memory and time it may take.

The limits are a last resort: what a header promises is compared with what its file holds before memory is taken for it.
They are wide enough for every scan that can be read at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from voxtrace.io.suffixes import NIFTI, suffix_of

LEAST_MEMORY = 2 << 30  # bytes
MEMORY_PER_BYTE = 60  # of the files: packed twenty times, and three times the volume while it is decoded
LEAST_SECONDS = 60.0
SECONDS_PER_MIB = 1.0
_OF_FREE = 0.9
_HEADER_BYTES = 1 << 16


@dataclass(frozen=True)
class Allowed:
    """What a call may use.

    Attributes
    ----------
    paths
        Files and folders that may be read, with everything below them.
    memory
        Bytes beyond what the reader process itself takes.
    seconds
        By the clock.
    """

    paths: tuple[Path, ...]
    memory: int
    seconds: float


def allowed_for(paths: Iterable[Path]) -> Allowed:
    """Return what reading these files and folders may use."""
    given = tuple(dict.fromkeys(place for path in paths for place in _places(path) if "\0" not in str(place)))
    size, targets = 0, []
    for file in {file for place in given for file in _files(place)}:
        with suppress(OSError, ValueError):
            size += file.stat().st_size
            if file.is_symlink():
                targets.append(file.resolve())
    memory = max(LEAST_MEMORY, MEMORY_PER_BYTE * size)
    free = _free_memory()
    seconds = LEAST_SECONDS + SECONDS_PER_MIB * size / (1 << 20)
    return Allowed((*given, *targets), min(memory, free) if free else memory, seconds)


def _places(path: Path) -> Iterator[Path]:
    """Yield what may be read for a path: itself, or the folder in which the rest of it lies."""
    yield path.absolute()
    with suppress(OSError, ValueError):  # no file can have such a name, or it cannot be looked at; reading says so
        if not path.is_dir() and not _is_whole(path):
            yield path.absolute().parent
            yield path.resolve().parent


def _is_whole(path: Path) -> bool:
    """Return whether a file holds all there is to read: no header whose voxels, and no image whose series, lie beside.

    Where it cannot be told the answer is no, and the folder may be read.
    """
    suffix = suffix_of(path)
    if suffix in NIFTI:
        return True
    if suffix not in (".mha", ".nrrd") or not path.is_file():
        return False
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES).lower()
    if suffix == ".mha":
        return b"local" in header
    return not any(word in header for word in (b"data file", b"datafile"))


def _files(place: Path) -> Iterator[Path]:
    """Yield the files at or below a place; links to folders are not followed."""
    yield place
    for folder, _, names in os.walk(place):
        yield from (Path(folder, name) for name in names)


def _free_memory() -> int:
    """Return most of the memory that is free, in bytes; 0 where the system does not say."""
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as file:
            kib = next((line.split()[1] for line in file if line.startswith("MemAvailable:")), "0")
        return int(int(kib) * 1024 * _OF_FREE)
    except OSError:
        return 0
