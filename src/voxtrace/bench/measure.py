"""Run one command line as a process and measure its wall time and the memory of it and its children."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from voxtrace.bench.memory import PeakMemory, kill_tree
from voxtrace.errors import EngineError

# Listing a tree of processes takes some ms. Of a single process the kernel keeps the high-water mark in between.
EVERY_S = 0.1
TAIL = 400  # last characters of standard error that an error message quotes

# Sets the limit in the process that then becomes the command, so that the limit is the command's own.
_LIMITED = (
    "import os, resource, sys; limit = int(sys.argv[1]); "
    "resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)); os.execvp(sys.argv[2], sys.argv[2:])"
)


@dataclass(frozen=True)
class Measured:
    """Time and memory of one process.

    Attributes
    ----------
    seconds
        Wall time from its start to its end.
    peak_mb
        Most memory that it and its children held at once, in MB (10⁶ bytes); see :mod:`voxtrace.bench.memory`.
    processes
        Most processes alive at once.
    output
        What it wrote on standard output.
    """

    seconds: float
    peak_mb: float
    processes: int
    output: str


def measure(command: Sequence[str], *, env: Mapping[str, str] | None = None, cap_mb: float | None = None) -> Measured:
    """Run a command to its end and return its time and peak memory.

    Parameters
    ----------
    command
        Program and arguments.
    env
        Variables to add to the environment.
    cap_mb
        Limit in MB: the kernel refuses the process more private memory (RLIMIT_DATA, on Linux), and the whole tree is
        ended when it holds more.

    Raises
    ------
    EngineError
        The command could not be started, failed, or went beyond the cap.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        peak, process = _start(command, env, cap_mb, out, err)
        over = _follow(process, peak, cap_mb)
        seconds = time.perf_counter() - began
        if over:
            raise EngineError(f"{_named(command)} held more than {cap_mb:.0f} MB after {seconds:.0f} s and was ended.")
        if process.returncode:
            message = _text(err)[-TAIL:].strip()
            raise EngineError(f"{_named(command)} ended with code {process.returncode}: {' '.join(message.split())}")
        return Measured(seconds, peak.peak_bytes / 1e6, peak.most_processes, _text(out))


def _start(
    command: Sequence[str], env: Mapping[str, str] | None, cap_mb: float | None, out: IO[bytes], err: IO[bytes]
) -> tuple[PeakMemory, subprocess.Popen[bytes]]:
    # The limit is set in a small Python process that then becomes the command.
    limited = cap_mb is not None and sys.platform == "linux"
    wrapped = [sys.executable, "-c", _LIMITED, str(int((cap_mb or 0) * 1e6)), *command] if limited else [*command]
    try:
        process = subprocess.Popen(wrapped, stdout=out, stderr=err, env={**os.environ, **(env or {})})
    except OSError as error:
        raise EngineError(f"{_named(command)} could not be started: {error.strerror}.") from error
    return PeakMemory(process.pid), process


def _follow(process: subprocess.Popen[bytes], peak: PeakMemory, cap_mb: float | None) -> bool:
    """Watch a process to its end; return whether it was ended for holding more than the cap."""
    try:
        while True:
            held = peak.sample()
            if cap_mb is not None and held > cap_mb * 1e6:
                return True
            try:
                process.wait(EVERY_S)
            except subprocess.TimeoutExpired:
                continue
            return False
    finally:
        if process.poll() is None:
            kill_tree(process.pid)
            process.wait()


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")


def _named(command: Sequence[str]) -> str:
    """Return the command for a message, without long arguments such as programs given by -c."""
    return " ".join(word for word in command if len(word) < 200)
