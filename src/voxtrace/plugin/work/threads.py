"""Run work in threads and deliver its events in the Qt thread.

napari's generator workers swallow every RuntimeError (all of torch's errors are) and skip a generator's ``finally``
when they are quit. Here the thread runs a plain function that drains the generator to its end, so every outcome
becomes one event, cancelling is a flag of our own, and the generator always finishes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QCoreApplication, QEventLoop, QObject, Qt, QThread, Signal

from voxtrace.plugin.models.messages import WAITING
from voxtrace.plugin.work.events import Cancel, Done, Event, Failed, Job, Progressed, Stopped, drain, error_message

WAIT_S = 0.05  # between two looks whether an earlier job has ended
SAY_AFTER = 10  # looks


_log = logging.getLogger(__name__)


class _Signals(QObject):
    """Qt signals that carry a call from a worker thread into the Qt thread."""

    finished = Signal()
    event_sent = Signal(int, object)


class ThreadRunner:
    """Runs jobs in napari's thread pool, so that closing the window asks first and stops them.

    Two jobs never overlap: a job waits in its thread until the one that was cancelled before it has ended. Runners with
    the same ``turn`` wait for one another likewise.

    Implements :class:`voxtrace.plugin.work.events.Runner`.
    """

    def __init__(self, turn: threading.Lock | None = None) -> None:
        self._generation, self._flag, self._turn = 0, threading.Event(), turn or threading.Lock()
        self._receiver: Callable[[Event], None] | None = None
        self._signals = _Signals()
        self._signals.event_sent.connect(self._on_event, Qt.ConnectionType.QueuedConnection)  # type: ignore[call-arg]

    @property
    def busy(self) -> bool:
        """Whether a job runs whose final event has not been delivered."""
        return self._receiver is not None

    def start(self, job: Job, on_event: Callable[[Event], None]) -> None:
        """Start a job; an earlier one is cancelled and its late events are dropped."""
        self.cancel()
        self._generation, self._flag, self._receiver = self._generation + 1, threading.Event(), on_event
        generation, flag = self._generation, self._flag
        handle: list[Any] = []  # the worker, once it exists: napari sets its abort flag when the window closes

        def cancelled() -> bool:
            return flag.is_set() or any(worker.abort_requested for worker in handle)

        def emit(event: Event) -> None:
            self._emit(generation, event)

        def work() -> None:
            if not self._take_turn(emit, cancelled):
                emit(Stopped())
                return
            try:
                drain(job, emit, cancelled)
            finally:
                self._turn.release()

        handle.append(create_worker(work, _start_thread=False, _ignore_errors=True))
        handle[0].start()

    def _take_turn(self, emit: Callable[[Event], None], cancelled: Cancel) -> bool:
        """Wait until no earlier job runs; return False where this one is cancelled meanwhile."""
        if self._turn.acquire(blocking=False):
            return True
        for look in count(1):
            if self._turn.acquire(timeout=WAIT_S):
                return True
            if look == SAY_AFTER:
                emit(Progressed(WAITING))
            if cancelled():
                break
        return False

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._flag.set()

    def abandon(self) -> None:
        """Ask the job to stop and drop its remaining events; the panel was destroyed."""
        self.cancel()
        self._receiver = None

    def _emit(self, generation: int, event: Event) -> None:
        try:
            self._signals.event_sent.emit(generation, event)
        except RuntimeError:  # the window was closed and Qt deleted the signals' C++ object
            self._flag.set()

    def _on_event(self, generation: int, event: Event) -> None:
        if generation != self._generation or self._receiver is None:
            return  # a late event of an earlier job
        receiver = self._receiver
        if not isinstance(event, Progressed):
            self._receiver = None
        receiver(event)


class LatestInBackground:
    """Runs functions in threads and passes on the result of the latest call alone; errors are logged."""

    def __init__(self) -> None:
        self._generation = 0
        self._signals: Any = None

    def __call__(self, function: Callable[[], Any], on_result: Callable[[Any], None]) -> None:
        """Run a function in a thread; ``on_result`` gets its result in the Qt thread."""
        self._generation += 1
        generation = self._generation

        def deliver(result: Any) -> None:
            if generation == self._generation:
                on_result(result)

        self._signals = in_background(function, deliver, lambda sentence: _log.warning("%s", sentence))

    def close(self) -> None:
        """Drop what is still to come."""
        self._generation += 1


def in_background(
    function: Callable[[], Any], on_result: Callable[[Any], None], on_error: Callable[[str], None]
) -> Any:
    """Run a function in a thread and pass its result, or a sentence about its error, to a callback in the Qt thread.

    Keep the returned object for as long as the result is wanted. Closing the window does not wait for the thread.
    """
    signals = _Signals()

    def on_event(_: int, event: Event) -> None:
        if isinstance(event, Failed):
            on_error(event.sentence)
        elif isinstance(event, Done):
            on_result(event.result)

    def work() -> None:
        try:
            event: Event = Done(function())
        except Exception as error:
            event = Failed(error_message(error))
        with suppress(RuntimeError):  # the window was closed and Qt deleted the signals' C++ object
            signals.event_sent.emit(0, event)

    signals.event_sent.connect(on_event, Qt.ConnectionType.QueuedConnection)  # type: ignore[call-arg]
    threading.Thread(target=work, name="voxtrace-background", daemon=True).start()
    return signals


def without_freezing(function: Callable[[], Any]) -> Any:
    """Return a function's result while the window keeps painting; mouse and keyboard input wait until it is done.

    Called outside the Qt thread, or without a Qt application, it just calls the function.
    """
    application = QCoreApplication.instance()
    if application is None or QThread.currentThread() is not application.thread():
        return function()
    loop = QEventLoop()
    outcome: list[tuple[Any, Exception | None]] = []

    def work() -> None:
        try:
            outcome.append((function(), None))
        except Exception as error:
            outcome.append((None, error))
        finally:
            signals.finished.emit()

    signals = _Signals()
    signals.finished.connect(loop.quit, Qt.ConnectionType.QueuedConnection)  # type: ignore[call-arg]
    thread = threading.Thread(target=work, name="voxtrace-read", daemon=True)
    thread.start()
    loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
    thread.join()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value
