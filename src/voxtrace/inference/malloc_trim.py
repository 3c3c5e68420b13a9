"""Return freed memory to the system.

glibc keeps freed blocks in its heap. Planes and windows of many sizes are allocated beside small records that stay, so
the heap fragments: predicting 240 planes of 256² took 548 MiB at the peak instead of 312 MiB, of which all but 40 MiB
do not depend on the length of the scan. Trimming the heap after each row of windows takes well under a millisecond.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache


def trim_heap() -> None:
    """Return unused memory of the C library to the system; does nothing where it is not glibc."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
