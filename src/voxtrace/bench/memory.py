"""How much memory a process and its children hold.

A single process is asked for its resident set and for the kernel's own high-water mark of it. Several processes share
pages (libraries, tensors passed between them); there the proportional set counts, in which a page that n processes map
is an nth in each. Reading it walks the page tables, so it may take a twentieth of the time at most, and is read only
where the sum of resident sets, which it cannot exceed, is above the peak so far.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

PROC = Path("/proc")
CHILDREN = PROC / "thread-self" / "children"
SHARE_OF_TIME = 0.05  # that reading proportional sets may take
_HIGH_WATER = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_PROPORTIONAL = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


class PeakMemory:
    """The peak memory of a process tree, brought up to date by every :meth:`sample`.

    Attributes
    ----------
    peak_bytes
        High-water mark of the memory that the tree held at once.
    most_processes
        Processes alive at once.
    """

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._not_before = 0.0
        self.peak_bytes = 0
        self.most_processes = 0

    def sample(self) -> int:
        """Look once; return the peak so far in bytes."""
        resident = self._resident()
        self.most_processes = max(self.most_processes, len(resident))
        if len(resident) == 1:
            (pid, held), *_ = resident.items()
            self._raise_to(max(held, _kilobytes(pid, "status", _HIGH_WATER)))
        elif sum(resident.values()) > self.peak_bytes and time.monotonic() >= self._not_before:
            self._raise_to(self._proportional(resident))
        return self.peak_bytes

    def _proportional(self, resident: dict[int, int]) -> int:
        """Return the sum of proportional sets in bytes, or of resident sets where there is no such thing."""
        began = time.monotonic()
        held = sum(_kilobytes(pid, "smaps_rollup", _PROPORTIONAL) or own for pid, own in resident.items())
        ended = time.monotonic()
        self._not_before = ended + (ended - began) / SHARE_OF_TIME
        return held

    def _raise_to(self, held: int) -> None:
        self.peak_bytes = max(self.peak_bytes, held)

    def _resident(self) -> dict[int, int]:
        """Return the resident set in bytes of every living process of the tree."""
        held: dict[int, int] = {}
        with suppress(psutil.Error):
            for process in [self._root, *_below(self._root)]:
                with suppress(psutil.Error):
                    held[process.pid] = int(process.memory_info().rss)
        return held


def _below(root: Any) -> list[Any]:
    """Return the processes below one.

    Linux keeps a list of each thread's children. Looking through all processes of the machine, as psutil does, takes
    milliseconds of a core that the process which is measured could use.
    """
    if not CHILDREN.exists():
        return list(root.children(recursive=True))
    found, waiting = [], [root.pid]
    for pid in waiting:  # which grows
        for task in _children_lists(pid):
            with suppress(OSError):
                waiting += map(int, task.read_text().split())
    for pid in waiting[1:]:
        with suppress(psutil.Error):
            found.append(psutil.Process(pid))
    return found


def _children_lists(pid: int) -> list[Path]:
    try:
        return [task / "children" for task in (PROC / str(pid) / "task").iterdir()]
    except OSError:  # it has ended
        return []


def kill_tree(pid: int) -> None:
    """End a process and all its children."""
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        tree: list[Any] = [*root.children(recursive=True), root]
        for process in tree:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(tree, timeout=10)


def _kilobytes(pid: int, file: str, pattern: re.Pattern[str]) -> int:
    """Return what the kernel says in /proc, in bytes; 0 where there is no such file (other systems, dead process)."""
    try:
        found = pattern.search((PROC / str(pid) / file).read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
