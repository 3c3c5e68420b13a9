"""How many processors a container may use: Linux's control groups, which torch does not look at.

torch counts the processors that a process may run on. A container with a quota of 2 on a machine of 64 would get 64
threads, which the system stops again and again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import torch

GROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def keep_to_quota(groups: Path = GROUPS, own: Path = OWN) -> None:
    """Let torch, and what asks it, use no more threads than the quota has processors; what the user has set stays."""
    if "OMP_NUM_THREADS" in os.environ:
        return
    quota = processors_in_quota(groups, own)
    if quota is not None and quota < torch.get_num_threads():
        torch.set_num_threads(quota)


def processors_in_quota(groups: Path = GROUPS, own: Path = OWN) -> int | None:
    """Return the smallest quota of this process's group and those above, in processors, rounded up; None for none.

    ``groups`` is where the groups are mounted, ``own`` the file that names this process's.
    """
    found = [quota for folder in _folders(groups, own) if (quota := _quota(folder)) is not None]
    return max(1, math.ceil(min(found))) if found else None


def _folders(groups: Path, own: Path) -> Iterator[Path]:
    """Yield the folders of this process's groups up to the root; inside a container the root itself is its group."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    for line in lines:
        _, controllers, place = [*line.split(":", 2), "", ""][:3]
        if not controllers or "cpu" in controllers.split(","):
            root = groups / "cpu" if controllers else groups
            inside = root / place.strip("/")
            yield from (folder for folder in (inside, *inside.parents) if folder.is_relative_to(root))


def _quota(folder: Path) -> float | None:
    """Return the quota of a group in processors, in either version's files; None where it has none."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="utf-8")
            period = (folder / "cpu.cfs_period_us").read_text(encoding="utf-8")
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max" is none
        return None
