"""The thread pool of all kernels: one compiled loop, split over as many threads as torch uses.

numba's own parallel loops are not used: which of its threading layers exists depends on the machine, and the one that
always exists may not be entered by two threads at once, as two predictions in one program would do.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch

# More chunks than threads, so that a thread that is held up leaves its chunks to the others.
CHUNKS_PER_THREAD = 8
# Array elements below which starting a second thread costs more than it saves.
LEAST_VALUES = 1 << 16


def parallel_for(loop: Callable[..., None], tasks: int, *arguments: Any, values: int = LEAST_VALUES) -> None:
    """Run ``loop(begin, end, *arguments)`` over 0 ≤ task < ``tasks``, in chunks, on as many threads as torch uses.

    ``loop`` releases the interpreter's lock and writes each task's result to a place of its own, so that the result
    does not depend on the chunks. It runs in one piece where fewer than ``LEAST_VALUES`` ``values`` are touched.
    """
    threads = torch.get_num_threads()
    if threads == 1 or tasks <= 1 or values < LEAST_VALUES:
        loop(0, tasks, *arguments)
        return
    size = -(-tasks // (threads * CHUNKS_PER_THREAD))
    # Every thread takes the next chunk from one iterator; advancing it is atomic.
    begins = iter(range(0, tasks, size))

    def work() -> None:
        for begin in begins:
            loop(begin, min(begin + size, tasks), *arguments)

    helpers = [_pool(threads).submit(work) for _ in range(threads - 1)]
    work()
    for helper in helpers:
        # A helper that has not started has nothing left to do; waiting for it would wait for other callers' loops.
        if not helper.cancel():
            helper.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="voxtrace-kernels")
