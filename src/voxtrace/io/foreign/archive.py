"""Zip archives: unpacked with limits into a temporary folder that is always removed.

Nothing is unpacked before all names, kinds and sizes were looked at: names that lead elsewhere, links and devices,
passwords, and more files or bytes than an archive of that size has are refused, all of the archive at once.
"""

from __future__ import annotations

import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from voxtrace.errors import ReadError, VoxTraceError
from voxtrace.io.integrity import check_not_empty, check_packed_size, damaged
from voxtrace.io.suffixes import is_dicom, is_zarr, suffix_of
from voxtrace.safe_text import well_formed

MOST_FILES = 50_000
_MOST_DEPTH = 24
_LONGEST_PART, _LONGEST_NAME = 200, 1000  # bytes of a name, letters of a path
_MOST_RATIO = 1100  # deflate never packs more bytes than this into one; other ways are not taken
_LONGEST_DIRECTORY = 1 << 25  # bytes of the list of files
_END, _END_BYTES = b"PK\5\6", (1 << 16) + 22
_PIECE = 1 << 20
_PACKINGS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FAULTS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)
_NOT_MEANT = ("__MACOSX", ".DS_Store")


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield the one thing in an archive that can be read: a volume file, an OME-Zarr image, or a folder of DICOM.

    It lies in a temporary folder, which is removed at the end. Messages of errors name the archive.

    Raises
    ------
    ReadError
        When the archive is damaged or refused, or holds nothing that can be read, or several things.
    """
    with tempfile.TemporaryDirectory(prefix="voxtrace-", ignore_cleanup_errors=True) as temporary:
        # what lies in the archive is called after it
        folder = Path(temporary).resolve() / (path.name.split(".")[0] or "archive")
        folder.mkdir()
        try:
            _unpack(path, folder)
            yield _content(folder, path)
        except VoxTraceError as error:
            raise type(error)(str(error).replace(str(folder), str(path))) from error


def _unpack(path: Path, folder: Path) -> None:
    check_not_empty(path)
    _check_directory(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [one for one in archive.infolist() if not one.is_dir() and not _is_passed_over(one.filename)]
            targets = _checked(entries, path)
            for one, target in zip(entries, targets, strict=True):
                _extract(archive, one, folder / target)
    except _FAULTS as error:
        raise damaged(path, f"it cannot be unpacked ({' '.join(str(error).split())[:160]})") from error


def _is_passed_over(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part in _NOT_MEANT or part.startswith("._") for part in parts)


def _check_directory(path: Path) -> None:
    """Refuse a list of files that is too long to be read into memory."""
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(0, size - _END_BYTES))
        end = file.read()
    at = end.rfind(_END)
    if at < 0 or len(end) - at < 22:
        raise ReadError(f"{path} is not a zip archive, though its name says so; check the file.")
    length, start = struct.unpack_from("<II", end, at + 12)
    if length == 0xFFFFFFFF or start == 0xFFFFFFFF:  # the true numbers lie elsewhere: between the list and its end
        length = 0
    if length > _LONGEST_DIRECTORY:
        raise ReadError(f"{path} lists its files in {length} bytes; expected at most {_LONGEST_DIRECTORY}. Unpack it.")


def _checked(entries: list[zipfile.ZipInfo], path: Path) -> list[PurePosixPath]:
    """Return where each entry goes below the folder; all of them are looked at first."""
    if len(entries) > MOST_FILES:
        raise ReadError(
            f"{path} holds {len(entries)} files; expected at most {MOST_FILES}. Unpack it, and give a folder."
        )
    targets = [_target(one, path) for one in entries]
    if len({str(target).casefold() for target in targets}) < len(targets):
        raise ReadError(f"{path} holds two files of one name; expected each once. Unpack it, and give a folder.")
    for one in entries:
        _check_entry(one, path)
    check_packed_size(sum(one.file_size for one in entries), path.stat().st_size, path)
    return targets


def _target(one: zipfile.ZipInfo, path: Path) -> PurePosixPath:
    # archives made on Windows may have backslashes
    parts = one.filename.replace("\\", "/").split("/")
    strange = any(part == ".." or "\0" in part for part in parts) or not parts[0] or ":" in parts[0]
    if strange or len(parts) > _MOST_DEPTH:
        raise ReadError(
            f"{path} holds a file called {well_formed(one.filename)[:80]!r}, which leads out of the archive's folder; "
            "nothing was unpacked. Ask for another copy."
        )
    longest = max(len(part.encode("utf-8", "surrogateescape")) for part in parts)
    if longest > _LONGEST_PART or len(one.filename) > _LONGEST_NAME:
        raise ReadError(
            f"{path} holds a file whose name is too long for most systems ({len(one.filename)} letters); unpack it by "
            "hand, and give the folder."
        )
    return PurePosixPath(*(part for part in parts if part not in ("", ".")))


def _check_entry(one: zipfile.ZipInfo, path: Path) -> None:
    name = well_formed(one.filename)[:80]
    mode = one.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise ReadError(f"{path} holds {name!r}, which is a link or a device; expected files. Unpack it by hand.")
    if one.flag_bits & 1:
        raise ReadError(f"{path} is locked with a password; unpack it, and give the folder.")
    if one.compress_type not in _PACKINGS:
        raise ReadError(f"{path} packs {name!r} in an unusual way; expected deflate. Unpack it, and give the folder.")
    if not 0 <= one.header_offset < path.stat().st_size:
        raise damaged(path, f"{name!r} begins outside of it")
    if one.file_size > _MOST_RATIO * one.compress_size + 1024:
        raise damaged(path, f"{name!r} promises {one.file_size} bytes out of {one.compress_size}")


def _extract(archive: zipfile.ZipFile, one: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(one) as source, target.open("xb") as file:
        left = one.file_size
        while piece := source.read(_PIECE):
            left -= len(piece)
            if left < 0:
                raise ValueError(f"{well_formed(one.filename)[:80]} is larger than the archive says")
            file.write(piece)
    if left:
        raise ValueError(f"{well_formed(one.filename)[:80]} is smaller than the archive says")


def _content(folder: Path, path: Path) -> Path:
    """Return the only thing in an unpacked archive that can be read."""
    found = list(islice(_volumes(folder), 64))
    others = [one for one in _files(folder) if not suffix_of(one)]
    if any(is_dicom(one) for one in others):
        found.append(folder)
    if len(found) == 1:
        return found[0]
    if not found:
        raise ReadError(f"{path} holds no volume that can be read, and no DICOM; check what is in it.")
    names = ", ".join(str(one.relative_to(folder)) if one != folder else "DICOM images" for one in found[:6])
    raise ReadError(f"{path} holds {len(found)} scans or label maps ({names}); expected one. Unpack it, and give one.")


def _volumes(folder: Path) -> Iterator[Path]:
    """Yield volume files and OME-Zarr images below a folder."""
    if is_zarr(folder):
        yield folder
        return
    for one in sorted(folder.iterdir()):
        if one.is_dir():
            yield from _volumes(one)
        elif suffix_of(one):
            yield one


def _files(folder: Path) -> Iterator[Path]:
    if is_zarr(folder):
        return
    for one in sorted(folder.iterdir()):
        if one.is_dir():
            yield from _files(one)
        else:
            yield one


def names_in_archive(path: Path) -> tuple[str, ...]:
    """Return the names of all files and folders that an archive lists; nothing is unpacked.

    Raises
    ------
    ReadError
        When the list cannot be read.
    """
    check_not_empty(path)
    _check_directory(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(archive.namelist())
    except _FAULTS as error:
        raise damaged(path, "its list of files cannot be read") from error
