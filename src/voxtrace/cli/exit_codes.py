"""Exit codes, and the message for each error."""

from __future__ import annotations

from voxtrace.errors import Cancelled, UsageError, VoxTraceError

SOME_FAILED = 1
ABOVE_LIMIT = 1  # of a command that judges
WRONG_USAGE = 2
NOTHING_DONE = 3
INTERRUPTED = 130


def exit_code(error: Exception) -> int:
    """Return the exit code of a command that ends with ``error``."""
    if isinstance(error, Cancelled):
        return INTERRUPTED
    return WRONG_USAGE if isinstance(error, UsageError) else NOTHING_DONE


def error_message(error: Exception) -> str:
    """Return the message for the user, on one line."""
    text = " ".join(str(error).split())
    if isinstance(error, VoxTraceError):
        return text
    if isinstance(error, MemoryError):
        return "out of memory; close other programs or use a machine with more."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}; check the path and its permissions."
    return f"unexpected {type(error).__name__}: {text} This is a fault in VoxTrace: please report what --debug shows."
