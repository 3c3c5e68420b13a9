"""What a path holds, from names and the first bytes of files: a scan, a trace, a bundle or a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from voxtrace.io.suffixes import is_archive, is_dicom, is_voxels_beside, is_zarr, suffix_of

PathKind = Literal["scan", "trace", "bundle", "dataset", ""]
# How much of a folder is searched before it counts as one without DICOM.
_MAX_FOLDERS = 64  # also the number of files opened in all
_MAX_FILES, _MAX_NAMES = 16, 1000  # files opened, and directory entries listed, in each folder


def kind_of_path(path: Path) -> PathKind:
    """Return what a file or folder holds; ``""`` for what VoxTrace cannot use.

    Raises
    ------
    OSError
        The path cannot be read.
    """
    if not path.is_dir():
        return "scan" if suffix_of(path) or is_archive(path) or _is_scan(path) else ""
    if is_trace(path):
        return "trace"
    if is_zarr(path):
        return "scan"
    if (path / "bundle.json").is_file():
        return "bundle"
    if (path / "dataset.json").is_file() and (path / "imagesTr").is_dir():
        return "dataset"
    return "scan" if any(is_dicom(file) for file in islice(_files(path), _MAX_FOLDERS)) else ""


def _is_scan(path: Path) -> bool:
    return path.is_file() and (is_dicom(path) or is_voxels_beside(path))


def is_trace(path: Path) -> bool:
    """Tell whether a folder is a stored trace."""
    return (path / "trace.json").is_file()


def _files(folder: Path) -> Iterator[Path]:
    """Yield files of a folder and of its subfolders, breadth first, up to the limits above."""
    folders = [folder]
    for index in range(_MAX_FOLDERS):
        if index == len(folders):
            return
        inside = list(islice(folders[index].iterdir(), _MAX_NAMES))
        folders += sorted(path for path in inside if path.is_dir())
        yield from islice((path for path in inside if path.is_file()), _MAX_FILES)
