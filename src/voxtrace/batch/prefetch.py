"""Read ahead: the next case is read in a thread while the one before is predicted, or while torch is loaded.

So is what writing needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from voxtrace.batch.cases import CaseInput
from voxtrace.io import load_writers
from voxtrace.volume import Volume


class CasePrefetcher:
    """Reads at most one case that was not asked for yet."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor
        self._waiting: dict[CaseInput, Future[Volume]] = {}

    def begin(self, cases: Sequence[CaseInput]) -> None:
        """Start to read the first of the cases; what was read before and not asked for is forgotten."""
        wanted = cases[:1]
        for case in [case for case in self._waiting if case not in wanted]:
            del self._waiting[case]
        for case in wanted:
            if case not in self._waiting:
                self._waiting[case] = self._executor.submit(case.read)

    def load_writers(self, path: Path) -> None:
        """Load what writing a file of this name needs, after what is being read."""
        self._executor.submit(load_writers, path)

    def take(self, case: CaseInput) -> Volume:
        """Return a case's volume, or raise what kept it from being read."""
        self.begin([case])
        return self._waiting.pop(case).result()


@contextmanager
def prefetching() -> Iterator[CasePrefetcher]:
    """Yield a reader; in the end a read that nobody waits for is not begun."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="voxtrace-read")
    try:
        yield CasePrefetcher(executor)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
