"""Runs one input in a child process with limits of time and memory, and says how it ended."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

SECONDS = 5  # of the processor, for one input and all that is done with it
WAITING_SECONDS = 15  # for what waits instead of computing
BYTES = 1 << 30  # resident
_OWN_MEGABYTES = 800  # that a child may add where what it was forked from is large, as a process of many tests
_SPACE = 3 << 30  # that may be asked for beyond what was there
_LONGEST_MESSAGE = 2_000  # letters
GOOD = ("answer", "error")
OUTCOMES = (*GOOD, "fault", "crash", "hang", "memory", "outside")
_SOURCE = "voxtrace"


@dataclass(frozen=True)
class Outcome:
    """How an input ended: the worst of all that was done with it.

    Attributes
    ----------
    outcome
        ``answer``; ``error``: one of VoxTrace's own; ``fault``: any other exception, or a message of more than 2,000
        letters; ``crash``: a signal; ``hang``; ``memory``; ``outside``: a file elsewhere was opened.
    where
        What was being done, and the line of VoxTrace where it went wrong.
    message
        The error's first letters.
    seconds, megabytes
        Processor time, and the highest resident memory.
    """

    outcome: str
    where: str = ""
    message: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0


def run(folder: Path, steps: Callable[[], Any], refused: Collection[str] = ()) -> tuple[Outcome, set[str]]:
    """Fork, do all that ``steps`` yields (a name and a function each) in ``folder``, and return the outcome.

    ``refused`` are the names of steps that end in an error for a whole input, too. The second value are the names of
    steps that ended in an error of VoxTrace.
    """
    reading, writing = os.pipe()
    most = max(BYTES >> 20, _resident_megabytes() + _OWN_MEGABYTES)
    sys.stdout.flush()
    gc.freeze()  # a child that collects what was there before would copy all of it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # threads that wait for work are no harm to what the child does
        child = os.fork()
    if child == 0:
        os.close(reading)
        _in_child(folder, steps, writing)
    os.close(writing)
    told, late = _answer(reading, child)
    _, status, used = os.wait4(child, 0)
    seconds, megabytes = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    lines = [json.loads(line) for line in told.splitlines() if line.endswith(b"}")]
    errors = {line["where"] for line in lines if line.get("outcome") == "error"}
    return _judged(lines, status, seconds, megabytes, set(refused), most=most, late=late), errors


def _answer(reading: int, child: int) -> tuple[bytes, bool]:
    """Return what a child wrote until it ended, and whether it had to be stopped because it only waited.

    On a busy machine a child that computes is slow and is not stopped; what it may compute is limited by itself.
    """
    told, waited, before = b"", 0, ""
    with os.fdopen(reading, "rb", 0) as pipe:
        while waited < WAITING_SECONDS:
            ready, _, _ = select.select([pipe], [], [], 1.0)
            if ready:
                piece = pipe.read(65_536)
                if not piece:
                    return told, False
                told += piece
                continue
            state, used = _state(child)
            waited, before = (waited + 1 if state in "SD" and used == before else 0), used
    os.kill(child, signal.SIGKILL)
    return told, True


def _state(child: int) -> tuple[str, str]:
    """Return whether a process runs (R) or waits (S, D), and the time of the processor that it used."""
    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    return fields[0], " ".join(fields[11:13])


def _resident_megabytes() -> int:
    """Return the resident memory of this process, which a child begins with."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def _judged(
    lines: list[dict[str, Any]],
    status: int,
    seconds: float,
    megabytes: float,
    refused: set[str],
    *,
    most: int,
    late: bool,
) -> Outcome:
    begun = [line["begun"] for line in lines if "begun" in line]
    where = begun[-1] if begun else "start"
    ended = [Outcome(**line) for line in lines if "outcome" in line]
    if late or (os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)):
        worst = Outcome("hang", where, "stopped")
    elif os.WIFSIGNALED(status):
        worst = Outcome("crash", where, signal.Signals(os.WTERMSIG(status)).name)
    elif os.WEXITSTATUS(status) or not ended:
        worst = Outcome("crash", where, f"exit status {os.WEXITSTATUS(status)}")
    else:
        ended = [replace(one, outcome="answer") if _is_expected(one, refused) else one for one in ended]
        worst = max(ended, key=lambda one: OUTCOMES.index(one.outcome))
        if megabytes > most and worst.outcome in GOOD:
            worst = Outcome("memory", worst.where, f"{megabytes:.0f} MB, then {worst.outcome}: {worst.message}")
        if seconds > SECONDS and worst.outcome in GOOD:
            worst = Outcome("hang", worst.where, f"{seconds:.1f} s, then {worst.outcome}: {worst.message}")
    return Outcome(worst.outcome, worst.where, worst.message, round(seconds, 3), round(megabytes, 1))


