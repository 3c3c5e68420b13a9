"""Pause the garbage collector while large packages are imported."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Disable the garbage collector in the block; where torch is imported in it, exclude its objects from then on.

    Importing torch creates half a million permanent objects; scanning them repeatedly takes a fifth of the import time.
    """
    was_on, was_there = gc.isenabled(), "torch" in sys.modules
    gc.disable()
    try:
        yield
    finally:
        if not was_there:
            gc.freeze()
        if was_on:
            gc.enable()
