"""CancelCheck: stop within a fraction of a second, wherever a run is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import TypeVar

from voxtrace.errors import Cancelled

T = TypeVar("T")
LOOK_EVERY_S = 0.05


class CancelCheck:
    """Called between small pieces of work, from any thread; raises :class:`Cancelled` once ``cancel`` returns true."""

    def __init__(self, cancel: Callable[[], bool] | None = None) -> None:
        self._cancel = cancel
        self.where = "while it was prepared"

    def __call__(self) -> None:
        """Raise where the run is to stop."""
        if self._cancel is not None and self._cancel():
            raise Cancelled(f"stopped {self.where}; nothing was written.")

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items, with a look before each."""
        for item in items:
            self()
            yield item

    def result(self, future: Future[T]) -> T:
        """Return what another thread computes, with a look several times a second.

        Where this stops, the other thread stops at its own next look.
        """
        while self._cancel is not None and not future.done():
            try:
                return future.result(timeout=LOOK_EVERY_S)
            except NotYet:  # or the other thread raised it, which the line below tells
                self()
        return future.result()
