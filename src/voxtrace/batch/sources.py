"""Which files a case was read from, so that a later run knows whether they are still the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxtrace.batch.cases import RESULT_SUFFIXES, CaseInput
from voxtrace.io.contents import content_digest, parts_of
from voxtrace.io.suffixes import is_archive, is_dicom, is_voxels_beside, is_zarr, suffix_of


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
    elif not suffix_of(path) and not is_voxels_beside(path):  # one file of a DICOM series, whose others lie beside it
        yield from sorted(filter(is_dicom, path.absolute().parent.iterdir()))
    else:
        yield path
        yield from parts_of(path)


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the DICOM files below a folder, or all files of an OME-Zarr image.

    Results that lie there, too, are no part of the case.
    """
    image = is_zarr(folder)
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.endswith(RESULT_SUFFIXES))
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
    return content_digest(files, path.absolute() if path.is_dir() else path.absolute().parent)
