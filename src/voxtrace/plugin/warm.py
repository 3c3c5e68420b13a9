"""Bring torch's libraries into the process without holding Python's lock.

``import torch`` opens hundreds of megabytes of libraries while it holds the interpreter, and every thread, the
window's included, waits: 0.2 s from a warm disk, seconds from a cold one. A foreign call to ``dlopen`` releases the
lock, so that the import afterwards finds the libraries there and the window never waits more than a few frames.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
from pathlib import Path

_LIBRARIES = {"libtorch_global_deps": os.RTLD_GLOBAL if hasattr(os, "RTLD_GLOBAL") else 0, "libtorch_python": 0}


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
