"""The reader process: it waits for calls on a pipe and answers them on another until the pipe is closed.

On Linux it forks for each call, so that what one file did to the process is gone before the next one is read, and
another patient's files cannot be opened. It waits for its fork, ends it when the time is up or the program that asks
is gone, and says how it died. Nothing of a file is parsed in the waiting process itself. Elsewhere calls run in it one
after another, and it ends itself when the time is up.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import importlib
import mmap
import os
import select
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from voxtrace.io.child.answering import answer, function_of
from voxtrace.io.child.messages import receive, send
from voxtrace.io.child.protection import Protection, confine, protection
from voxtrace.io.child.values import from_text

_HEAVY = ("pydicom", "SimpleITK", "highdicom", "zarr", "h5py")  # imported once a call has needed them, for later calls
_PARENT_DEATH = 1
_BROKEN = 70  # exit code when a fork died within its answer
_LATER_S = 10.0  # who asks ends a call in time, unless it is gone
_MOST = 0  # a call has no arrays


def main() -> None:
    """Answer calls from standard input until it is closed; the argument is an empty folder for temporary files."""
    calls, answers = os.dup(0), os.dup(1)
    for standard in (0, 1):  # what a library prints is no answer
        empty = os.open(os.devnull, os.O_RDWR)
        os.dup2(empty, standard)
        os.close(empty)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asks decides when to stop
    held, scratch = protection(), Path(sys.argv[1])
    tempfile.tempdir = str(scratch)
    send(answers, {"protection": asdict(held)})
    try:
        _serve(calls, answers, held, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _serve(calls: int, answers: int, held: Protection, scratch: Path) -> None:
    with suppress(EOFError, BrokenPipeError):
        while True:
            call, _ = receive(calls, _MOST)
            if held.forks:
                _answer_in_fork(calls, answers, call, held, scratch)
            else:
                faulthandler.dump_traceback_later(
                    call["seconds"] + _LATER_S, exit=True, file=sys.__stderr__ or sys.stderr
                )
                _enter(call)
                answer(answers, call)
                faulthandler.cancel_dump_traceback_later()
            _clear(scratch)


def _answer_in_fork(calls: int, answers: int, call: Mapping[str, Any], held: Protection, scratch: Path) -> None:
    function_of(call)  # imported here, it is imported for all calls
    gc.freeze()
    shared = mmap.mmap(-1, 1 + len(_HEAVY))
    ended, alive = os.pipe()
    fork = os.fork()
    if not fork:
        os.close(calls)
        os.close(ended)
        _run_and_exit(answers, call, held, scratch, shared)
    os.close(alive)  # the other end closes when the fork is gone
    how = _wait(calls, ended, call["seconds"])
    if how != "ended":
        os.kill(fork, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])
    os.close(ended)
    if how == "alone":
        raise EOFError
    if code and shared[0]:
        sys.exit(_BROKEN)
    if code:
        died = "time" if how == "late" else "signal" if code < 0 else "exit"
        send(answers, {"token": call["token"], "died": died, "code": abs(code)})
    for name, needed in zip(_HEAVY, shared[1:], strict=True):
        if needed:
            importlib.import_module(name)


def _wait(calls: int, ended: int, seconds: float) -> str:
    """Wait for a fork; return whether it ``ended``, is ``late``, or nobody asks any more and it is ``alone``."""
    waiting = select.poll()
    waiting.register(ended, select.POLLIN)
    waiting.register(calls, 0)  # only whether it was closed: the next call may come while the fork cleans up
    ready = {pipe for pipe, _ in waiting.poll(seconds * 1000)}
    return "ended" if ended in ready else "alone" if ready else "late"


def _run_and_exit(
    answers: int, call: Mapping[str, Any], held: Protection, scratch: Path, shared: mmap.mmap
) -> NoReturn:
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL, 0, 0, 0)
        _enter(call)
        confine(held, [from_text(one) for one in call["inputs"]], scratch, call["memory"])

        def begin() -> None:
            shared[0] = 1

        answer(answers, call, begin, give_back=True)
        for number, name in enumerate(_HEAVY, start=1):
            shared[number] = name in sys.modules
        code = 0
    finally:
        os._exit(code)


def _enter(call: Mapping[str, Any]) -> None:
    """Go to the folder that relative paths begin in; where it is gone, reading says so."""
    with suppress(OSError):
        os.chdir(from_text(call["folder"]))


def _clear(scratch: Path) -> None:
    """Remove what a call left in the folder for temporary files; make it again where others removed it."""
    scratch.mkdir(0o700, exist_ok=True)
    for left in scratch.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
