"""Which voxels differ between answers, and what each answer says there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtrace.errors import Cancelled
from voxtrace.trace.disagreement.answers import Answers
from voxtrace.trace.plane_writer import chunk_depth
from voxtrace.volume import Array

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DifferingVoxels:
    """The n voxels on which not all of R answers have one label.

    Attributes
    ----------
    indices
        (n,) positions in the flattened grid (Z, Y, X), ascending.
    values
        (R, n) the label that each answer gives them.
    answer
        (n,) the label that is shown.
    other
        (n,) the other side: for steps the label before the last change, else the commonest label beside the answer.
    counts
        Voxels of each label value in the answer, over the whole grid.
    """

    indices: Indices
    values: Array
    answer: Array
    other: Array
    counts: Indices


def differing_voxels(answers: Answers, cancel: Callable[[], bool] = lambda: False) -> DifferingVoxels:
    """Return the voxels that differ; memory follows their number, not the size of the grid.

    Raises
    ------
    Cancelled
        ``cancel`` returned true.
    """
    depth, (nz, ny, nx) = chunk_depth(answers.geometry.shape), answers.geometry.shape
    found: list[tuple[Indices, Array, Array]] = []
    counts = np.zeros(0, np.int64)
    for z in range(0, nz, depth):
        if cancel():
            raise Cancelled("the search for places was stopped.")
        planes = [np.ravel(row[z : z + depth]) for row in answers.rows]
        flat = _differing(planes)
        if flat.size or answers.counts is None:
            shown = np.ravel(answers.answer[z : z + depth])
            found.append((flat + z * ny * nx, np.stack([labels[flat] for labels in planes]), shown[flat]))
            counts = _added(counts, np.bincount(shown)) if answers.counts is None else counts
    return _gathered(answers, found, counts)


def _gathered(answers: Answers, found: list[tuple[Indices, Array, Array]], counts: Indices) -> DifferingVoxels:
    indices = np.concatenate([np.zeros(0, np.int64), *(one for one, _, _ in found)])
    values = np.concatenate([np.zeros((len(answers.rows), 0), np.uint8), *(one for _, one, _ in found)], axis=1)
    answer = np.concatenate([np.zeros(0, np.uint8), *(one for _, _, one in found)])
    other = _before_last_change(values) if answers.kind == "steps" else _commonest_beside(answer, values)
    known = counts if answers.counts is None else np.asarray(answers.counts, np.int64)
    return DifferingVoxels(indices, values, answer, other, known)


def _differing(planes: list[Array]) -> Indices:
    differs = planes[0] != planes[1]
    for labels in planes[2:]:
        differs |= labels != planes[0]
    return np.flatnonzero(differs)


def _before_last_change(values: Array) -> Array:
    """Return for each voxel the last value that differs from that of the last row."""
    other: Array = values[0].copy()
    for row in values[1:-1]:
        other = np.where(row != values[-1], row, other)
    return other


def _commonest_beside(answer: Array, values: Array) -> Array:
    """Return for each voxel the value of most rows among those that differ from the answer; the first of equals."""
    other, most = answer.copy(), np.zeros(answer.shape, np.int64)
    for row in values:
        votes = np.where(row == answer, 0, np.count_nonzero(values == row, axis=0))
        other = np.where(votes > most, row, other)
        most = np.maximum(votes, most)
    return other


def _added(counts: Indices, more: Indices) -> Indices:
    length = max(counts.size, more.size)
    both: Indices = np.pad(counts, (0, length - counts.size)) + np.pad(more, (0, length - more.size))
    return both
