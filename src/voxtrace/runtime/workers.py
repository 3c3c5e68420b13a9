"""Threads that share the tasks of a compiled loop.

numba's own parallel loops are left out: which of its threading layers is there depends on the machine, and the one
that always is may not be entered by two threads at once, as two windows of one program would.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch

CHUNKS_PER_THREAD = 8  # so that a thread that is held up leaves its share to the others


def share(loop: Callable[..., None], tasks: int, *arguments: Any) -> None:
    """Run ``loop(begin, end, *arguments)`` over 0 ≤ task < ``tasks`` on as many threads as torch uses."""
    threads = torch.get_num_threads()
    if threads == 1 or tasks == 1:
        loop(0, tasks, *arguments)
        return
    size = -(-tasks // (threads * CHUNKS_PER_THREAD))
    begins = iter(range(0, tasks, size))  # whoever is free takes the next; taking is atomic

    def work() -> None:
        for begin in begins:
            loop(begin, min(begin + size, tasks), *arguments)

    others = [_pool(threads).submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="voxtrace-kernels")
