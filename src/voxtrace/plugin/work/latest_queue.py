"""Run the latest request of each kind in one thread; one that was not begun is replaced by the next of its kind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal

from voxtrace.errors import Cancelled
from voxtrace.plugin.work.latest import Work

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Request:
    function: Work
    on_result: Callable[[Any], None]
    generation: int


class _ResultSignals(QObject):
    ready = Signal(object, object)


class LatestQueue:
    """A thread that lives only while there is work; results come in the Qt thread.

    Implements :class:`voxtrace.plugin.work.latest.Latest`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, _Request] = {}
        self._running, self._generation = False, 0
        self._signals = _ResultSignals()
        self._signals.ready.connect(self._deliver, Qt.ConnectionType.QueuedConnection)  # type: ignore[call-arg]

    @property
    def busy(self) -> bool:
        """Whether a request is waiting or running."""
        with self._lock:
            return self._running

    def submit(self, key: str, function: Work, on_result: Callable[[Any], None]) -> None:
        """Run a function later; one of the same key that was not begun is dropped."""
        with self._lock:
            self._waiting[key] = _Request(function, on_result, self._generation)
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._work, name="voxtrace-rulers", daemon=True).start()

    def clear(self) -> None:
        """Drop every request and every result that was not delivered."""
        with self._lock:
            self._waiting.clear()
            self._generation += 1

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                request = self._waiting.pop(next(iter(self._waiting)))
            self._run(request)

    def _run(self, request: _Request) -> None:
        try:
            result = request.function(lambda: request.generation != self._generation)
        except Cancelled:
            return
        except Exception:
            # Nothing waits for the answer: the ruler keeps what it showed, and the log says why.
            _log.exception("the rulers could not compute a part")
            return
        with suppress(RuntimeError):  # the window was closed and Qt deleted the signals' C++ object
            self._signals.ready.emit(request, result)

    def _deliver(self, request: _Request, result: Any) -> None:
        if request.generation == self._generation:
            request.on_result(result)
