"""Which files a case was read from, so that a later run knows whether they are still the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from voxtrace.batch.cases import CaseInput, holds_results
from voxtrace.io.contents import content_digest, parts_of
from voxtrace.io.suffixes import is_archive, is_dicom, is_voxels_beside, is_zarr, suffix_of

_FOLDERS = 4  # with images, whose contents are remembered: cases of one folder follow one another


class _State(NamedTuple):
    """A file as the system last saw it change; other contents have another state."""

    path: Path
    size: int
    changed_ns: int
    written_ns: int


def describe_sources(case: CaseInput) -> list[dict[str, Any]]:
    """Return, for each path of a case, its files: ``path``, ``files``, ``bytes``, ``sha256`` and ``changed_ns``.

    A folder has one digest of names and contents of all DICOM files in it. ``changed_ns`` is when the system last saw
    one of them change. Of a case with anonymous names the path is left out.
    """
    found = []
    for path in case.paths:
        files = tuple(_files(path))
        where = {} if case.anonymous else {"path": str(path.absolute())}
        found.append({**where, **_measured(files), "sha256": _digest(path, files)})
    return found


def same_sources(recorded: Sequence[Mapping[str, Any]], case: CaseInput) -> bool:
    """Return whether a case's files are those that :func:`describe_sources` saw.

    Contents are read again only where the system says that a file was changed, or does not say it reliably.
    """
    if len(recorded) != len(case.paths):
        return False
    return all(_is_same(record, path, case) for record, path in zip(recorded, case.paths, strict=True))


def _is_same(record: Mapping[str, Any], path: Path, case: CaseInput) -> bool:
    if not case.anonymous and Path(str(record.get("path"))).resolve() != path.resolve():
        return False
    try:
        files = tuple(_files(path))
        now = _measured(files)
        if any(record.get(name) != now[name] for name in ("files", "bytes")):
            return False
        # elsewhere than on POSIX systems this is the time of creation
        if os.name == "posix" and record.get("changed_ns") == now["changed_ns"]:
            return True
        return record.get("sha256") == _digest(path, files)
    except OSError:  # it cannot be read any more, which its case will tell
        return False


def _files(path: Path) -> Iterator[Path]:
    """Yield every file that reading ``path`` may look at."""
    if path.is_dir():
        yield from _files_below(path)
    elif is_archive(path):
        yield path
    elif _is_one_image(path):
        yield from _images_among(_states_in(path.absolute().parent))
    else:
        yield path
        yield from parts_of(path)


def _is_one_image(path: Path) -> bool:
    """Return whether a path is one file of a DICOM series, whose others lie beside it."""
    return not path.is_dir() and not is_archive(path) and not suffix_of(path) and not is_voxels_beside(path)


def _states_in(folder: Path) -> tuple[_State, ...]:
    with os.scandir(folder) as entries:
        return tuple(sorted(_state(Path(entry.path)) for entry in entries if entry.is_file()))


def _state(file: Path) -> _State:
    found = file.stat()
    return _State(file, found.st_size, found.st_ctime_ns, found.st_mtime_ns)


@lru_cache(_FOLDERS)
def _images_among(states: tuple[_State, ...]) -> tuple[Path, ...]:
    return tuple(state.path for state in states if is_dicom(state.path))


@lru_cache(_FOLDERS)
def _digest_of(states: tuple[_State, ...], base: Path) -> str:
    return content_digest([state.path for state in states], base)


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the DICOM files below a folder, or all files of an OME-Zarr image.

    Results that lie there, too, are no part of the case.
    """
    image = is_zarr(folder)
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not holds_results(Path(root, name)))
        files = (Path(root, name) for name in sorted(names))
        yield from (file for file in files if image or is_dicom(file))


def _measured(files: Sequence[Path]) -> dict[str, int]:
    states = [file.stat() for file in files]
    return {
        "files": len(states),
        "bytes": sum(state.st_size for state in states),
        "changed_ns": max((state.st_ctime_ns for state in states), default=0),
    }


def _digest(path: Path, files: Sequence[Path]) -> str:
    """Return one SHA-256 of names and contents."""
    if _is_one_image(path):
        return _digest_of(tuple(map(_state, files)), path.absolute().parent)
    return content_digest(files, path.absolute() if path.is_dir() else path.absolute().parent)