def _is_expected(one: Outcome, refused: set[str]) -> bool:
    return one.outcome == "error" and one.where in refused


def _in_child(folder: Path, steps: Callable[[], Any], writing: int) -> None:
    """Do all steps, tell each outcome through the pipe, and end without the parent's clean-up."""
    status = 1
    with contextlib.suppress(BaseException), os.fdopen(writing, "wb", 0) as pipe:
        outside = _limited(folder)

        def tell(line: dict[str, Any]) -> None:
            pipe.write(json.dumps(line).encode() + b"\n")

        for name, step in steps():
            tell({"begun": name})
            outcome = _outcome(name, step)
            if outside:
                outcome = Outcome("outside", name, outside.pop()[:300])
            tell(asdict(outcome))
        status = 0
    os._exit(status)


def _limited(folder: Path) -> list[str]:
    """Set the limits, silence the output, and return the list that will hold the names of files opened elsewhere."""
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + _SPACE, size + _SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS + 1, SECONDS + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))
    os.chdir(folder)
    return _watched(folder)


def _watched(folder: Path) -> list[str]:
    """Return a list to which each file that is opened outside a folder and the program will be added."""
    own = (str(folder), os.environ.get("XDG_CACHE_HOME", str(folder)))
    allowed = (*own, *(os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, *sys.path) if path))
    system = ("/proc/", "/sys/", "/dev/null", "/dev/urandom", "/usr/", "/lib", "/etc/localtime", "/dev/shm/", "pipe:")
    found: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("os.system", "os.exec", "os.posix_spawn", "socket.connect", "subprocess.Popen"):
            found.append(f"{event} {arguments[0]!r}")
        if event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if not path.startswith(allowed) and not path.startswith(system):
                found.append(f"opened {path}")

    sys.addaudithook(hook)
    return found


def _outcome(name: str, step: Callable[[], object]) -> Outcome:
    from voxtrace.errors import VoxTraceError

    try:
        step()
    except VoxTraceError as error:
        if _is_memory(error):
            return Outcome("memory", f"{name} {_line(error)}", str(error)[:300])
        if len(str(error)) > _LONGEST_MESSAGE:
            return Outcome("fault", f"{name} {_line(error)} long message", str(error)[:300])
        return Outcome("error", name, f"{type(error).__name__}: {str(error)[:300]}")
    except BaseException as error:  # whatever it is, it is a finding
        kind = "memory" if _is_memory(error) else "fault"
        return Outcome(kind, f"{name} {_line(error)}", f"{type(error).__name__}: {str(error)[:300]}")
    return Outcome("answer", name)


def _is_memory(error: BaseException | None) -> bool:
    """Return whether an error comes from memory that was asked for beyond the limit."""
    while error is not None:
        if isinstance(error, MemoryError) or any(word in str(error)[:1000] for word in ("bad_alloc", "allocate")):
            return True
        error = error.__cause__ or error.__context__
    return False


def _line(error: BaseException) -> str:
    """Return the innermost line of VoxTrace that an error passed, ``io/nrrd.py:12 ValueError``."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if f"/{_SOURCE}/" in frame.filename]
    place = f"{frames[-1].filename.rpartition(f'/{_SOURCE}/')[2]}:{frames[-1].lineno}" if frames else "outside"
    return f"{place} {type(error).__name__}"
