"""How much memory a process and its children hold.

A single process is asked for its resident set and for the kernel's own high-water mark of it. Several processes share
pages (libraries, tensors passed between them); there the proportional set counts, in which a page that n processes map
is an nth in each. Reading it walks the page tables, so it is read five times a second at most, and only where the sum
of resident sets, which it cannot exceed, is above the peak so far.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

PROC = Path("/proc")
BETWEEN_PROPORTIONAL_S = 0.2
_HIGH_WATER = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_PROPORTIONAL = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


class Watch:
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
        self._last_proportional = 0.0
        self.peak_bytes = 0
        self.most_processes = 0

    def sample(self) -> int:
        """Look once; return the peak so far in bytes."""
        resident = self._resident()
        self.most_processes = max(self.most_processes, len(resident))
        if len(resident) == 1:
            (pid, held), *_ = resident.items()
            self._raise_to(max(held, _kilobytes(pid, "status", _HIGH_WATER)))
        elif sum(resident.values()) > self.peak_bytes and self._may_look_closely():
            self._raise_to(
                sum(_kilobytes(pid, "smaps_rollup", _PROPORTIONAL) or held for pid, held in resident.items())
            )
        return self.peak_bytes

    def _raise_to(self, held: int) -> None:
        self.peak_bytes = max(self.peak_bytes, held)

    def _may_look_closely(self) -> bool:
        now = time.monotonic()
        if now - self._last_proportional < BETWEEN_PROPORTIONAL_S:
            return False
        self._last_proportional = now
        return True

    def _resident(self) -> dict[int, int]:
        """Return the resident set in bytes of every living process of the tree."""
        held: dict[int, int] = {}
        with suppress(psutil.Error):
            for process in [self._root, *self._root.children(recursive=True)]:
                with suppress(psutil.Error):
                    held[process.pid] = int(process.memory_info().rss)
        return held


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
