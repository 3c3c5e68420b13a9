"""The events that a job sends to its panel, and the loop that runs a job to its end; no Qt."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

from voxtrace.errors import BundleError, Cancelled, EngineError, InputError, VoxTraceError

PROGRESS_INTERVAL_S = 0.1  # at most ten progress events a second reach the window

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progressed:
    """The job made progress; ``progress`` is what the generator yielded."""

    progress: Any


@dataclass(frozen=True)
class Done:
    """The job is finished; ``result`` is what the generator returned."""

    result: Any


@dataclass(frozen=True)
class Failed:
    """The job raised an error.

    Attributes
    ----------
    sentence
        The message for the user.
    kind
        What would help: ``"memory"``, ``"channels"``, ``"bundle"``, ``"arithmetic"``, ``"runtime"``,
        ``"device"``, or ``""``.
    """

    sentence: str
    kind: str = ""


@dataclass(frozen=True)
class Stopped:
    """The job was cancelled; ``sentence`` says what is left of it."""

    sentence: str = ""


Event = Progressed | Done | Failed | Stopped
Cancel = Callable[[], bool]
Job = Callable[[Cancel], Generator[Any, None, Any]]


class Runner(Protocol):
    """Runs one job at a time; a controller's view of a thread."""

    @property
    def busy(self) -> bool:
        """Whether a job runs whose final event has not been delivered."""
        ...

    def start(self, job: Job, on_event: Callable[[Event], None]) -> None:
        """Start a job; an earlier one is cancelled and its late events are dropped."""
        ...

    def cancel(self) -> None:
        """Ask the job to stop."""
        ...

    def abandon(self) -> None:
        """Ask the job to stop and drop its remaining events."""
        ...


def drain(job: Job, emit: Callable[[Event], None], cancel: Cancel, clock: Callable[[], float] = time.monotonic) -> None:
    """Run a job to its end and emit its events; raises nothing, whatever the job does.

    Progress is thinned to ten events a second; progress with ``keep = True`` is always emitted.
    """
    last_s = -PROGRESS_INTERVAL_S
    try:
        generator = job(cancel)
        while True:
            try:
                progress = next(generator)
            except StopIteration as end:
                emit(Done(end.value))
                return
            if clock() - last_s >= PROGRESS_INTERVAL_S or getattr(progress, "keep", False):
                last_s = clock()
                emit(Progressed(progress))
    except Cancelled as stopped:
        emit(Stopped(str(stopped)))
    except Exception as error:
        if not isinstance(error, VoxTraceError):
            _log.exception("the worker failed")
        emit(Failed(error_message(error), error_kind(error)))


def error_message(error: Exception) -> str:
    """Return the sentence that tells the user about an error."""
    if isinstance(error, VoxTraceError):
        return str(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "The memory of this machine is full. Close other programs, or use a bundle with a smaller window."
    first = str(error).strip().splitlines()[:1]
    return f"Unexpected error ({type(error).__name__}: {first[0] if first else 'no message'})."


def error_kind(error: Exception) -> str:
    """Return what would help against an error, see :class:`Failed`."""
    text = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in text or text.startswith("memory ran out"):
        return "memory"
    if isinstance(error, BundleError):
        return "bundle"
    if isinstance(error, InputError) and "channel" in text:
        return "channels"
    if isinstance(error, EngineError):
        advised = {"precision='float32'": "arithmetic", "runtime='torch'": "runtime", "cuda": "device"}
        return next((kind for words, kind in advised.items() if words in text), "")
    return ""
