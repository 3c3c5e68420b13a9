"""Counts and ranges that are taken while planes pass by, so that no array is read a second time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxtrace.volume import Array

Counts = npt.NDArray[np.int64]


class StepCounts:
    """Voxels of each label at each step, and voxels that each step changed.

    Attributes
    ----------
    counts
        (S, K) voxels of each label value.
    changed
        (S,) voxels whose label differs from the step before; the first step is compared with background.
    """

    def __init__(self, counts: Counts, changed: Counts) -> None:
        self.counts = counts
        self.changed = changed
        self._slices: list[Counts] = []

    @staticmethod
    def empty(steps: int, n_labels: int) -> StepCounts:
        """Return counts of zero."""
        return StepCounts(np.zeros((steps, n_labels), np.int64), np.zeros(steps, np.int64))

    @property
    def changed_per_slice(self) -> Counts:
        """Changed voxels of each plane that was added, (S, planes), in the order in which they were added."""
        return np.stack(self._slices, axis=1) if self._slices else np.zeros((len(self.changed), 0), np.int64)

    def add(self, planes: Array) -> npt.NDArray[np.uint8]:
        """Count planes (S, n, Y, X); return (n, Y, X), the last step at which each voxel changed (0 if none did)."""
        settled = np.zeros(planes.shape[1:], np.uint8)
        changed = np.zeros((planes.shape[1], len(planes)), np.int64)
        for step, labels in enumerate(planes):
            self._count(step, labels)
            differs = labels != (0 if step == 0 else planes[step - 1])
            changed[:, step] = [np.count_nonzero(plane) for plane in differs]  # faster than along an axis
            if step:
                settled[differs] = step
        self._slices += list(changed)
        self.changed += changed.sum(0)
        return settled

    def _count(self, step: int, labels: Array) -> None:
        """Count the labels of one step."""
        counts = np.bincount(labels.ravel(), minlength=self.counts.shape[1])
        beyond = counts.size - self.counts.shape[1]
        if beyond > 0:  # a label value without a name
            self.counts = np.pad(self.counts, ((0, 0), (0, beyond)))
        self.counts[step] += counts


class MapRange:
    """Smallest and largest finite value of a scalar map at each step.

    Attributes
    ----------
    values
        (S, 2) float32; NaN where a step has no finite value.
    """

    def __init__(self, steps: int) -> None:
        self.values = np.full((steps, 2), np.nan, np.float32)

    def add(self, planes: Array) -> None:
        """Take planes (S, n, Y, X) into account."""
        for step, values in enumerate(planes):
            finite = values[np.isfinite(values)]
            if finite.size:
                low, high = self.values[step]
                self.values[step] = np.fmin(low, finite.min()), np.fmax(high, finite.max())
