"""Places to look at: regions on which answers differ, by mL at stake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from voxtrace.trace.disagreement import words
from voxtrace.trace.disagreement.answers import Answers
from voxtrace.trace.disagreement.differing import DifferingVoxels, Indices, differing_voxels
from voxtrace.trace.disagreement.joining import join
from voxtrace.volume import Array, Shape


@dataclass(frozen=True)
class PlaceLimits:
    """Which regions are worth a look; smaller ones are calm.

    A region is listed from ``fraction`` of the volume of its label on, but always from ``most_ml`` and never below
    ``least_ml``; at most ``count`` regions are listed.
    """

    least_ml: float = 0.05
    fraction: float = 0.01
    most_ml: float = 0.5
    count: int = 100

    def of(self, label_ml: float) -> float:
        """Return the smallest region that is listed for a label of a volume, in mL."""
        return min(max(self.fraction * label_ml, self.least_ml), max(self.most_ml, self.least_ml))


@dataclass(frozen=True, eq=False)
class Place:
    """A region on which the answers differ.

    Attributes
    ----------
    ml
        The volume of the voxels that differ.
    label, other
        What is shown, and what the other side says, in most of its voxels.
    sentence
        What disagrees, e.g. "3 of 5 seeds say tumour".
    voxel
        (z, y, x) of a voxel that differs, in the middle of the slice with most of them.
    box
        (z0, y0, x0, z1, y1, x1) in voxels, ends excluded.
    is_thin
        Whether it is nowhere thicker than a few millimetres, as along a border.
    indices, others
        (n,) positions in the flattened grid (Z, Y, X), and the label of the other side at each.
    """

    ml: float
    label: int
    other: int
    sentence: str
    voxel: tuple[int, int, int]
    box: tuple[int, int, int, int, int, int]
    is_thin: bool
    indices: Indices
    others: Array

    @property
    def concerned(self) -> int:
        """The label that the place is about: the shown one, or the other where background is shown."""
        return self.label or self.other


@dataclass(frozen=True)
class Undecided:
    """How much of a label is undecided: mL that some but not all answers give it, and mL of it in what is shown."""

    value: int
    name: str
    undecided_ml: float
    answer_ml: float

    @property
    def sentence(self) -> str:
        """E.g. "12.0 mL of 148 mL liver undecided"."""
        return words.undecided(self.undecided_ml, self.answer_ml, self.name)


@dataclass(frozen=True, eq=False)
class Disagreement:
    """Where answers differ: places from the largest on (thin ones last), and the calm rest.

    Attributes
    ----------
    answers
        What was compared.
    places
        Regions to look at.
    calm_ml, calm_count
        Volume and number of the regions that are too small to be listed.
    labels
        How much of each label is undecided, most first; labels without a doubt are left out.
    """

    answers: Answers
    places: tuple[Place, ...]
    calm_ml: float
    calm_count: int
    labels: tuple[Undecided, ...]

    @property
    def places_ml(self) -> float:
        """The volume of all places."""
        return sum(place.ml for place in self.places)


def regions(
    answers: Answers, limits: PlaceLimits = PlaceLimits(), cancel: Callable[[], bool] = lambda: False
) -> Disagreement:
    """Return the regions on which answers differ, ordered by mL at stake, thin borders after thick regions.

    Raises
    ------
    Cancelled
        ``cancel`` returned true.
    """
    voxels, geometry = differing_voxels(answers, cancel), answers.geometry
    region, spots = join(voxels, geometry.shape, geometry.spacing_mm)
    sizes = np.bincount(region)
    places = tuple(_places(answers, voxels, limits, region, sizes, spots))
    total_ml = voxels.indices.size * geometry.voxel_ml
    calm_ml = max(0.0, total_ml - sum(place.ml for place in places))
    return Disagreement(answers, places, calm_ml, sizes.size - len(places), _undecided(answers, voxels))


def _places(
    answers: Answers, voxels: DifferingVoxels, limits: PlaceLimits, region: Indices, sizes: Indices, spots: int
) -> Iterator[Place]:
    voxel_ml, ids = answers.geometry.voxel_ml, np.arange(sizes.size)
    largest_first = np.lexsort((ids, -sizes, ids >= spots))
    order = np.argsort(region, kind="stable")
    ends = np.cumsum(sizes)
    made = 0
    for one in largest_first:
        if made == limits.count:
            return
        if sizes[one] * voxel_ml < limits.least_ml:
            continue
        place = _place(answers, voxels, order[ends[one] - sizes[one] : ends[one]], one >= spots)
        counts = voxels.counts
        label_ml = float(counts[place.concerned]) * voxel_ml if place.concerned < counts.size else 0.0
        if place.ml >= limits.of(label_ml):
            made += 1
            yield place


def _place(answers: Answers, voxels: DifferingVoxels, own: Indices, is_thin: bool) -> Place:
    """Return the place made of the voxels at positions ``own`` of those that differ."""
    label, other = _pair(voxels.answer[own], voxels.other[own])
    indices = voxels.indices[own]
    where = np.stack(np.unravel_index(indices, answers.geometry.shape))
    low, high = where.min(1), where.max(1) + 1
    return Place(
        ml=own.size * answers.geometry.voxel_ml,
        label=label,
        other=other,
        sentence=words.what_differs(answers, voxels.values[:, own], label, other),
        voxel=_middle(where),
        box=(int(low[0]), int(low[1]), int(low[2]), int(high[0]), int(high[1]), int(high[2])),
        is_thin=bool(is_thin),
        indices=indices,
        others=voxels.other[own],
    )


def _pair(answer: Array, other: Array) -> tuple[int, int]:
    """Return the commonest pair of shown and other label."""
    pairs, counts = np.unique(answer.astype(np.int64) * 65536 + other, return_counts=True)
    first, second = divmod(int(pairs[np.argmax(counts)]), 65536)
    return first, second


def _middle(where: Indices) -> tuple[int, int, int]:
    """Return the voxel nearest to the centre of the slice with most voxels."""
    z = int(np.bincount(where[0]).argmax())
    in_slice = where[1:, where[0] == z]
    distance = np.square(in_slice - in_slice.mean(1, keepdims=True)).sum(0)
    y, x = in_slice[:, np.argmin(distance)]
    return z, int(y), int(x)


def _undecided(answers: Answers, voxels: DifferingVoxels) -> tuple[Undecided, ...]:
    voxel_ml, found = answers.geometry.voxel_ml, []
    for value in np.unique(voxels.values):
        if value:
            doubted = int(np.count_nonzero((voxels.values == value).any(0)))
            shown = int(voxels.counts[value]) if value < voxels.counts.size else 0
            name = answers.name_of(int(value))
            found.append(Undecided(int(value), name, doubted * voxel_ml, shown * voxel_ml))
    return tuple(sorted(found, key=lambda one: -one.undecided_ml))


def unravel(place: Place, shape: Shape) -> tuple[Indices, Indices, Indices]:
    """Return z, y and x of each voxel of a place."""
    z, y, x = np.unravel_index(place.indices, shape)
    return z, y, x
