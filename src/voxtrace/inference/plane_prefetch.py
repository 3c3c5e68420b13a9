"""PlanePrefetch: the planes of the next row of windows, prepared in a thread while the network runs on this one."""

from __future__ import annotations

from concurrent.futures import Executor, Future

import numpy as np

from voxtrace.inference.cancel_check import CancelCheck
from voxtrace.preprocess import PlaneStream
from voxtrace.volume import Array


class PlanePrefetch:
    """Planes of one stream on the padded grid; those shared with the row before are not computed again.

    As many planes are prepared ahead as the row before needed in addition.
    """

    def __init__(self, planes: PlaneStream, executor: Executor, check: CancelCheck | None = None) -> None:
        self._planes, self._executor, self._check = planes, executor, check or CancelCheck()
        self._depth = planes.grid.padded_shape[0]
        self._first, self._images = 0, planes.padded(0, 0)
        self._end = 0
        self._ahead: Future[Array] | None = None

    def between(self, z: int, end: int) -> Array:
        """Return planes z ≤ plane < end, (C, end − z, Y, X) float32; neither may fall from call to call."""
        self._join()
        self._drop(z)
        if end > self._ready:
            self._begin(end)
            self._join()
        added, self._end = end - self._end, end
        # At most half as many again as this row holds, so that memory stays that of a row and a half.
        self._begin(min(end + min(added, (end - z + 1) // 2), self._depth))
        return self._images[:, : end - z]

    @property
    def _ready(self) -> int:
        return self._first + int(self._images.shape[1])

    def _begin(self, end: int) -> None:
        """Start to prepare the planes before ``end``."""
        if end > self._ready:
            self._ahead = self._executor.submit(self._planes.padded, self._ready, end)

    def _join(self) -> None:
        """Wait for the planes that are being prepared."""
        if self._ahead is not None:
            planes = self._check.result(self._ahead)
            self._images = np.concatenate([self._images, planes], axis=1) if self._images.shape[1] else planes
            self._ahead = None

    def _drop(self, z: int) -> None:
        """Drop planes below z; where none is left, the next one prepared is z."""
        dropped = min(max(z - self._first, 0), self._images.shape[1])
        self._images = self._images[:, dropped:]
        self._first = self._first + dropped if self._images.shape[1] else max(z, self._first + dropped)
