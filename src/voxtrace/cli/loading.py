"""Loading: what makes importing large packages quicker."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector off in the block.

    Importing torch makes half a million objects that stay; looking through them for garbage again and again is a
    fifth of the time that the import takes.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
