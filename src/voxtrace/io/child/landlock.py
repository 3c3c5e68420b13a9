"""Landlock: which files a process may open (Linux 5.13 and later).

Numbers and structures are those of ``linux/landlock.h``; see
https://docs.kernel.org/userspace-api/landlock.html. A later kernel knows more rights; all that it knows are taken away,
and those to read are given back below the paths that are named.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every processor
_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_WRITE = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 12  # write, remove and make files, folders and links
_TRUNCATE = 1 << 14
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many rights each version knows
_TCP = 1 << 0 | 1 << 1
_SCOPES = 1 << 0 | 1 << 1  # sockets and signals of other processes
_NO_NEW_PRIVILEGES = 38


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Return which version of Landlock the system has; 0 where it has none."""
    if sys.platform != "linux":
        return 0
    found: int = ctypes.CDLL(None, use_errno=True).syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    return max(0, found)


def restrict_files(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Let this process open only files at or below these paths from now on, for reading or also for writing.

    Nothing can be run, and where the kernel knows how, no TCP connection opened and no signal sent to others. Paths
    that do not exist are left out.

    Raises
    ------
    OSError
        When the system refuses.
    """
    known = version()
    rights = (1 << _FILE_RIGHTS.get(known, 16)) - 1
    rules = _Ruleset(rights, _TCP if known >= 4 else 0, _SCOPES if known >= 6 else 0)
    size = 8 if known < 4 else 16 if known < 6 else 24
    ruleset = _call(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ_FILE | _READ_DIR)
        for path in writable:
            _allow(ruleset, path, (_READ_FILE | _READ_DIR | _WRITE | _TRUNCATE) & rights)
        forgo_privileges()
        _call(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def forgo_privileges() -> None:
    """Give up the chance that a program which is run has more rights; both filters ask for it first."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # it is not there; whoever reads it says so
        return
    try:
        if not path.is_dir():
            rights &= _READ_FILE
        _call(_ADD, ruleset, _PATH_BENEATH, ctypes.byref(_Beneath(rights, opened)), 0)
    finally:
        os.close(opened)


def _call(*arguments: object) -> int:
    found: int = ctypes.CDLL(None, use_errno=True).syscall(*arguments)
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found
