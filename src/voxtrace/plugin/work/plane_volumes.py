"""Volumes for planes across slices: arrays in memory as they are, others read once in a thread and kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy as np

from voxtrace.plugin.layers.step_array import StepArray

KEPT = 3  # volumes; of a large trace each is as large as the scan


class PlaneVolumes:
    """The volumes that planes are cut from.

    A trace on disk is stored slice by slice, so a coronal plane would read every slice anew.

    Parameters
    ----------
    on_read
        Called when a volume was read.
    read
        Runs a function in a thread: ``read(function, on_result, on_error)``.
    """

    def __init__(self, on_read: Callable[[], None], read: Callable[..., Any]) -> None:
        self._on_read, self._read = on_read, read
        self._volumes: OrderedDict[Hashable, Any] = OrderedDict()
        self._reading: dict[Hashable, Any] = {}
        self._stale: set[Hashable] = set()

    def get(self, key: Hashable, array: Any, step: int | None) -> Any:
        """Return a volume (I, P, L), of an array with steps or frames that of one; None while it is read.

        ``key`` names the array; a volume that was marked stale is shown until it has been read again.
        """
        if _in_memory(array, step):
            return array if step is None else array[step]
        whole = (key, step)
        if (whole not in self._volumes or whole in self._stale) and whole not in self._reading:
            self._stale.discard(whole)
            self._reading[whole] = self._read(
                partial(_volume, array, step), partial(self._done, whole), partial(self._failed, whole)
            )
        if whole in self._volumes:
            self._volumes.move_to_end(whole)
        return self._volumes.get(whole)

    def mark_stale(self) -> None:
        """Read every volume again when it is next asked for: labels were edited."""
        self._stale.update(self._volumes)

    def _done(self, whole: Hashable, volume: Any) -> None:
        self._reading.pop(whole, None)
        self._volumes[whole] = volume
        while len(self._volumes) > KEPT:
            self._volumes.popitem(last=False)
        self._on_read()

    def _failed(self, whole: Hashable, sentence: str) -> None:
        self._reading.pop(whole, None)
        self._volumes[whole] = None  # without this plane; the canvas reports the error when it shows the layer


def _in_memory(array: Any, step: int | None) -> bool:
    if isinstance(array, StepArray):
        return isinstance(array.steps, np.ndarray) or array.is_edited(step or 0)
    return isinstance(array, np.ndarray)


def _volume(array: Any, step: int | None) -> Any:
    return np.asarray(array if step is None else array[step])
