"""One run at a time in an output folder, and the cases it had in hand should it be killed.

The lock is a hidden file that a run holds until it ends. A run that is killed leaves the file, but not the lock on it;
the next run finds in it which cases were being read or predicted.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from voxtrace.atomic import output_error, remove_folder
from voxtrace.errors import OutputError
from voxtrace.safe_text import parse_json

LOCK = ".voxtrace-run.lock"
_MOST_BYTES = 1 << 20
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
_TEMPORARY = re.compile(r"\.[0-9a-f]{8}-(?P<end>.+)")  # as atomic.py names them


class RunLock:
    """The lock of a run.

    Attributes
    ----------
    killed
        Name of a case -> how many runs were killed while they had it in hand, itself or as the one read in advance.
    """

    def __init__(self, file: IO[bytes], path: Path, killed: Mapping[str, int]) -> None:
        self._file, self._path, self.killed = file, path, dict(killed)

    def hold(self, cases: Iterable[str]) -> None:
        """Note which cases are in hand from now on."""
        self._write({**self.killed, **{name: self.killed.get(name, 0) + 1 for name in cases}})

    def clear(self, case: str) -> None:
        """Note that a case came to its end."""
        self.killed.pop(case, None)
        self._write(self.killed)

    def release(self) -> None:
        """Give the lock back; the file stays where cases that killed a run have not come to their end."""
        with suppress(OutputError):
            self._write(self.killed)
        if sys.platform == "win32":  # an open file cannot be removed there
            self._file.close()
        if not self.killed:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        with suppress(OSError):  # a full disk, again
            self._file.close()

    def _write(self, cases: Mapping[str, int]) -> None:
        content = {"process": os.getpid(), "host": socket.gethostname(), "cases": dict(cases)}
        try:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(json.dumps(content).encode())
            self._file.flush()
        except OSError as error:
            raise output_error(self._path.parent, error) from error


@contextmanager
def run_lock(out: Path) -> Iterator[RunLock]:
    """Hold the lock of an output folder in the block; the folder is made, and removed again where nothing came into it.

    Raises
    ------
    OutputError
        Another run holds it, or the folder cannot be written.
    """
    missing = not out.exists()
    path = out / LOCK
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = _open_locked(path)
    except OSError as error:
        raise output_error(out, error) from error
    lock = RunLock(file, path, _cases(_content(file)))
    try:
        lock.hold(())
        yield lock
    finally:
        lock.release()
        if missing:
            with suppress(OSError):  # not empty, as it should be
                out.rmdir()


def remove_leftovers(out: Path, names: Iterable[str]) -> None:
    """Remove temporary files and folders of these outputs, which a killed run left; only under the lock."""
    wanted = tuple(names)
    for path in sorted(out.iterdir()):
        found = _TEMPORARY.fullmatch(path.name)
        if found and any(name.endswith(found["end"]) for name in wanted):
            if path.is_dir() and not path.is_symlink():
                remove_folder(path)
            else:
                path.unlink(missing_ok=True)


def _open_locked(path: Path) -> IO[bytes]:
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        if not _lock(file):
            holder = _content(file)
            file.close()
            raise OutputError(_busy(path.parent, holder))
        # a run that ended between opening and locking has removed this file, and a third may hold a new one
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        file.close()


def _busy(out: Path, holder: Mapping[str, object]) -> str:
    who = f" (process {holder['process']} on {holder.get('host')})" if holder.get("process") else ""
    return f"another run{who} is writing into {out}; wait until it ends, or choose another folder."


def _content(file: IO[bytes]) -> dict[str, object]:
    """Return what a lock file says; empty where it was cut short or cannot be read."""
    try:
        file.seek(0)
        found = parse_json(file.read(_MOST_BYTES).decode("utf-8", "replace"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _cases(content: Mapping[str, object]) -> dict[str, int]:
    cases = content.get("cases")
    if not isinstance(cases, dict):
        return {}
    return {name: times for name, times in cases.items() if isinstance(times, int) and times > 0}


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> bool:
        file.seek(_MOST_BYTES)  # a byte behind the content, which others may still read
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(file: IO[bytes]) -> bool:
        """Take the lock; return False where another holds it. Disks without locks are used without."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True
