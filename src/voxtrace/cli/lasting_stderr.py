"""Standard error that may be closed, full or a terminal that is gone: messages are lost then, the work is not."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

_DESCRIPTORS = 3


class LastingStream:
    """A text stream for messages whose errors of writing end nothing; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self.failed = stream, False

    def write(self, text: str) -> int:
        """Write a text, if that is possible."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # of a full disk, of a closed stream
            self.failed = True
            return len(text)

    def flush(self) -> None:
        """Flush the stream, if that is possible."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self.failed = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def lasting_stderr() -> Iterator[None]:
    """Let the block run to its end whatever standard error is; one that is closed is replaced by nothing.

    Without this, the first file that is opened would be what native code takes for standard error.
    """
    for number in range(_DESCRIPTORS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    before = sys.stderr
    lasting = LastingStream(before or io.StringIO())
    sys.stderr = lasting
    try:
        yield
    finally:
        # one that failed stays, since the interpreter flushes standard error at its end and would exit with 120
        if not lasting.failed and before is not None:
            sys.stderr = before
