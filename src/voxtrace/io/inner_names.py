"""Words of a case's files that may name a patient beside the name of its path: names inside, and titles of series."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from voxtrace.errors import ReadError
from voxtrace.io.described import opened
from voxtrace.io.dicom import find_series
from voxtrace.io.foreign.archive import names_in_archive
from voxtrace.io.header_names import names_in_header
from voxtrace.io.suffixes import is_archive, is_dicom, is_dicomdir
from voxtrace.io.voxel_files import meant_names

_MOST = 100_000


def inner_names(path: Path) -> tuple[str, ...]:
    """Return the names of files in an archive, or that a text header names, as they are written there.

    Nothing for other files and for folders, and where the archive or header cannot be read.
    """
    try:
        return names_in_archive(path) if is_archive(path) else tuple(islice(_in_header(path), _MOST))
    except (ReadError, OSError, ValueError):
        return ()


def series_titles(path: Path) -> tuple[tuple[str, str], ...]:
    """Return title and kind of each DICOM series in a folder or an archive, or beside one image.

    Raises
    ------
    ReadError
        When an archive is refused.
    OSError
        When a folder cannot be listed.
    """
    if path.is_dir():
        folder = path
    elif is_archive(path):
        with opened(path) as inside:
            return series_titles(inside) if inside.is_dir() else ()
    elif is_dicom(path):
        folder = path.resolve().parent if is_dicomdir(path) else path.parent
    else:
        return ()
    return tuple((series.title, series.kind) for series in find_series(folder))


def _in_header(path: Path) -> Iterator[str]:
    names = names_in_header(path)
    yield from names
    if names:
        yield from meant_names(path, names)
