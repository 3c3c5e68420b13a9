"""A call and its answer: an idle reader process is asked, or a new one; a file that ends it is one failed call."""

from __future__ import annotations

import atexit
import importlib
import os
import signal
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxtrace import errors
from voxtrace.errors import ReadError, VoxTraceError
from voxtrace.io.child.inputs import Allowed, allowed_for
from voxtrace.io.child.process import SWITCH, LostAnswerError, ReaderProcess
from voxtrace.io.child.protection import Protection
from voxtrace.io.child.values import decoded, paths_in
from voxtrace.volume import Array

_MOST_IDLE = 2
_KILLED = 9
_idle: list[ReaderProcess] = []
_idle_heavy: list[ReaderProcess] = []
_started: weakref.WeakSet[ReaderProcess] = weakref.WeakSet()
_busy: dict[int, ReaderProcess] = {}  # by the thread that waits for an answer
_lock = threading.Lock()


def reads_in_process() -> bool:
    """Return whether the user switched reader processes off, by ``VOXTRACE_READ_IN_PROCESS=1``."""
    return os.environ.get(SWITCH, "") not in ("", "0")


def call(function: str, arguments: Sequence[Any], paths: Sequence[Path], *, heavy: bool = False) -> Any:
    """Return what a function returns that runs in a reader process.

    Parameters
    ----------
    function
        ``module:function``.
    arguments
        Plain values, paths and what :mod:`.values` knows.
    paths
        The files and folders it reads; it can open no others.
    heavy
        Whether the function needs a heavy import: it gets another process than the others.

    Raises
    ------
    ReadError
        When the call ended its process, took too long or too much memory, or met anything unexpected in the file.
    VoxTraceError
        What the function raises, as the same class with the same message.
    """
    if reads_in_process():
        module, _, name = function.partition(":")
        return getattr(importlib.import_module(module), name)(*arguments)
    allowed = allowed_for(paths)
    named = " and ".join(map(str, paths[:1])) or "the file"
    for _ in range(2):
        try:
            with _reader(_idle_heavy if heavy else _idle) as reader:
                answer, arrays = reader.ask(function, arguments, allowed)
            return _value(answer, arrays, named, allowed)
        except LostAnswerError:  # a new process has nothing of the calls before
            continue
    raise ReadError(f"{named} cannot be read: the process that reads it gives no answer of its own; run it again.")


def protection_here() -> Protection | None:
    """Return what holds for reader processes; None where they are switched off."""
    if reads_in_process():
        return None
    with _reader(_idle) as reader:
        return reader.protection


@contextmanager
def _reader(idle: list[ReaderProcess]) -> Iterator[ReaderProcess]:
    with _lock:
        reader = idle.pop() if idle else None
    if reader is None or not reader.is_alive:
        if reader is not None:
            reader.kill()
        reader = ReaderProcess()
        _started.add(reader)
    _busy[threading.get_ident()] = reader
    try:
        yield reader
    finally:
        del _busy[threading.get_ident()]
        with _lock:
            kept = reader.is_alive and len(idle) < _MOST_IDLE
            if kept:
                idle.append(reader)
        if not kept:
            reader.close()


def stop_reads(threads: Iterable[int]) -> None:
    """End the calls that these threads wait for, by their numbers; they raise :class:`Cancelled`."""
    for thread in threads:
        if (reader := _busy.get(thread)) is not None:
            reader.stop()


def end_readers() -> None:
    """End all idle reader processes; the next call starts one."""
    with _lock:
        ending = [*_idle, *_idle_heavy]
        _idle.clear()
        _idle_heavy.clear()
    for reader in ending:
        reader.close()


def _forget() -> None:
    """Leave the processes to the program of which this one is a fork."""
    global _lock  # noqa: PLW0603 - a thread that is not in the fork may hold it
    _lock = threading.Lock()
    for reader in tuple(_started):
        reader.forget()
    _started.clear()
    _busy.clear()
    _idle.clear()
    _idle_heavy.clear()


def _value(answer: Mapping[str, Any], arrays: Sequence[Array], named: str, allowed: Allowed) -> Any:
    if "error" in answer:
        raise _class(answer["error"])(str(answer.get("message")))
    if "value" not in answer:
        raise ReadError(f"{named} cannot be read: {_reason(answer, allowed)}")
    try:
        _check_paths(paths_in(answer["value"]), allowed)
        return decoded(answer["value"], arrays)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, VoxTraceError) as error:
        raise ReadError(
            f"{named} cannot be read: the process that reads it answered with something else ({error!r}). The file may "
            "be made to do harm; do not open it in other programs."
        ) from error


def _check_paths(found: Iterable[Path], allowed: Allowed) -> None:
    """Refuse an answer with paths elsewhere than the call could look: later calls would look there."""
    places = {place for path in allowed.paths for place in (path, path.resolve())}
    for folder in {Path(os.path.normpath(path.absolute())) for path in found}:
        if places.isdisjoint((folder, *folder.parents)):
            raise ValueError("a path that is none of its inputs")


def _class(name: Any) -> type[VoxTraceError]:
    found = getattr(errors, str(name), None)
    return found if isinstance(found, type) and issubclass(found, VoxTraceError) else ReadError


def _reason(answer: Mapping[str, Any], allowed: Allowed) -> str:
    """Return why a call has no value, and what to do."""
    trusted = f"If you trust the file, {SWITCH}=1 reads it without limits"
    if "fault" in answer:
        return f"{answer['fault']}. It is damaged, or of a kind that was not met before; copy or export it again."
    if answer.get("died") == "time":
        return f"it took longer than {allowed.seconds:.0f} s, and was stopped. {trusted}."
    if answer.get("died") == "memory":
        limit = f"{allowed.memory / (1 << 30):.1f} GiB"
        return f"it needs more than {limit} of memory, the limit for its size and for what is free. {trusted}."
    if answer.get("code") == _KILLED and answer.get("died") == "signal":
        return "the system stopped it, most likely because memory ran out; close other programs, and run it again."
    return (
        f"reading it crashed ({_died(answer)}) in a process of its own, and nothing else was harmed. "
        "It is damaged or was made to do harm; copy or export it again."
    )


def _died(answer: Mapping[str, Any]) -> str:
    code = answer.get("code")
    if answer.get("died") != "signal" or not isinstance(code, int):
        return f"exit code {code}"
    try:
        return signal.Signals(code).name
    except ValueError:
        return f"signal {code}"


atexit.register(end_readers)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
