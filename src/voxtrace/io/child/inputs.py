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

from voxtrace.errors import ReadError
from voxtrace.io.header_names import names_in_header
from voxtrace.io.suffixes import NIFTI, is_archive, is_voxels_beside, stem_of, suffix_of
from voxtrace.io.voxel_files import named_files

LEAST_MEMORY = 2 << 30  # bytes
MEMORY_PER_BYTE = 60  # of the files: packed twenty times, and three times the volume while it is decoded
LEAST_SECONDS = 60.0
SECONDS_PER_MIB = 1.0
_OF_FREE = 0.9


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
    files = {file.path: file for place in given for file in _entries(place)}
    measured: list[Path | os.DirEntry[str]] = [*given, *files.values()]
    size = sum(_size(file) for file in measured)
    targets = [Path(file.path).resolve() for file in files.values() if file.is_symlink()]
    memory = max(LEAST_MEMORY, MEMORY_PER_BYTE * size)
    free = _free_memory()
    seconds = LEAST_SECONDS + SECONDS_PER_MIB * size / (1 << 20)
    return Allowed((*given, *targets), min(memory, free) if free else memory, seconds)


def _places(path: Path) -> Iterator[Path]:
    """Yield what may be read for a path: itself, and what may lie beside it, or the folder where that is not known."""
    yield path.absolute()
    with suppress(OSError, ValueError):  # no file can have such a name, or it cannot be looked at; reading says so
        if not path.is_file() or suffix_of(path) in NIFTI or is_archive(path):
            return
        if suffix_of(path) or is_voxels_beside(path):
            yield from _parts(path)
        else:  # an image of a DICOM series, whose others may have any name
            yield from (path.absolute().parent, path.resolve().parent)


def _parts(path: Path) -> Iterator[Path]:
    """Yield the files in which the rest of a scan may lie: those that have its stem, or that its header names."""
    stem = f"{stem_of(path)}."
    names = (entry.name for entry in os.scandir(path.absolute().parent) if not entry.is_dir())
    yield from (path.absolute().with_name(name) for name in names if name.startswith(stem))
    with suppress(ReadError):  # reading says what is wrong with the header, or with what it names
        if named := names_in_header(path):
            yield from (file.absolute() for file in named_files(path, named))


def _entries(place: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files below a folder; links to folders are not followed. Nothing where it is none, or closed."""
    with suppress(OSError):
        for entry in os.scandir(place):
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path))
            elif not entry.is_dir():
                yield entry


def _size(file: Path | os.DirEntry[str]) -> int:
    with suppress(OSError, ValueError):
        return file.stat().st_size
    return 0


def _free_memory() -> int:
    """Return most of the memory that is free, in bytes, within what a container allows; 0 where it is not known."""
    free = int(_number_after("MemAvailable:", Path("/proc/meminfo")) * 1024 * _OF_FREE)
    allowed = _number_after("", Path("/sys/fs/cgroup/memory.max"))
    return min(free, allowed) if allowed else free


def _number_after(word: str, file: Path) -> int:
    """Return the number that follows a word at the beginning of a line; 0 where there is none."""
    with suppress(OSError, ValueError):
        for line in file.read_text("ascii").splitlines():
            if line.startswith(word):
                return int(line.removeprefix(word).split()[0])
    return 0
