"""Block: the planes that a row of windows needs, made in a thread while the network runs on the row before."""

from __future__ import annotations

from concurrent.futures import Executor, Future

import numpy as np

from voxtrace.preprocess import PlaneStream
from voxtrace.volume import Array


class Block:
    """Planes of one stream on the padded grid; those shared with the row before are not made again.

    What is made ahead is as much as the row before needed afresh.
    """

    def __init__(self, planes: PlaneStream, maker: Executor) -> None:
        self._planes, self._maker = planes, maker
        self._depth = planes.grid.padded_shape[0]
        self._first, self._images = 0, planes.padded(0, 0)
        self._end = 0
        self._ahead: Future[Array] | None = None

    def between(self, z: int, end: int) -> Array:
        """Return planes z ≤ plane < end, (C, end − z, Y, X) float32; neither ever falls."""
        self._join()
        self._forget(z)
        if end > self._made:
            self._ahead = self._maker.submit(self._planes.padded, self._made, end)
            self._join()
        fresh, self._end = end - self._end, end
        self._begin(min(end + min(fresh, (end - z + 1) // 2), self._depth))
        return self._images[:, : end - z]

    @property
    def _made(self) -> int:
        return self._first + int(self._images.shape[1])

    def _begin(self, end: int) -> None:
        """Start to make the planes before ``end``."""
        if end > self._made:
            self._ahead = self._maker.submit(self._planes.padded, self._made, end)

    def _join(self) -> None:
        """Wait for the planes that are being made."""
        if self._ahead is not None:
            planes = self._ahead.result()
            self._images = np.concatenate([self._images, planes], axis=1) if self._images.shape[1] else planes
            self._ahead = None

    def _forget(self, z: int) -> None:
        """Let go of planes below z; where none is left, the next one made is z."""
        dropped = min(max(z - self._first, 0), self._images.shape[1])
        self._images = self._images[:, dropped:]
        self._first = self._first + dropped if self._images.shape[1] else max(z, self._first + dropped)
