"""The labels of every step as one array (station, I, P, L) that napari can show and paint on.

A station is a place on the time ruler: a step of the trace, or at its end the labels as they were edited. The steps are
never altered: writing to any station makes the edited one, as a copy of the station that was written to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from voxtrace.volume import Array


class StepArray:
    """Steps in memory or on disk, and the edited labels, in display space (see ``display_space``).

    Indices beyond the last station give the last station, so that a result with fewer steps than another keeps its last
    answer. Indexing always returns a numpy array.

    Parameters
    ----------
    steps
        (S, Z, Y, X) canonical labels: a numpy array, or a zarr array, which is read when it is indexed.
    length
        Length of the first axis, if it shall be longer than the number of stations.
    counts
        Voxels of each label at each step (S, K), where they are known; then those of the edited labels are kept, too.
    """

    edit_started = Signal(int)  # the station that was copied

    def __init__(self, steps: Any, length: int = 0, counts: Array | None = None) -> None:
        self.steps, self.length, self._step_counts = steps, length, counts
        self.edited: npt.NDArray[Any] | None = None  # (I, P, L)
        self.edited_from: int | None = None
        self.edited_counts: npt.NDArray[np.int64] | None = None

    @property
    def n_steps(self) -> int:
        """Steps of the trace."""
        return int(self.steps.shape[0])

    @property
    def stations(self) -> int:
        """Steps, and one more where labels were edited."""
        return self.n_steps + (self.edited is not None)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (station, I, P, L)."""
        z, y, x = (int(n) for n in self.steps.shape[1:])
        return max(self.stations, self.length), z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """Number type of the labels."""
        found: np.dtype[Any] = np.dtype(self.steps.dtype)
        return found

    @property
    def ndim(self) -> int:
        """Always 4."""
        return 4

    @property
    def size(self) -> int:
        """Number of voxels of all stations."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype)

    def is_edited(self, station: int) -> bool:
        """Tell whether a station shows the edited labels."""
        return self.edited is not None and station >= self.n_steps

    def station(self, index: int) -> npt.NDArray[Any]:
        """Return the labels (I, P, L) of a station, counted from 0; those beyond the last give the last."""
        return self._read(index, (slice(None),) * 3)

    def counts(self, station: int) -> Array | None:
        """Return the voxels of each label at a station, or None where they are not known."""
        if self.is_edited(station):
            return self.edited_counts
        return self._step_counts[min(station, self.n_steps - 1)] if self._step_counts is not None else None

    def start_edit(self, station: int) -> None:
        """Make the edited labels as a copy of a station, unless there are edited labels already."""
        if self.edited is None:
            source = min(station, self.n_steps - 1)
            copied = self.station(source).copy()
            if self._step_counts is not None:
                self.edited_counts = np.asarray(self._step_counts[source], np.int64).copy()
            self.edited, self.edited_from = copied, source
            self.edit_started.emit(source)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        first, *rest = self._full(key)
        if isinstance(first, slice):
            stations = range(*first.indices(self.shape[0]))
            planes = [self._read(k, tuple(rest)) for k in stations]
            return np.stack(planes) if planes else np.empty((0, *self._read(0, tuple(rest)).shape), self.dtype)
        if np.ndim(first) == 0:
            return self._read(int(first) % self.shape[0] if int(first) < 0 else int(first), tuple(rest))
        return self._pick(np.broadcast_arrays(first, *rest))

    def __setitem__(self, key: Any, value: Any) -> None:
        first, *rest = self._full(key)
        if isinstance(first, slice):
            stations = range(*first.indices(self.shape[0]))
            self.start_edit(stations[0] if stations else 0)
        else:
            self.start_edit(int(np.min(first)) if np.size(first) else 0)
        assert self.edited is not None
        target = tuple(rest)
        before = self.edited[target].copy()
        self.edited[target] = np.asarray(value)[0] if isinstance(first, slice) and np.ndim(value) == 4 else value
        self._recount(before, self.edited[target])

    def _recount(self, before: npt.NDArray[Any], after: npt.NDArray[Any]) -> None:
        if self.edited_counts is None:
            return
        size = max(int(np.max(after, initial=0)), int(np.max(before, initial=0)), len(self.edited_counts) - 1) + 1
        self.edited_counts = np.pad(self.edited_counts, (0, size - len(self.edited_counts)))
        self.edited_counts -= np.bincount(np.ravel(before), minlength=size)
        self.edited_counts += np.bincount(np.ravel(after), minlength=size)

    def _full(self, key: Any) -> tuple[Any, ...]:
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(k is Ellipsis for k in keys):
            at = next(i for i, k in enumerate(keys) if k is Ellipsis)
            keys[at : at + 1] = [slice(None)] * (4 - len(keys) + 1)
        return (*keys, *[slice(None)] * (4 - len(keys)))

    def _read(self, station: int, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        if self.edited is not None and station >= self.n_steps:
            edited: npt.NDArray[Any] = self.edited[key]
            return edited
        step = min(station, self.n_steps - 1)
        if isinstance(self.steps, np.ndarray):
            found: npt.NDArray[Any] = self.steps[step, ::-1][key]
            return found
        return _read_stored(self.steps, step, key)

    def _pick(self, indices: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return single voxels: index arrays of one shape, one for each axis."""
        first, *rest = indices
        found = np.empty(first.shape, self.dtype)
        for station in np.unique(first):
            here = first == station
            found[here] = self._read(int(station), tuple(index[here] for index in rest))
        return found


def _read_stored(steps: Any, step: int, key: tuple[Any, ...]) -> npt.NDArray[Any]:
    """Read from a zarr array (S, Z, Y, X) with a key in display space: as few planes as the key needs."""
    depth, (along_i, *in_plane) = int(steps.shape[1]), key
    if isinstance(along_i, slice):
        chosen = range(depth)[along_i]
        if not chosen:
            return np.empty((0, *steps.shape[2:]), steps.dtype)[(slice(None), *in_plane)]
        low, high = min(chosen), max(chosen)
        block = np.asarray(steps[step, depth - 1 - high : depth - low])[::-1]
        return block[(np.asarray(chosen) - low, *in_plane)] if _plain(in_plane) else block[(slice(None), *in_plane)]
    if np.ndim(along_i) == 0:
        plane: npt.NDArray[Any] = np.asarray(steps[step, depth - 1 - (int(along_i) % depth)])[tuple(in_plane)]
        return plane
    return _read_voxels(steps, step, np.broadcast_arrays(*key), depth)


def _plain(keys: Sequence[Any]) -> bool:
    return all(isinstance(key, slice) for key in keys)


def _read_voxels(steps: Any, step: int, indices: Sequence[npt.NDArray[Any]], depth: int) -> npt.NDArray[Any]:
    along_i, p, left = indices
    found = np.empty(along_i.shape, steps.dtype)
    for i in np.unique(along_i):
        here = along_i == i
        found[here] = np.asarray(steps[step, depth - 1 - int(i)])[p[here], left[here]]
    return found
