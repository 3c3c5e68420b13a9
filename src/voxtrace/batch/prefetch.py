"""Prefetch: a thread reads the next case while one is predicted or torch is imported, and loads what writing needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxtrace.batch.cases import CaseInput
from voxtrace.batch.sources import describe_sources
from voxtrace.io import load_writers
from voxtrace.io.child.readers import stop_reads
from voxtrace.volume import Volume


class CasePrefetcher:
    """Reads at most one case in advance."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor
        self._waiting: dict[CaseInput, Future[Volume]] = {}
        self._sources: Future[list[dict[str, Any]]] | None = None

    def begin(self, cases: Sequence[CaseInput]) -> None:
        """Start reading the first of the cases; a case read earlier and not taken is dropped."""
        wanted = cases[:1]
        # a volume takes hundreds of megabytes: at most one is held
        for case in [case for case in self._waiting if case not in wanted]:
            del self._waiting[case]
        for case in wanted:
            if case not in self._waiting:
                self._waiting[case] = self._executor.submit(case.read)

    def load_writers(self, path: Path) -> None:
        """Import what writing a file of this name needs, after the case that is being read."""
        self._executor.submit(load_writers, path)

    def take(self, case: CaseInput) -> Volume:
        """Return a case's volume, waiting for it if necessary; raise the error of reading it."""
        self.begin([case])
        volume = self._waiting.pop(case).result()
        # the files are still in the system's cache, and the network runs meanwhile
        self._sources = self._executor.submit(describe_sources, case)
        return volume

    def sources(self) -> list[dict[str, Any]]:
        """Return what the files of the case taken last are like; empty where they are gone by now."""
        try:
            return self._sources.result() if self._sources is not None else []
        except OSError:
            return []


@contextmanager
def prefetching() -> Iterator[CasePrefetcher]:
    """Yield a prefetcher; reads that have not begun at the end of the block are cancelled."""
    threads: list[int] = []
    executor = ThreadPoolExecutor(
        1, thread_name_prefix="voxtrace-read", initializer=lambda: threads.append(threading.get_ident())
    )
    try:
        yield CasePrefetcher(executor)
    except BaseException:
        stop_reads(threads)  # nobody waits for a file that may take long
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
