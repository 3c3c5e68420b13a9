"""Functions that do in a reader process what a file made to do harm would do, and reading functions with such cases."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace import io
from voxtrace.errors import GeometryError
from voxtrace.io.child.messages import send
from voxtrace.volume import Volume


def crash(*_: Any) -> None:
    """Read memory that is not there."""
    ctypes.string_at(0)


def abort(*_: Any) -> None:
    """End as a library does that finds its memory damaged."""
    os.abort()


def leave(*_: Any) -> None:
    """End without a word."""
    os._exit(3)


def hang(*_: Any) -> None:
    """Never come back, and let no other thread run."""
    ctypes.PyDLL(None).sleep(600)


def hoard(*_: Any) -> int:
    """Take 64 GiB."""
    return int(np.ones(1 << 33).sum())


def open_file(path: Path) -> int:
    """Read a file and return its size."""
    return len(path.read_bytes())


def write_file(path: Path) -> None:
    """Write a file."""
    path.write_text("x")


def change_mode(path: Path) -> None:
    """Change who may read a file."""
    path.chmod(0o777)


def connect(port: int) -> None:
    """Open a connection."""
    socket.create_connection(("127.0.0.1", port), timeout=2).close()


def run_program(*_: Any) -> None:
    """Run a program."""
    subprocess.run([sys.executable, "-c", "pass"], check=True)


def fork(*_: Any) -> int:
    """Fork."""
    return os.fork()


def signal_process(process: int) -> None:
    """Ask whether a signal could be sent."""
    os.kill(process, 0)


def count_threads(*_: Any) -> int:
    """Start threads, as libraries do, and return how many ran."""
    import threading

    done: list[int] = []
    threads = [threading.Thread(target=done.append, args=(1,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(done)


def run_event_loop(*_: Any) -> int:
    """Run an event loop, as zarr does."""
    import asyncio

    async def one() -> int:
        await asyncio.get_running_loop().run_in_executor(None, len, "x")
        return 1

    return asyncio.run(one())


def answer_twice(pipe: int) -> int:
    """Send what looks like the answer of the call that follows."""
    send(pipe, {"token": "guessed", "value": 41})
    return 1


def unknown(*_: Any) -> None:
    """Raise what no reading function should."""
    raise ZeroDivisionError("by nothing")


def not_on_one_grid(*_: Any) -> None:
    """Raise an error of the project."""
    raise GeometryError("the grids differ.")


def process_number(*_: Any) -> int:
    """Return the number of the process that runs calls."""
    return os.getppid()


def write_temporary(*_: Any) -> str:
    """Write a temporary file and leave it."""
    import tempfile

    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"left")
    return file.name


def shared_memory(count: int) -> list[Any]:
    """Return arrays that lie in the same memory."""
    whole = np.arange(count, dtype=np.int32)
    twice = np.arange(count, dtype=np.int32)
    return [whole, whole[1:], twice, twice]


def echo(value: Any) -> Any:
    """Return the argument."""
    return value


def unpickle(path: Path) -> None:
    """Unpickle a file, whatever it does."""
    pickle.loads(path.read_bytes())


def die_by(number: int) -> None:
    """End by a signal."""
    signal.raise_signal(signal.Signals(number))


_BY_NAME = {"crash": crash, "abort": abort, "hang": hang, "hoard": hoard}


def read(path: Path | Sequence[Path], frame: int | None = None, channels: int = 1) -> Volume:
    """Read as :func:`voxtrace.io.read`, except files whose name says what reading them does."""
    name = path.name.split(".")[0] if isinstance(path, Path) else ""
    if name in _BY_NAME:
        _BY_NAME[name]()
    if name == "elsewhere" and isinstance(path, Path):
        return io.read(path.parents[1] / "secret.nii.gz")
    return io.read(path, frame, channels)
