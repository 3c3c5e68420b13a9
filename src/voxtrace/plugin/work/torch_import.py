"""Bring torch's libraries into the process without holding Python's lock.

``import torch`` opens hundreds of megabytes of libraries while it holds the interpreter, and every thread, the
window's included, waits: 0.2 s from a warm disk, seconds from a cold one. A foreign call to ``dlopen`` releases the
lock, so that the import afterwards finds the libraries there. The import also makes so many objects that Python's
garbage collector goes through all of them three or four times, 0.3 s each, holding the interpreter too; it is kept
still meanwhile. What is left are waits of a few frames.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LIBRARIES = {"libtorch_global_deps": os.RTLD_GLOBAL if hasattr(os, "RTLD_GLOBAL") else 0, "libtorch_python": 0}


@contextmanager
def importing_torch() -> Iterator[None]:
    """Import torch inside this, in a worker thread, and the window goes on meanwhile."""
    open_torch_libraries()
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() == 0:
            gc.freeze()
            gc.unfreeze()  # the new objects count as old now: nothing bids the collector go through them at once
        if collects:
            gc.enable()


def open_torch_libraries() -> None:
    """Open torch's libraries, in a worker thread before torch is imported there; does nothing on Windows."""
    if "torch" in sys.modules or os.name != "posix":
        return
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return
    folder, suffix = Path(found.origin).parent / "lib", ".dylib" if sys.platform == "darwin" else ".so"
    open_library = ctypes.CDLL(None).dlopen
    open_library.argtypes, open_library.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
    for name, flags in _LIBRARIES.items():
        file = folder / f"{name}{suffix}"
        if file.is_file():
            open_library(os.fsencode(file), os.RTLD_NOW | flags)
