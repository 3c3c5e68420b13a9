"""Which groups of kernels are switched off on this machine; kept in the user's configuration folder.

Everything is on unless ``kernels.json`` there says otherwise::

    {"disabled": ["winograd"]}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import platformdirs

from voxtrace.atomic import atomic_file
from voxtrace.errors import UsageError
from voxtrace.safe_text import read_json

GROUPS = ("winograd", "sparse", "voxelwise")
_left_out: ContextVar[tuple[str, ...]] = ContextVar("left_out", default=())


def user_file() -> Path:
    """Return the file in the user's configuration folder, ``~/.config/voxtrace/kernels.json`` on Linux."""
    return platformdirs.user_config_path("voxtrace", appauthor=False) / "kernels.json"


def disabled() -> tuple[str, ...]:
    """Return the groups that are switched off, in the order of ``GROUPS``; none if the file is missing or damaged."""
    try:
        stored = read_json(user_file())["disabled"]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return tuple(group for group in GROUPS if isinstance(stored, list) and group in stored)


def is_enabled(group: str) -> bool:
    """Tell whether a group of kernels may be used on this machine, here and now."""
    return group not in _left_out.get() and group not in disabled()


@contextmanager
def without(*groups: str) -> Iterator[None]:
    """Leave groups of kernels out while a block runs, in this thread; nothing is kept.

    They are compiled when an environment first uses them, which takes longer than a short run without them.
    """
    token = _left_out.set((*_left_out.get(), *groups))
    try:
        yield
    finally:
        _left_out.reset(token)


def switch(enable: Iterable[str] = (), disable: Iterable[str] = ()) -> tuple[str, ...]:
    """Switch groups on and off, write the file, and return the groups that are now off.

    Raises
    ------
    UsageError
        A group that does not exist, or one that is both switched on and off.
    OutputError
        The file cannot be written.
    """
    on, off = set(enable), set(disable)
    for group in sorted(on | off):
        if group not in GROUPS:
            raise UsageError(f"kernels {group!r} are unknown; use one of {', '.join(map(repr, GROUPS))}.")
        if group in on & off:
            raise UsageError(f"kernels {group!r} are both enabled and disabled; use one of the two options.")
    now_off = tuple(group for group in GROUPS if group in (set(disabled()) | off) - on)
    with atomic_file(user_file()) as temporary:
        temporary.write_text(json.dumps({"disabled": list(now_off)}) + "\n", "utf-8")
    return now_off
