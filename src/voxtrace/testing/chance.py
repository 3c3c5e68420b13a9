"""Random numbers that depend on a seed and on nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def chance(seed: int = 0) -> torch.Generator:
    """Return a generator for ``torch.randn(..., generator=chance())``."""
    return torch.Generator().manual_seed(seed)


@contextmanager
def drawn(seed: int = 0) -> Iterator[None]:
    """Let modules draw their weights from ``seed``; the random state of the process is the same before and after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
