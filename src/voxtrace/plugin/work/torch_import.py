"""Import torch in a worker thread without blocking the window.

``import torch`` loads hundreds of megabytes of shared libraries while it holds the interpreter lock, so every thread
waits: 0.2 s from a warm disk, seconds from a cold one. A ctypes call to ``dlopen`` releases the lock; the import then
finds the libraries already loaded. The import also creates so many objects that the garbage collector runs three or
four full passes of 0.3 s each, which hold the lock too; the collector is therefore paused during the import.
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
    """Context for importing torch in a worker thread while the window stays responsive."""
    open_torch_libraries()
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() == 0:
            gc.freeze()
            gc.unfreeze()  # moves the new objects to the oldest generation, so that no full collection follows at once
        if collects:
            gc.enable()


def open_torch_libraries() -> None:
    """Load torch's shared libraries before torch is imported, without the interpreter lock; does nothing on Windows."""
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
