"""Recorder: takes finished planes from the engine and makes a Trace of them, in memory or on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from voxtrace.passport import Passport
from voxtrace.trace import files
from voxtrace.trace.tally import Tally
from voxtrace.trace.trace import Trace
from voxtrace.volume import Array, Geometry, Shape


class Recorder:
    """Collects label planes in ascending z.

    The last step is always held in memory (it is the answer); the steps before it and all extras lie in memory when
    ``folder`` is None, otherwise in ``folder`` on disk.
    """

    def __init__(
        self,
        steps: int,
        geometry: Geometry,
        names: Mapping[int, str],
        folder: Path | None = None,
        extras: Sequence[str] = (),
        passport: Passport | None = None,
    ) -> None:
        self._passport = passport or Passport()
        self._geometry, self._names, self._folder, self._steps = geometry, dict(names), folder, steps
        dtype = np.uint8 if max(names, default=0) < 256 else np.uint16
        self._tally = Tally.empty(steps, max(names, default=0) + 1)
        self._done = 0
        self._files = None if folder is None else files.ArrayFiles(folder, (steps, *geometry.shape), dtype, extras)
        self._labels = np.zeros((1 if folder else steps, *geometry.shape), dtype)
        shape = (steps, *geometry.shape)
        self._extras = {name: np.zeros(shape, dtype) for name in ([] if folder else extras)}
        self._settled = None if folder else np.zeros(geometry.shape, np.uint8)

    @property
    def answer(self) -> Array:
        """The last step's labels, (Z, Y, X)."""
        answer: Array = self._labels[-1]
        return answer

    def add(self, planes: Array) -> None:
        """Append planes (S, n, Y, X) of the answer and, after them along the first axis, of each extra."""
        lo, self._done = self._done, self._done + planes.shape[1]
        planes, *extras = (planes[first : first + self._steps] for first in range(0, len(planes), self._steps))
        settled = self._tally.add(planes)
        self._labels[:, lo : self._done] = planes[-self._labels.shape[0] :]
        if self._files is not None:
            self._files.add(planes, settled, extras)
        for kept, fresh in zip(self._extras.values(), extras if self._files is None else (), strict=True):
            kept[:, lo : self._done] = fresh
        if self._settled is not None:
            self._settled[lo : self._done] = settled

    def finish(
        self,
        facts: Mapping[str, Array],
        windows: Array,
        units: Mapping[str, str],
        step_word: str,
        network_shape: Shape,
    ) -> Trace:
        """Return the trace, and write the rest of its folder if it has one."""
        if self._files is not None:
            self._files.close()
        trace = Trace(
            labels=self._labels if self._files is None else self._files.labels,
            facts=facts,
            windows=windows,
            units=units,
            geometry=self._geometry,
            names=self._names,
            step_word=step_word,
            settled=self._settled if self._files is None else self._files.settled,
            network_shape=network_shape,
            tally=self._tally,
            extras=self._extras if self._files is None else self._files.extras,
            passport=self._passport,
        )
        if self._folder is not None:
            files.write_record(trace, self._folder)
        return trace
