"""Tally: what is counted of the steps while their planes pass by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxtrace.volume import Array

Counts = npt.NDArray[np.int64]


class Tally:
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

    @staticmethod
    def empty(steps: int, n_labels: int) -> Tally:
        """Return a tally that has seen nothing."""
        return Tally(np.zeros((steps, n_labels), np.int64), np.zeros(steps, np.int64))

    def add(self, planes: Array) -> npt.NDArray[np.uint8]:
        """Count planes (S, n, Y, X); return (n, Y, X), the last step at which each voxel changed (0 if none did)."""
        settled = np.zeros(planes.shape[1:], np.uint8)
        for step, labels in enumerate(planes):
            counts = self._count(step, labels)
            if step == 0:
                self.changed[0] += labels.size - counts[0]
                continue
            changed = labels != planes[step - 1]
            self.changed[step] += np.count_nonzero(changed)
            settled[changed] = step
        return settled

    def _count(self, step: int, labels: Array) -> Counts:
        """Count the labels of one step, and return how many of each value there were."""
        counts = np.bincount(labels.ravel(), minlength=self.counts.shape[1])
        beyond = counts.size - self.counts.shape[1]
        if beyond > 0:  # a label value that nobody named
            self.counts = np.pad(self.counts, ((0, 0), (0, beyond)))
        self.counts[step] += counts
        return counts
