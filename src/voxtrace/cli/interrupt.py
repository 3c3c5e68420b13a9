"""Stop on Ctrl-C, on SIGTERM from a cluster's scheduler, or when the terminal is closed (SIGHUP)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_STDERR = 2


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether to stop; a second signal stops immediately.

    Long work calls the function between its parts, so finished parts are kept and unfinished ones leave nothing behind.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        with suppress(OSError):  # the terminal may be gone
            os.write(_STDERR, b"\nstopping after the current part; press Ctrl-C again to stop at once.\n")

    previous = {number: signal.signal(number, note) for number in _stopping()}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _stopping() -> list[int]:
    """Return the signals to stop on; SIGHUP only where nohup has not switched it off."""
    hangups = [number for name in ("SIGHUP",) if (number := getattr(signal, name, None)) is not None]  # not on Windows
    wanted = [number for number in hangups if signal.getsignal(number) is not signal.SIG_IGN]
    return [signal.SIGINT, signal.SIGTERM, *wanted]


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that its child processes end with it."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
