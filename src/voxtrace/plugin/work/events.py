"""What long work tells the window, and how it is run to its end; knows no toolkit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

from voxtrace.errors import Cancelled, VoxTraceError

EVERY_S = 0.1  # at most ten pieces of progress a second reach the window
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Advanced:
    """The work went on; ``progress`` is what the generator yielded."""

    progress: Any


@dataclass(frozen=True)
class Done:
    """The work is finished; ``result`` is what the generator returned."""

    result: Any


@dataclass(frozen=True)
class Failed:
    """The work broke; ``sentence`` says why, in words for the user."""

    sentence: str


@dataclass(frozen=True)
class Stopped:
    """The work ended because it was asked to; ``sentence`` says what is left of it."""

    sentence: str = ""


Event = Advanced | Done | Failed | Stopped
Cancel = Callable[[], bool]
Job = Callable[[Cancel], Generator[Any, None, Any]]


class Runner(Protocol):
    """Runs one job at a time; a controller's view of a thread."""

    @property
    def busy(self) -> bool:
        """Whether a job runs whose end has not been told."""
        ...

    def start(self, job: Job, on_event: Callable[[Event], None]) -> None:
        """Start a job; an earlier one is cancelled and its late answers are dropped."""
        ...

    def cancel(self) -> None:
        """Ask the job to stop."""
        ...

    def abandon(self) -> None:
        """Ask the job to stop and hear no more of it."""
        ...


def drain(job: Job, emit: Callable[[Event], None], cancel: Cancel, clock: Callable[[], float] = time.monotonic) -> None:
    """Run a job to its end and tell what happens; raises nothing, whatever the job does.

    Progress is thinned to ten a second; progress with ``keep = True`` always goes through.
    """
    told = -EVERY_S
    try:
        generator = job(cancel)
        while True:
            try:
                progress = next(generator)
            except StopIteration as end:
                emit(Done(end.value))
                return
            if clock() - told >= EVERY_S or getattr(progress, "keep", False):
                told = clock()
                emit(Advanced(progress))
    except Cancelled as stopped:
        emit(Stopped(str(stopped)))
    except Exception as error:
        if not isinstance(error, VoxTraceError):
            _log.exception("the worker failed")
        emit(Failed(sentence(error)))


def sentence(error: Exception) -> str:
    """Return what to tell the user about an error."""
    if isinstance(error, VoxTraceError):
        return str(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "The memory of this machine is full. Close other programs, or use a bundle with a smaller window."
    first = str(error).strip().splitlines()[:1]
    return f"Something unforeseen went wrong ({type(error).__name__}: {first[0] if first else 'no message'})."
