"""The labels of every step as one array (station, I, P, L) that napari can show and paint on.

A station is a place on the time ruler: a step of the trace, or at its end the labels as they were edited. The steps are
never altered: writing to any station makes the edited one, as a copy of the station written to, and lands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from voxtrace.plugin.layers.edited_station import Change, EditedStation
from voxtrace.plugin.layers.lazy_station import LazyStation
from voxtrace.trace.edits import Edit
from voxtrace.volume import Array

_REMEMBERED_PLANES = 16  # of a trace on disk
_UNDOABLE = 200  # changes; napari remembers a hundred


class StepArray:
    """Steps in memory or on disk, and the edited labels, in display space (see ``display_space``).

    Indices beyond the last station give the last station, so that a result with fewer steps than another keeps its last
    answer. Indexing always returns a copy: napari draws into what it was given, and the steps must stay as they are.
    ``array[0]`` is read when its voxels are asked for.

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
    edit_changed = Signal()  # a change was noted, undone or redone

    def __init__(self, steps: Any, length: int = 0, counts: Array | None = None) -> None:
        self.steps, self.length, self._step_counts = steps, length, counts
        self.edited_from: int | None = None
        self.edited_counts: npt.NDArray[np.int64] | None = None
        self.changes: list[Change] = []  # in order, the undone ones included
        self._earlier: tuple[Edit, ...] = ()  # of an earlier session
        self._edited: EditedStation | None = None
        self._held = False
        self._planes: dict[tuple[int, int], npt.NDArray[Any]] = {}
        self._when_drawn: Callable[[], None] | None = None

    @property
    def n_steps(self) -> int:
        """Steps of the trace."""
        return int(self.steps.shape[0])

    @property
    def stations(self) -> int:
        """Steps, and one more where labels were edited."""
        return self.n_steps + (self._edited is not None)

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

    def __deepcopy__(self, memo: Any) -> StepArray:
        """Return an array with edits of its own, for a layer that is duplicated; the steps are shared."""
        copied = StepArray(self.steps, self.length, self._step_counts)
        if self.edited_from is not None:
            copied.restore(self.station(self.n_steps)[::-1], self.edits, self.edited_from)
        return copied

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype)

    @property
    def edited(self) -> npt.NDArray[Any] | None:
        """The edited labels (I, P, L), read when their voxels are asked for; None where nothing was edited."""
        if self._edited is None:
            return None
        read = partial(self.station, self.n_steps)
        return LazyStation(read, self.shape[1:], self.dtype)  # type: ignore[return-value]

    @property
    def edits(self) -> tuple[Edit, ...]:
        """What was changed, in order, without what was undone."""
        return (*self._earlier, *(change.edit for change in self.changes if not change.undone))

    def is_edited(self, station: int) -> bool:
        """Tell whether a station shows the edited labels."""
        return self._edited is not None and station >= self.n_steps

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
        if self._begin(station):
            self.edit_started.emit(self.edited_from)

    def restore(self, labels: Array, edits: Sequence[Edit], station: int) -> None:
        """Take over edited labels (Z, Y, X), canonical, and their log from an earlier session."""
        fresh = self._begin(station)
        assert self._edited is not None
        self._edited.fill(np.asarray(labels)[::-1])
        if self.edited_counts is not None:
            self.edited_counts = np.bincount(np.ravel(labels), minlength=len(self.edited_counts))
        self._earlier, self.changes = tuple(edits), []
        if fresh:
            self.edit_started.emit(station)
        self.edit_changed.emit()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Give the edited labels for every station: a stroke that began on another one goes on in them."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def when_drawn(self, note: Callable[[], None]) -> None:
        """Call a function that notes what was drawn: now, or once it is drawn.

        napari tells of a stroke after its last dab, but of a single change before it is written.
        """
        if self._edited is not None and self._edited.has_journal:
            note()
        else:
            self._when_drawn = note

    def note(self, describe: Callable[[Array], Edit]) -> Change | None:
        """Return what was drawn since the last note as one undoable change; None where no voxel changed.

        ``describe`` gives the entry of the log for the labels (N,) that were drawn.
        """
        if self._edited is None:
            return None
        where, before, after = self._edited.take_journal()
        if not where.size:
            return None
        change = Change(where, before, after, describe(after))
        self._add(change)
        return change

    def forget_drawn(self) -> None:
        """Take back what was drawn since the last note: the stroke was given up."""
        if self._edited is not None:
            where, before, after = self._edited.take_journal()
            self._edited.apply(where, before)
            self._recount(after, before)
            self.edit_changed.emit()

    def change(self, where: Array, values: Array, edit: Edit) -> Change:
        """Set edited labels at flat indices (I, P, L) as one undoable change; there must be edited labels."""
        assert self._edited is not None, "start_edit makes the edited labels"
        before = self._edited.apply(where, values)
        self._recount(before, values)
        change = Change(where, before, values, replace(edit, voxels=int(np.count_nonzero(before != values))))
        self._add(change)
        return change

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        if isinstance(key, (int, np.integer)) and key == 0:  # a step, which never changes
            return LazyStation(partial(self._step, 0, (slice(None),)), self.shape[1:], self.dtype)  # type: ignore[return-value]
        first, *rest = _full(key)
        if isinstance(first, slice):
            planes = [self._read(k, tuple(rest)) for k in range(*first.indices(self.shape[0]))]
            return np.stack(planes) if planes else np.empty((0, *self._read(0, tuple(rest)).shape), self.dtype)
        if np.ndim(first) == 0:
            return self._read(int(first) % self.shape[0], tuple(rest))
        return self._pick(np.broadcast_arrays(first, *rest))

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, Change):
            self._replay(key, value)
            return
        first, *rest = _full(key)
        if isinstance(first, slice):
            stations: Sequence[int] = range(*first.indices(self.shape[0]))
        else:
            stations = [int(k) % self.shape[0] for k in np.unique(np.asarray(first))]
        fresh = bool(stations) and self._begin(stations[0])
        for number, station in enumerate(stations):
            if np.ndim(first) == 0:
                part = np.asarray(value)[number] if isinstance(first, slice) and np.ndim(value) == 4 else value
                self._write(station, tuple(rest), part)
            else:
                self._write_voxels(station, np.broadcast_arrays(first, *rest), value)
        if fresh:  # now, that what was drawn can be seen there
            self.edit_started.emit(self.edited_from)
        note, self._when_drawn = self._when_drawn, None
        if note is not None:
            note()

    def _begin(self, station: int) -> bool:
        if self._edited is not None:
            return False
        source = min(station, self.n_steps - 1)
        if self._step_counts is not None:
            self.edited_counts = np.asarray(self._step_counts[source], np.int64).copy()
        shape = (self.shape[1], self.shape[2], self.shape[3])
        self._edited = EditedStation(shape, self.dtype, lambda low, high: self._step(source, (slice(low, high),)))
        self.edited_from = source
        return True

    def _write(self, station: int, key: tuple[Any, ...], value: Any) -> None:
        """Write to the edited labels; of a value meant for a step only what differs from that step."""
        assert self._edited is not None
        if not (self._held or self.is_edited(station)):
            step, target = self._read(station, key), self._edited.read(key)
            value = np.where(np.asarray(value) != step, value, target)
        self._recount(*self._edited.write(key, value))

    def _write_voxels(self, station: int, indices: Sequence[Array], value: Any) -> None:
        here = indices[0] % self.shape[0] == station
        values = np.broadcast_to(value, here.shape)[here]
        self._write(station, tuple(index[here] for index in indices[1:]), values)

    def _replay(self, change: Change, values: Array) -> None:
        assert self._edited is not None
        self._recount(self._edited.apply(change.where, values), values)
        change.undone = values is change.before
        self.edit_changed.emit()

    def _add(self, change: Change) -> None:
        # what was undone before a new change cannot come back
        self.changes = [*(one for one in self.changes if not one.undone), change]
        while len(self.changes) > _UNDOABLE:  # of older ones the log is enough
            self._earlier = (*self._earlier, self.changes.pop(0).edit)
        self.edit_changed.emit()

    def _recount(self, before: Array, after: Array) -> None:
        if self.edited_counts is None:
            return
        size = max(int(np.max(after, initial=0)), int(np.max(before, initial=0)), len(self.edited_counts) - 1) + 1
        counts = np.pad(self.edited_counts, (0, size - len(self.edited_counts)))
        counts -= np.bincount(before, minlength=size)
        self.edited_counts = counts + np.bincount(after, minlength=size)

    def _read(self, station: int, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        if self._edited is not None and (self._held or station >= self.n_steps):
            return self._edited.read(key)
        return self._step(min(station, self.n_steps - 1), key)

    def _step(self, step: int, key: tuple[Any, ...]) -> npt.NDArray[Any]:
        if isinstance(self.steps, np.ndarray):
            return np.array(self.steps[step, ::-1][key])
        key = (*key, *[slice(None)] * (3 - len(key)))
        if (one := _single_plane(key[0], self.shape[1])) is not None:
            plane = self._plane(step, one)[key[1:]]
            return np.array(plane[np.newaxis] if isinstance(key[0], slice) else plane)
        return _read_stored(self.steps, step, key)

    def _plane(self, step: int, index: int) -> npt.NDArray[Any]:
        """Return a plane (P, L) of a step on disk; the last ones are remembered, because a stroke asks often."""
        if (step, index) not in self._planes:
            while len(self._planes) >= _REMEMBERED_PLANES:
                self._planes.pop(next(iter(self._planes)), None)
            self._planes[step, index] = np.asarray(self.steps[step, self.shape[1] - 1 - index])
        return self._planes[step, index]

    def _pick(self, indices: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return single voxels: index arrays of one shape, one for each axis."""
        first, *rest = indices
        found = np.empty(first.shape, self.dtype)
        for station in np.unique(first):
            here = first == station
            found[here] = self._read(int(station) % self.shape[0], tuple(index[here] for index in rest))
        return found


def _full(key: Any) -> tuple[Any, ...]:
    """Return a key with one part for each of the four axes."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(k is Ellipsis for k in keys):
        at = next(i for i, k in enumerate(keys) if k is Ellipsis)
        keys[at : at + 1] = [slice(None)] * (4 - len(keys) + 1)
    return (*keys, *[slice(None)] * (4 - len(keys)))


def _single_plane(part: Any, depth: int) -> int | None:
    """Return the plane that a part of a key selects, if it is exactly one."""
    if isinstance(part, slice):
        low, high, _ = part.indices(depth)
        return low if high - low == 1 else None
    return int(part) % depth if np.ndim(part) == 0 else None


def _read_stored(steps: Any, step: int, key: tuple[Any, ...]) -> npt.NDArray[Any]:
    """Read from a zarr array (S, Z, Y, X) with a key in display space: as few planes as the key needs."""
    depth, (along_i, *in_plane) = int(steps.shape[1]), key
    if isinstance(along_i, slice):
        chosen = np.arange(depth)[along_i]
        if not chosen.size:
            return np.empty((0, *steps.shape[2:]), steps.dtype)[(slice(None), *in_plane)]
        low, high = int(chosen.min()), int(chosen.max())
        block = np.asarray(steps[step, depth - 1 - high : depth - low])[::-1]
        return block[chosen - low][(slice(None), *in_plane)]
    return _read_voxels(steps, step, np.broadcast_arrays(*key), depth)


def _read_voxels(steps: Any, step: int, indices: Sequence[npt.NDArray[Any]], depth: int) -> npt.NDArray[Any]:
    along_i, p, left = indices
    found = np.empty(along_i.shape, steps.dtype)
    for i in np.unique(along_i):
        here = along_i == i
        found[here] = np.asarray(steps[step, depth - 1 - int(i)])[p[here], left[here]]
    return found
