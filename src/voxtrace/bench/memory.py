"""How much memory a process and its children hold.

Of a single process the resident set and the kernel's high-water mark are read. Several processes share pages
(libraries, tensors passed between them); there the proportional set size (PSS) counts: of a page that n processes map,
each holds an nth. Reading it walks the page tables, so at most a twentieth of the time is spent on it, and only where
the sum of resident sets, its upper bound, is above the peak so far.
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
TIME_FRACTION = 0.05  # that reading proportional sets may take
_HIGH_WATER = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_PROPORTIONAL = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


class PeakMemory:
    """The peak memory of a process tree, updated by every :meth:`sample`.

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
        """Measure once; return the peak so far in bytes."""
        resident = self._resident()
        self.most_processes = max(self.most_processes, len(resident))
        if len(resident) == 1:
            (pid, held), *_ = resident.items()
            self._raise_to(max(held, _kilobytes(pid, "status", _HIGH_WATER)))
        elif sum(resident.values()) > self.peak_bytes and time.monotonic() >= self._not_before:
            self._raise_to(self._proportional(resident))
        return self.peak_bytes

    def _proportional(self, resident: dict[int, int]) -> int:
        """Return the sum of proportional sets in bytes, or of resident sets on systems without them."""
        began = time.monotonic()
        held = sum(_kilobytes(pid, "smaps_rollup", _PROPORTIONAL) or own for pid, own in resident.items())
        ended = time.monotonic()
        self._not_before = ended + (ended - began) / TIME_FRACTION
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
    """Return all descendants of a process."""
    # Linux lists the children of each thread. psutil scans every process of the machine, which takes milliseconds of
    # a core that the measured process could use.
    if not CHILDREN.exists():
        return list(root.children(recursive=True))
    found, waiting = [], [root.pid]
    for pid in waiting:  # grows while it is read: breadth first
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
    except OSError:  # the process has ended
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
    """Return a size from a file of /proc in bytes; 0 where the file is missing (other systems, ended process)."""
    try:
        found = pattern.search((PROC / str(pid) / file).read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
