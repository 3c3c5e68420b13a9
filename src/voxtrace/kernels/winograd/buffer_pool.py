"""BufferPool: memory for feature maps that is reused.

A map of a whole window is tens of megabytes. The system allocates it page by page and fills each with zeros, which can
take as long as the convolutions. Freed buffers are reused for the next tensor of the same size.
"""

from __future__ import annotations

import math
import weakref
from collections import defaultdict, deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
# Of each size; a U-Net holds no more maps of one resolution at once.
MOST_FREE = 4
GRAIN = 1 << 16  # floats


class BufferPool:
    """Hands out arrays of float32 and takes them back when their last reader is gone."""

    def __init__(self) -> None:
        # Appending and popping need no lock, and a lock would not do: the collector may give back in between.
        self._free: defaultdict[int, deque[Floats]] = defaultdict(lambda: deque(maxlen=MOST_FREE))

    def acquire(self, shape: Sequence[int]) -> Floats:
        """Return an array of any content. What is sliced from it must not outlive it."""
        floats = math.prod(shape)
        size = -(-floats // GRAIN) * GRAIN
        free = self._free[size]
        try:
            buffer = free.pop()
        except IndexError:
            buffer = np.empty(size, np.float32)
        array = buffer[:floats].reshape(shape)
        weakref.finalize(array, free.append, buffer).atexit = False
        return array
