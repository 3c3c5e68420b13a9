"""Files and folders that appear whole or not at all.

What is written goes into a hidden temporary file or folder beside the final one first (the same file system), is
flushed to the disk, and takes its final name in one step. When anything fails, the temporary is removed and what had
the final name before is still there.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxtrace.errors import OutputError

_REASONS = {
    errno.ENOSPC: ("there is no space left on the disk", "Free some space or choose another place."),
    errno.EACCES: ("writing there is not permitted", "Choose a folder that you may write to."),
    errno.EPERM: ("writing there is not permitted", "Choose a folder that you may write to."),
    errno.EROFS: ("the disk is read-only", "Choose a folder that you may write to."),
    errno.ENOTDIR: ("a part of that path is a file, not a folder", "Correct the path."),
    errno.EEXIST: ("a part of that path is a file, not a folder", "Correct the path."),
    errno.EISDIR: ("there is a folder of that name", "Choose another name."),
    errno.ENAMETOOLONG: ("the name is too long for the disk", "Choose a shorter name."),
}
_LONGEST_NAME = 255  # bytes

if hasattr(errno, "EDQUOT"):  # not on Windows
    _REASONS[errno.EDQUOT] = ("the disk quota is used up", "Free some space or choose another place.")


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; the file written there becomes ``path`` when the block succeeds.

    The temporary ends in the same name as ``path``, so writers that choose a format by suffix choose the same one.
    Missing parent folders are made, and removed again when the block fails.

    Raises
    ------
    OutputError
        When the system refuses: no space, no permission, a file where a folder is needed.
    """
    path = Path(path)
    with _translated(path), _parents(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
        # a rename is atomic only within one file system, so the temporary lies in the same folder
        temporary = _neighbour(path)
        try:
            yield temporary
            _flush(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(path.parent)


@contextmanager
def atomic_folder(path: str | Path, replace: bool = True) -> Iterator[Path]:
    """Yield an empty temporary folder beside ``path``; it becomes ``path`` when the block succeeds.

    A folder that was there before is replaced whole, or kept and the new one dropped with ``replace=False``. Of a
    link it is the folder that it leads to. Missing parent folders are made, and removed again when the block fails.

    Raises
    ------
    OutputError
        When the system refuses: no space, no permission, a file of that name.
    """
    # a rename would only move a link; unlike Path.resolve, realpath takes one that leads to itself
    path, target = Path(path), Path(os.path.realpath(path))
    with _translated(path), _parents(target):
        if _is_no_folder(target):
            raise NotADirectoryError(errno.ENOTDIR, "is a file", str(path))
        temporary = _neighbour(target)
        temporary.mkdir()
        try:
            yield temporary
            _flush_tree(temporary)
            if replace:
                _swap_in(temporary, target)
            else:
                _put_in(temporary, target)
        finally:
            remove_folder(temporary)
        _flush_folder(target.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder and all in it, also while threads of a writer that failed still put files there."""
    # a writer's threads may still create files while the tree is being removed
    for wait_s in (0.0, 0.01, 0.05, 0.2, 0.5, 1.0):
        time.sleep(wait_s)
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def output_error(path: str | Path, error: OSError) -> OutputError:
    """Return one clear sentence for an error of the system while writing ``path``."""
    reason, remedy = _REASONS.get(error.errno or 0, (error.strerror or str(error), "Choose another place."))
    return OutputError(f"{path} could not be written: {reason}. {remedy}")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise output_error(path, error) from error


@contextmanager
def _parents(path: Path) -> Iterator[None]:
    """Make the missing parents of ``path``; on failure remove those that are still empty."""
    missing = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        # innermost first; a folder that another writer has filled since then stays
        for folder in missing:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def _neighbour(path: Path) -> Path:
    """Return a hidden name beside ``path``; of a long name it has the end, as many bytes as file systems allow."""
    start, end = f".{secrets.token_hex(4)}-", path.name
    while len(os.fsencode(start + end)) > _LONGEST_NAME and len(end) > 1:
        end = end[1:]
    return path.with_name(start + end)


def _swap_in(folder: Path, path: Path) -> None:
    """Give ``folder`` the name ``path``; the previous folder is renamed first and restored on failure.

    Of several writers at once the last one wins, and what the others wrote is removed.
    """
    while not _put_in(folder, path):
        previous = _neighbour(path)
        try:
            path.rename(previous)
        except FileNotFoundError:  # another writer renamed it first
            continue
        try:
            placed = _put_in(folder, path)
        except OSError:
            previous.rename(path)
            raise
        remove_folder(previous)
        if placed:
            return


def _put_in(folder: Path, path: Path) -> bool:
    """Rename ``folder`` to ``path``; return False where a folder of that name exists already."""
    if path.exists():
        return False
    try:
        folder.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST) or path.exists():  # another writer was faster
            return False
        raise
    return True


def _is_no_folder(path: Path) -> bool:
    """Return whether ``path`` is something other than a folder; one look, since another writer may remove it."""
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return False


def _flush(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_tree(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            _flush(file)
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    """Flush the names in a folder, where the system lets folders be opened (not on Windows)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
