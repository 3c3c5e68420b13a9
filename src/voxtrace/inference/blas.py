"""BLAS on one thread while volumes are segmented.

Planes are made beside the network; OpenBLAS' other threads would wait for the next one in a loop, on the network's
cores. The limit holds for the whole process, so whoever segments at the same time shares it, and the last one lifts it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


class OneThread:
    """A limit that begins with the first block that asks for it and ends with the last."""

    def __init__(self) -> None:
        self._lock, self._blocks = threading.Lock(), 0
        self._limit: threadpool_limits | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep BLAS to one thread in the block."""
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


one_thread = OneThread()
