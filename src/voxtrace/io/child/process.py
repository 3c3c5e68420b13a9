"""One reader process: started, asked, ended."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from voxtrace.errors import Cancelled, ReadError
from voxtrace.io.child.inputs import Allowed
from voxtrace.io.child.messages import BrokenMessageError, receive, send
from voxtrace.io.child.protection import Protection
from voxtrace.io.child.values import as_text, encoded
from voxtrace.volume import Array

SWITCH = "VOXTRACE_READ_IN_PROCESS"
_MARGIN_S = 10.0  # a reader process that forks ends a call in time itself
_PIPE_BYTES = 1 << 18
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # a process with threads must not fork
_GONE = (EOFError, BrokenMessageError, OSError)

log = logging.getLogger(__name__)


class LostAnswerError(Exception):
    """No answer to this call came, for which its files are not to blame."""


class ReaderProcess:
    """A process that runs reading functions; one call at a time.

    Raises
    ------
    ReadError
        When it cannot be started.
    """

    def __init__(self) -> None:
        try:
            self._scratch = tempfile.mkdtemp(prefix="voxtrace-read-")
            self._process = _start(self._scratch)
        except OSError as error:
            raise _not_started(str(error)) from error
        try:
            self._calls, self._answers = _pipes(self._process)
            document, _ = receive(self._answers, 0)
            self.protection = Protection(**document["protection"])
        except (*_GONE, KeyError, TypeError) as error:
            self.kill()
            raise _not_started(f"it ended with exit code {self._process.returncode}") from error
        log.debug("files are read %s", self.protection.sentence)

    def ask(self, function: str, arguments: Sequence[Any], allowed: Allowed) -> tuple[dict[str, Any], list[Array]]:
        """Return the answer to a call; ``{"died": …}`` where the process ended before one came.

        Raises
        ------
        LostAnswerError
            When what came belongs to an earlier call, or the process was gone before this one. It is ended.
        Cancelled
            When another thread called :meth:`stop`.
        """
        token = secrets.token_hex(8)
        call = {
            "function": function,
            "arguments": encoded(tuple(arguments), []),
            "token": token,
            "folder": _folder(),
            "inputs": [as_text(path) for path in allowed.paths],
            "memory": allowed.memory,
            "seconds": allowed.seconds,
        }
        self._stopped, late = False, threading.Event()
        margin = _MARGIN_S if self.protection.forks else 0.0
        timer = threading.Timer(allowed.seconds + margin, self._stop_late, (late,))
        timer.daemon = True
        timer.start()
        try:
            send(self._calls, call)
            document, arrays = receive(self._answers, allowed.memory)
        except _GONE as error:
            words = self._last_words(late)
            if self._stopped:
                raise Cancelled("stopped while a file was read.") from error
            # files are read in forks of it, so that none of them can have ended it before the answer began
            if self.protection.forks and not late.is_set() and not isinstance(error, BrokenMessageError):
                raise LostAnswerError from error
            return words, []
        except BaseException:  # stopped by the user: what comes later is nobody's answer
            self.kill()
            raise
        finally:
            timer.cancel()
        if document.get("token") != token:
            self.kill()
            raise LostAnswerError
        return document, arrays

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked again."""
        return self._process.poll() is None

    def close(self) -> None:
        """Let it end by itself, and wait for that."""
        with suppress(OSError, ValueError):
            self._close_pipes()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.kill()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def kill(self) -> None:
        """End it, and what it started, at once."""
        self._signal()
        self._process.wait()
        with suppress(OSError, ValueError):
            self._close_pipes()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def stop(self) -> None:
        """End it from another thread than the one that waits for its answer."""
        self._stopped = True
        self._signal()

    def forget(self) -> None:
        """Close the pipes in a fork of the program, to which the process does not belong."""
        with suppress(OSError, ValueError):
            self._close_pipes()
        self._process.returncode = 0

    def _stop_late(self, late: threading.Event) -> None:
        late.set()
        self._signal()

    def _signal(self) -> None:
        if self._process.poll() is not None:
            return
        with suppress(OSError):
            if os.name == "posix":
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def _last_words(self, late: threading.Event) -> dict[str, Any]:
        """Return how the process ended."""
        with suppress(subprocess.TimeoutExpired):  # it is ending by itself; then its own code tells why
            self._process.wait(1.0)
        self.kill()
        code = self._process.returncode
        if late.is_set():
            return {"died": "time"}
        return {"died": "signal" if code < 0 else "exit", "code": abs(code)}

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _not_started(why: str) -> ReadError:
    return ReadError(
        f"the process that reads files could not be started ({why}); set {SWITCH}=1 to read files that you trust "
        "without it."
    )


def _start(scratch: str) -> subprocess.Popen[bytes]:
    package = str(Path(__file__).parents[3])
    # where packages are installed is known already, and must not come before the standard library
    own = [] if package in sysconfig.get_paths().values() else [package]
    places = [*own, *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = dict.fromkeys(_ONE_THREAD, "1")
    # what it runs reads in itself: it can start no process
    env = {**os.environ, **threads, "MALLOC_ARENA_MAX": "2", SWITCH: "1"}
    if places:
        env["PYTHONPATH"] = os.pathsep.join(places)
    posix = os.name == "posix"
    return subprocess.Popen(
        # -P: nothing is imported from the folder at hand, where a stranger's files may lie
        [sys.executable, "-P", "-m", "voxtrace.io.child.serving", scratch],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if log.isEnabledFor(logging.DEBUG) else subprocess.DEVNULL,
        env=env,
        bufsize=0,
        start_new_session=posix,  # Ctrl-C is for the program that asks
        creationflags=sum(getattr(subprocess, name, 0) for name in ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW")),
    )


def _folder() -> str:
    """Return the folder that relative paths begin in; nothing where it was removed."""
    try:
        return as_text(Path.cwd())
    except FileNotFoundError:
        return ""


def _pipes(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    """Return where calls are written and answers are read."""
    if process.stdin is None or process.stdout is None:
        raise OSError("no pipes")
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # a large pipe is faster; the system may have no room for one
            fcntl.fcntl(process.stdout.fileno(), _SET_PIPE_SIZE, _PIPE_BYTES)
    return process.stdin.fileno(), process.stdout.fileno()
