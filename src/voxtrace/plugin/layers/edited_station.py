"""The edited labels: a copy of a step, made plane by plane as it is read or drawn on, and a record of what changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtrace.trace.edits import Edit
from voxtrace.volume import Array, Shape

Planes = Callable[[int, int], Array]


@dataclass(eq=False)
class Change:
    """One undoable change of the edited labels; a StepArray takes it as an index, so that napari's history can hold it.

    Attributes
    ----------
    where
        (N,) flat indices into (I, P, L).
    before, after
        (N,) labels.
    edit
        What was done, for the log.
    undone
        Whether it is undone now.
    """

    where: Array
    before: Array
    after: Array
    edit: Edit
    undone: bool = False


class EditedStation:
    """Labels (I, P, L) that start as those of a step.

    Planes are copied when they are first needed, so that the first stroke on a trace on disk does not wait for the
    whole volume. Threads may read while the window writes.

    Parameters
    ----------
    shape, dtype
        Of the labels.
    planes
        Gives the step's planes from one index to another, end excluded.
    """

    def __init__(self, shape: Shape, dtype: Any, planes: Planes) -> None:
        self._array = np.zeros(shape, dtype)  # the system gives memory to planes that are written to
        self._planes, self._copied, self._lock = planes, np.zeros(shape[0], bool), threading.RLock()
        self._journal: list[tuple[Array, Array, Array]] = []

    @property
    def has_journal(self) -> bool:
        """Whether anything changed since the journal was taken."""
        return bool(self._journal)

    def read(self, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        """Return a copy of the labels at a key of three parts."""
        with self._lock:
            self._copy_planes(key[0])
            found = self._array[key]
            return found.copy() if isinstance(found, np.ndarray) else found

    def write(self, key: tuple[Any, ...], value: Any) -> tuple[Array, Array]:
        """Set labels and return the changed ones, before and after; they stay in the journal until it is taken."""
        where = self._flat(key)
        values = np.broadcast_to(np.asarray(value, self._array.dtype), where.shape).ravel()
        with self._lock:
            before = self._at(where.ravel())
            changed = before != values
            entry = where.ravel()[changed], before[changed], values[changed].copy()
            self._array.ravel()[entry[0]] = entry[2]
        if entry[0].size:
            self._journal.append(entry)
        return entry[1], entry[2]

    def fill(self, labels: Array) -> None:
        """Set all labels (I, P, L), without a note in the journal."""
        with self._lock:
            self._array[:], self._copied[:] = labels, True

    def apply(self, where: Array, values: Array) -> Array:
        """Set labels at flat indices without a note in the journal, and return those that were there."""
        with self._lock:
            before = self._at(where)
            self._array.ravel()[where] = values
        return before

    def take_journal(self) -> tuple[Array, Array, Array]:
        """Return what changed since this was last asked, and forget it: flat indices, labels before, labels after."""
        entries, self._journal = self._journal, []
        empty = np.empty(0, np.int64), np.empty(0, self._array.dtype), np.empty(0, self._array.dtype)
        where, before, after = (np.concatenate(parts) for parts in zip(empty, *entries, strict=True))
        # a voxel may be drawn on several times in one stroke: the first "before" and the last "after" count
        unique, first = np.unique(where, return_index=True)
        last = where.size - 1 - np.unique(where[::-1], return_index=True)[1]
        lasting = before[first] != after[last]
        return unique[lasting], before[first][lasting], after[last][lasting]

    def _at(self, where: Array) -> Array:
        touched = np.zeros(self._array.shape[0], bool)
        touched[where // int(np.prod(self._array.shape[1:]))] = True
        self._copy_planes(np.flatnonzero(touched))
        found: Array = self._array.ravel()[where]
        return found

    def _copy_planes(self, wanted: Any) -> None:
        """Copy the planes from the step that are needed and not there yet."""
        needed = np.zeros(self._copied.shape, bool)
        needed[wanted] = True
        missing = np.flatnonzero(needed & ~self._copied)
        for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1):
            if run.size:
                low, high = int(run[0]), int(run[-1]) + 1
                self._array[low:high] = self._planes(low, high)
                self._copied[low:high] = True

    def _flat(self, key: tuple[Any, ...]) -> Array:
        """Return the flat indices that a key of three parts stands for, in the shape that it selects."""
        shape = self._array.shape
        if all(isinstance(part, (slice, int, np.integer)) for part in key):
            return _grid(key, shape)
        if not any(isinstance(part, slice) or np.asarray(part).dtype == bool for part in key):
            indices = [np.asarray(part) % size for part, size in zip(key, shape, strict=True)]
            return np.asarray(np.ravel_multi_index(np.broadcast_arrays(*indices), shape))
        return np.asarray(np.arange(self._array.size).reshape(shape)[key])  # any other way to index


def _grid(key: Sequence[Any], shape: tuple[int, ...]) -> Array:
    """Return the flat indices of a key of slices and whole numbers."""
    strides = (shape[1] * shape[2], shape[2], 1)
    total: Any = 0
    for part, size, stride in zip(key, shape, strides, strict=True):
        if isinstance(part, slice):
            along = np.arange(*part.indices(size), dtype=np.int64) * stride
            total = np.asarray(total)[..., np.newaxis] + along
        else:
            total = total + (int(part) % size) * stride
    return np.asarray(total, np.int64)
