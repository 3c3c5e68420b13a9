"""Long work in a thread, told to the window as events.

napari's generator workers swallow every RuntimeError (all of torch's are) and do not run a generator's ``finally`` when
they are quit. So the thread runs a plain function that drains the generator to its end: whatever happens becomes
one event, cancelling is our own flag, and the generator always finishes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QCoreApplication, QEventLoop, QObject, Qt, QThread, Signal

from voxtrace.plugin.work.events import Advanced, Done, Event, Failed, Job, drain, sentence


class _Bell(QObject):
    """Carries calls from a thread into the window's thread."""

    rung = Signal()
    told = Signal(int, object)


class ThreadRunner:
    """Runs jobs in napari's thread pool, so that closing the window asks first and stops them.

    Implements :class:`voxtrace.plugin.work.events.Runner`.
    """

    def __init__(self) -> None:
        self._generation, self._flag = 0, threading.Event()
        self._on_event: Callable[[Event], None] | None = None
        self._bell = _Bell()
        self._bell.told.connect(self._hear, Qt.ConnectionType.QueuedConnection)  # type: ignore[call-arg]

    @property
    def busy(self) -> bool:
        """Whether a job runs whose end has not been told."""
        return self._on_event is not None

    def start(self, job: Job, on_event: Callable[[Event], None]) -> None:
        """Start a job; an earlier one is cancelled and its late answers are dropped."""
        self.cancel()
        self._generation, self._flag, self._on_event = self._generation + 1, threading.Event(), on_event
        generation, flag = self._generation, self._flag
        handle: list[Any] = []  # the worker, once it exists: napari sets its abort flag when the window closes

        def cancelled() -> bool:
            return flag.is_set() or any(worker.abort_requested for worker in handle)

        def tell(event: Event) -> None:
            self._tell(generation, event)

        def work() -> None:
            drain(job, tell, cancelled)

        handle.append(create_worker(work, _start_thread=False, _ignore_errors=True))
        handle[0].start()

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._flag.set()

    def abandon(self) -> None:
        """Ask the job to stop and hear no more of it: its panel is gone."""
        self.cancel()
        self._on_event = None

    def _tell(self, generation: int, event: Event) -> None:
        try:
            self._bell.told.emit(generation, event)
        except RuntimeError:  # the window was closed and Qt's half of the bell is gone
            self._flag.set()

    def _hear(self, generation: int, event: Event) -> None:
        if generation != self._generation or self._on_event is None:
            return  # a late answer of an earlier job
        on_event = self._on_event
        if not isinstance(event, Advanced):
            self._on_event = None
        on_event(event)


def in_background(function: Callable[[], Any], heard: Callable[[Any], None], failed: Callable[[str], None]) -> Any:
    """Run a function in a thread and tell its result, or a sentence about its error, in the window's thread.

    Keep what is returned for as long as the answer is wanted. Closing the window does not wait for the thread.
    """
    bell = _Bell()

    def hear(_: int, event: Event) -> None:
        if isinstance(event, Failed):
            failed(event.sentence)
        elif isinstance(event, Done):
            heard(event.result)

    def work() -> None:
        try:
            event: Event = Done(function())
        except Exception as error:
            event = Failed(sentence(error))
        with suppress(RuntimeError):  # the window was closed and Qt's half of the bell is gone
            bell.told.emit(0, event)

    bell.told.connect(hear, Qt.ConnectionType.QueuedConnection)  # type: ignore[call-arg]
    threading.Thread(target=work, name="voxtrace-look", daemon=True).start()
    return bell


def without_freezing(function: Callable[[], Any]) -> Any:
    """Return what a function returns, while the window goes on painting; mouse and keys wait until it is done.

    Called outside the window's thread, or without one, it just calls the function.
    """
    application = QCoreApplication.instance()
    if application is None or QThread.currentThread() is not application.thread():
        return function()
    loop = QEventLoop()
    answer: list[tuple[Any, Exception | None]] = []

    def work() -> None:
        try:
            answer.append((function(), None))
        except Exception as error:
            answer.append((None, error))
        finally:
            bell.rung.emit()

    bell = _Bell()
    bell.rung.connect(loop.quit, Qt.ConnectionType.QueuedConnection)  # type: ignore[call-arg]
    thread = threading.Thread(target=work, name="voxtrace-read", daemon=True)
    thread.start()
    loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
    thread.join()
    value, error = answer[0]
    if error is not None:
        raise error
    return value
