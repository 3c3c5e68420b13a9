"""BLAS on one thread while volumes are segmented.

Planes are prepared beside the network; the other threads of OpenBLAS would wait for the next one in a busy loop, on
the network's cores. The limit holds for the whole process, so predictions that run at the same time share it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


class SingleThreadedBlas:
    """A limit that begins with the first block that asks for it and ends with the last."""

    def __init__(self) -> None:
        self._lock, self._blocks = threading.Lock(), 0
        self._limit: threadpool_limits | None = None

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Limit BLAS to one thread in the block."""
        with self._lock:
            if self._blocks == 0:
                self._limit = threadpool_limits(1, user_api="blas")
            self._blocks += 1
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                if self._blocks == 0 and self._limit is not None:
                    self._limit.restore_original_limits()
                    self._limit = None


single_threaded_blas = SingleThreadedBlas()
