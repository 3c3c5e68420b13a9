"""Recorder: takes finished planes from the engine and makes a Trace of them, in memory or on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.passport import Passport
from voxtrace.trace import files
from voxtrace.trace.description import RunDescription
from voxtrace.trace.plane_writer import chunk_depth
from voxtrace.trace.step_counts import MapRange, StepCounts, step_type
from voxtrace.trace.trace import CHANGED_VOXELS, Trace
from voxtrace.volume import Array, Geometry, Shape


class Recorder:
    """Collects planes of labels and scalar maps in ascending z.

    The last step's labels are always held in memory (they are the answer); the steps before it, all extras and all
    maps lie in memory when ``folder`` is None, otherwise in ``folder`` on disk.
    """

    def __init__(
        self,
        steps: int,
        geometry: Geometry,
        names: Mapping[int, str],
        folder: Path | None = None,
        extras: Sequence[str] = (),
        passport: Passport | None = None,
        maps: Sequence[str] = (),
        members: Sequence[str] = (),
        second: bool = False,
    ) -> None:
        self._passport = passport or Passport()
        self._geometry, self._names, self._folder, self._steps = geometry, dict(names), folder, steps
        dtype = np.uint8 if max(names, default=0) < 256 else np.uint16
        self._counts = StepCounts.empty(steps, max(names, default=0) + 1)
        self._ranges = {name: MapRange(steps) for name in maps}
        self._done = 0
        shape = (steps, *geometry.shape)
        self._files = None if folder is None else files.ArrayFiles(folder, shape, dtype, extras, maps, members, second)
        # With a folder only the last step, the answer, is held in memory.
        self._labels = np.zeros((1 if folder else steps, *geometry.shape), dtype)
        self._extras = {name: np.zeros(shape, dtype) for name in ([] if folder else extras)}
        self._maps = {name: np.full(shape, np.nan, np.float32) for name in ([] if folder else maps)}
        self._members = {name: np.zeros(shape, dtype) for name in ([] if folder else members)}
        self._settled = None if folder else np.zeros(geometry.shape, step_type(steps))
        self._second = np.zeros(geometry.shape, dtype) if second and not folder else None

    @property
    def answer(self) -> Array:
        """The last step's labels, (Z, Y, X)."""
        answer: Array = self._labels[-1]
        return answer

    def add(
        self, planes: Array, maps: Array | None = None, members: Sequence[Array] = (), second: Array | None = None
    ) -> None:
        """Append planes of labels, and of scalar maps and members where the recorder was given their names.

        Parameters
        ----------
        planes
            (S, n, Y, X) of the answer and, after them along the first axis, of each extra.
        maps
            (S, M, n, Y, X) float32, in the order of their names.
        members
            (S, n, Y, X) of each member.
        second
            (n, Y, X), the second choice, where the recorder keeps it; see :class:`Trace`.
        """
        lo, hi = self._done, self._done + planes.shape[1]
        planes, *extras = (planes[first : first + self._steps] for first in range(0, len(planes), self._steps))
        scalars = [] if maps is None else list(np.moveaxis(maps, 1, 0))
        settled = self._counts.add(planes)
        for values, limits in zip(scalars, self._ranges.values(), strict=True):
            limits.add(values)
        self._labels[:, lo:hi] = planes[-self._labels.shape[0] :]
        if self._files is not None:
            self._files.add(planes, settled, extras, scalars, members, second)
        else:
            in_memory = (*self._extras.values(), *self._maps.values(), *self._members.values())
            for kept, fresh in zip(in_memory, (*extras, *scalars, *members), strict=True):
                kept[:, lo:hi] = fresh
        if self._settled is not None:
            self._settled[lo:hi] = settled
        if self._second is not None:
            self._second[lo:hi] = second
        self._done = hi  # last: another thread may read the planes before it

    @property
    def done(self) -> int:
        """Number of planes that are complete; more may be added at any time."""
        return self._done

    def planes(self, lo: int, hi: int) -> Array:
        """Return complete planes ``lo`` … ``hi`` − 1 without a copy, (S, n, Y, X); with a folder (1, n, Y, X).

        The last ones along the first axis are the answer's. They are not to be written.
        """
        view = self._labels[:, lo:hi]
        view.flags.writeable = False
        return view

    def replace_answer(self, answer: Array) -> None:
        """Put other labels (Z, Y, X) in place of the last step's, after all planes were added.

        Counts, areas and where voxels settled follow, and the second choice where it was the answer. There are no
        labels in it that no step had.
        """
        if self._files is not None:
            self._files.close()
        labels = self._labels if self._files is None else self._files.labels
        settled: Any = self._settled if self._files is None else self._files.settled
        second: Any = self._second if self._files is None else self._files.second
        depth = chunk_depth(self._geometry.shape)
        for lo in range(0, len(answer), depth):
            fresh = answer[lo : lo + depth]
            if np.array_equal(fresh, self.answer[lo : lo + depth]):
                continue
            planes = np.array(labels[:, lo : lo + depth])
            if second is not None:
                other = np.asarray(second[lo : lo + depth])
                second[lo : lo + depth] = np.where(other == planes[-1], fresh, other)
            planes[-1] = fresh
            labels[-1, lo : lo + depth] = fresh
            settled[lo : lo + depth] = self._counts.replace(lo, planes)
            self._labels[-1, lo : lo + depth] = fresh

    def finish(
        self,
        facts: Mapping[str, Array],
        windows: Array,
        units: Mapping[str, str],
        step_word: str,
        network_shape: Shape,
        slice_facts: Mapping[str, Array] | None = None,
        description: RunDescription | None = None,
    ) -> Trace:
        """Return the trace, and write the rest of its folder if it has one."""
        about = description or RunDescription()
        if self._files is not None:
            self._files.close()
        # The voxels that a step changed are known only when the step before it was kept.
        taken = max([self._steps, *(len(values) for values in facts.values())])
        counted = {CHANGED_VOXELS: self._counts.changed_per_slice.astype(np.float32)} if taken == self._steps else {}
        trace = Trace(
            labels=self._labels if self._files is None else self._files.labels,
            facts=facts,
            windows=windows,
            units={**units, **({CHANGED_VOXELS: "voxel"} if counted else {})},
            geometry=self._geometry,
            names=self._names,
            step_word=step_word,
            settled=self._settled if self._files is None else self._files.settled,
            second=self._second if self._files is None else self._files.second,
            network_shape=network_shape,
            step_counts=self._counts,
            extras=self._extras if self._files is None else self._files.extras,
            passport=self._passport,
            slice_facts={**counted, **(slice_facts or {})},
            maps=self._maps if self._files is None else self._files.maps,
            ranges={name: limits.values for name, limits in self._ranges.items()},
            areas=self._counts.areas,
            members=self._members if self._files is None else self._files.members,
            value_names=about.value_names,
            value_costs=about.value_costs,
            charts=about.charts,
            window_sets=about.window_sets,
            provenance=about.provenance,
        )
        if self._folder is not None:
            files.write_areas(self._counts.areas, self._folder)
            files.write_record(trace.record(), self._folder)
        return trace
