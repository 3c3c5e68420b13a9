"""Counts and ranges that are taken while planes pass by, so that no array is read a second time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxtrace.volume import Array

Counts = npt.NDArray[np.int64]


def step_type(steps: int) -> type[np.uint8] | type[np.uint16]:
    """Return the type of numbers that holds each of so many steps, counted from 0.

    >>> step_type(256).__name__, step_type(257).__name__
    ('uint8', 'uint16')
    """
    return np.uint8 if steps <= 256 else np.uint16


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
        self._areas: list[Counts] = []  # of each plane (S, K), a plane with an unnamed label more

    @staticmethod
    def empty(steps: int, n_labels: int) -> StepCounts:
        """Return counts of zero."""
        return StepCounts(np.zeros((steps, n_labels), np.int64), np.zeros(steps, np.int64))

    @property
    def changed_per_slice(self) -> Counts:
        """Changed voxels of each plane that was added, (S, planes), in the order in which they were added."""
        return np.stack(self._slices, axis=1) if self._slices else np.zeros((len(self.changed), 0), np.int64)

    @property
    def areas(self) -> Counts:
        """Voxels of each label in each plane that was added, (S, planes, K), in the order in which they were added."""
        areas = np.zeros((len(self.counts), len(self._areas), self.counts.shape[1]), np.int64)
        for z, of_plane in enumerate(self._areas):
            areas[:, z, : of_plane.shape[1]] = of_plane
        return areas

    def add(self, planes: Array) -> Array:
        """Count planes (S, n, Y, X); return (n, Y, X), the last step at which each voxel changed (0 if none did)."""
        settled = np.zeros(planes.shape[1:], step_type(len(planes)))
        changed = np.zeros((planes.shape[1], len(planes)), np.int64)
        self._areas += [self._count(planes[:, z]) for z in range(planes.shape[1])]
        for step, labels in enumerate(planes):
            differs = labels != (0 if step == 0 else planes[step - 1])
            changed[:, step] = [np.count_nonzero(plane) for plane in differs]  # faster than along an axis
            if step:
                settled[differs] = step
        self._slices += list(changed)
        self.changed += changed.sum(0)
        return settled

    def replace(self, first: int, planes: Array) -> Array:
        """Count planes (S, n, Y, X) in place of numbers ``first`` and up, as they were added; return as :meth:`add`.

        They have no label values that were not seen before.
        """
        fresh = StepCounts.empty(len(self.changed), self.counts.shape[1])
        settled = fresh.add(planes)
        for z, (areas, changed) in enumerate(zip(fresh._areas, fresh._slices, strict=True), start=first):
            before = self._areas[z]
            now = areas[:, : before.shape[1]]
            self.counts[:, : before.shape[1]] += now - before
            self.changed += changed - self._slices[z]
            self._areas[z], self._slices[z] = now, changed
        return settled

    def _count(self, plane: Array) -> Counts:
        """Count the labels of one plane (S, Y, X) and return them, (S, K)."""
        found = [np.bincount(labels.ravel(), minlength=self.counts.shape[1]) for labels in plane]
        n_labels = max(counts.size for counts in found)
        if n_labels > self.counts.shape[1]:  # a label value without a name
            self.counts = np.pad(self.counts, ((0, 0), (0, n_labels - self.counts.shape[1])))
        of_plane = np.stack([np.pad(counts, (0, n_labels - counts.size)) for counts in found])
        self.counts += of_plane
        return of_plane


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
