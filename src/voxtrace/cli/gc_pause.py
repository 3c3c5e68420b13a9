"""Loading: what makes importing large packages quicker."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_paused() -> Iterator[None]:
    """Keep the garbage collector off in the block.

    Importing torch makes half a million objects that stay; looking through them for garbage again and again is a
    fifth of the time that the import takes. Nor are they looked through later, or when the process ends.
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
