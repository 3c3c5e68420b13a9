"""Agreement of a label map with a reference: Dice, surface distances in mm, volumes in mL.

Label maps must lie on one grid; masks are boolean arrays (Z, Y, X).

Value for absent labels
-----------------------
============== ==== === ========
label absent   Dice NSD HD95 mm
============== ==== === ========
on both sides  1    1   0
on one side    0    0   infinity
============== ==== === ========

Means leave out a label that is absent on both sides of a case (:func:`in_either`), unless they count it as above
(:func:`counted_absent`, as BraTS does). The mean of a case is that of its labels, and of several cases that of theirs.

A surface voxel is a voxel of the mask with a face neighbour outside it; beyond the image counts as outside. Distances
are between centres of surface voxels, so they are 0 where both masks agree, at any spacing.

References
----------
Nikolov et al., Deep learning to achieve clinically applicable segmentation of head and neck anatomy, 2021 (NSD).
Maier-Hein et al., Metrics reloaded, Nature Methods 2024 (HD95: the larger of both directed 95th percentiles).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy  # its parts are loaded where they are used

from voxtrace.errors import GeometryError, InputError
from voxtrace.plan.regions import LabelRegion
from voxtrace.volume import Array, LabelMap, Triple

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """Agreement of one label of a prediction with the reference.

    Attributes
    ----------
    dice, nsd
        From 0 (nothing in common) to 1 (equal); NSD at ``tolerance_mm``.
    hd95_mm
        95th percentile of the surface distance, in mm; infinite when one side does not have the label.
    nsd_2mm
        NSD at 2 mm, whatever ``tolerance_mm`` is.
    volume_ml, reference_ml
        Volumes in mL.
    """

    label: int
    name: str
    dice: float
    nsd: float
    hd95_mm: float
    tolerance_mm: float
    volume_ml: float
    reference_ml: float
    nsd_2mm: float

    @property
    def volume_bias_ml(self) -> float:
        """Predicted minus true volume in mL; above 0 where too much is found."""
        return self.volume_ml - self.reference_ml

    @property
    def volume_error_ml(self) -> float:
        """The absolute difference of the volumes in mL."""
        return abs(self.volume_bias_ml)


WIDE_MM = 2.0  # tolerance of nsd_2mm
SPARSE = 100  # voxels of the box for each of the surfaces, above which a tree is faster than a distance map

# What is averaged over cases: the field of Scores, and its heading and number format in tables. A new metric is a
# function, a field of Scores that `_scores` fills, and an entry here.
MEASURES: Mapping[str, tuple[str, str]] = {
    "dice": ("Dice", ".4f"),
    "nsd": ("NSD", ".4f"),
    "hd95_mm": ("HD95 mm", ".2f"),
    "nsd_2mm": ("NSD 2 mm", ".4f"),
    "volume_bias_ml": ("bias mL", "+.3f"),
    "volume_error_ml": ("error mL", ".3f"),
}


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % bootstrap interval, over ``count`` finite values."""

    mean: float
    low: float
    high: float
    count: int


def dice(prediction: LabelMap, reference: LabelMap, label: int, absent: float = 1.0) -> float:
    """Return twice the common voxels over the sum of both sides' voxels; ``absent`` when neither has the label."""
    return _dice(*_masks(prediction, reference, label), absent)


def nsd(prediction: LabelMap, reference: LabelMap, label: int, tolerance_mm: float = 1.0) -> float:
    """Return the fraction of both surfaces that lies within the tolerance of the other.

    It is 1 when neither side has the label and 0 when only one has.
    """
    masks = _masks(prediction, reference, label)
    return _nsd(*surface_distances_mm(*masks, reference.geometry.spacing_mm), tolerance_mm)


def hd95_mm(prediction: LabelMap, reference: LabelMap, label: int) -> float:
    """Return the 95th percentile of the surface distance in mm.

    It is 0 when neither side has the label and infinite when only one has.
    """
    masks = _masks(prediction, reference, label)
    return _hd95_mm(*surface_distances_mm(*masks, reference.geometry.spacing_mm))


def volume_ml(labels: LabelMap, label: int) -> float:
    """Return the volume of a label in mL."""
    return int(np.count_nonzero(labels.data == label)) * labels.geometry.voxel_ml


def region_ml(labels: LabelMap, region: LabelRegion) -> float:
    """Return the volume of a region in mL."""
    return int(np.count_nonzero(region.inside(labels.data))) * labels.geometry.voxel_ml


def surface(mask: Mask) -> Mask:
    """Return the voxels of a mask that have a face neighbour outside it."""
    return np.asarray(mask & ~scipy.ndimage.binary_erosion(mask, scipy.ndimage.generate_binary_structure(3, 1)))


def surface_distances_mm(prediction: Mask, reference: Mask, spacing_mm: Triple) -> tuple[Array, Array]:
    """Return the distance in mm from each surface voxel of one mask to the nearest of the other, both ways.

    The first array has one entry for each surface voxel of the prediction, the second for each of the reference. All
    entries are infinite when the other mask is empty; an empty mask gives an empty array.
    """
    # One box for both masks: their voxels must stay aligned.
    box = _box(prediction | reference)
    one, other = surface(_cut(prediction, box)), surface(_cut(reference, box))
    return _distances_mm(one, other, spacing_mm), _distances_mm(other, one, spacing_mm)


def evaluate_case(prediction: LabelMap, reference: LabelMap, tolerance_mm: float = 1.0) -> dict[int, Scores]:
    """Return the scores of every label that either map names or contains, by label value, without the background.

    Raises
    ------
    GeometryError
        The maps do not lie on one grid.
    """
    _check_one_grid(prediction, reference)
    labels = {*prediction.values, *reference.values, *prediction.names, *reference.names} - {0}
    names = {**prediction.names, **reference.names}
    return {k: _scores(prediction, reference, k, names.get(k, f"label {k}"), tolerance_mm) for k in sorted(labels)}


def in_either(found: Mapping[int, Scores]) -> dict[int, Scores]:
    """Return the scores of labels that either side of a case has; those of a label in neither are undefined."""
    return {label: scores for label, scores in found.items() if scores.volume_ml > 0 or scores.reference_ml > 0}


def counted_absent(
    found: Mapping[int, Scores], labels: Mapping[int, str], tolerance_mm: float = 1.0
) -> dict[int, Scores]:
    """Return scores with those of every other label (value -> name) as absent on both sides: 1, HD95 0 mm, 0 mL.

    So BraTS counts a region that is rightly not found.
    """
    both = {value: Scores(value, name, 1.0, 1.0, 0.0, tolerance_mm, 0.0, 0.0, 1.0) for value, name in labels.items()}
    return dict(sorted({**both, **found}.items()))


def case_mean(found: Mapping[int, Scores], measure: str) -> float:
    """Return the mean of a measure over the labels of a case, as :func:`finite_mean`."""
    return finite_mean(getattr(scores, measure) for scores in found.values())


def finite_mean(values: Iterable[float]) -> float:
    """Return the mean of the finite values; NaN when there are none."""
    finite = _finite(values)
    return float(finite.mean()) if finite.size else float("nan")


def without_ignored(prediction: LabelMap, reference: LabelMap, ignored: int | None) -> tuple[LabelMap, LabelMap]:
    """Return both maps with background where the reference has the value ``ignored``; None leaves them as they are.

    Voxels that nobody annotated then count neither for nor against a prediction.

    Raises
    ------
    GeometryError
        The maps do not lie on one grid.
    """
    if ignored is None:
        return prediction, reference
    _check_one_grid(prediction, reference)
    left_out = reference.data == ignored
    names = {value: name for value, name in reference.names.items() if value != ignored}
    shown = replace(reference, data=np.where(left_out, 0, reference.data), names=names)
    return replace(prediction, data=np.where(left_out, 0, prediction.data)), shown


def evaluate_label(prediction: LabelMap, reference: LabelMap, label: int, tolerance_mm: float = 1.0) -> Scores:
    """Return the scores of one label.

    Raises
    ------
    GeometryError
        The maps do not lie on one grid.
    """
    _check_one_grid(prediction, reference)
    name = reference.names.get(label) or prediction.names.get(label, f"label {label}")
    return _scores(prediction, reference, label, name, tolerance_mm)


def region_maps(labels: LabelMap, regions: Sequence[LabelRegion]) -> Iterator[LabelMap]:
    """Yield for each region the label map (Z, Y, X) bool in which it has the value 1 and its name."""
    for region in regions:
        yield replace(labels, data=region.inside(labels.data), names={1: region.name}, colours={})


def check_in_regions(maps: Iterable[LabelMap], regions: Sequence[LabelRegion]) -> None:
    """Refuse a label map with a value that is in no region, which no score would tell of; nothing without regions.

    Raises
    ------
    InputError
        There is such a value.
    """
    known = {value for region in regions for value in region.values}
    for labels in maps if regions else ():
        if strange := sorted({*labels.values} - known):
            raise InputError(
                f"{labels.name} holds the label value {strange[0]}, which is in none of the regions "
                f"{', '.join(region.name for region in regions)}; give the regions of these label maps."
            )


def evaluate_regions(
    prediction: LabelMap, reference: LabelMap, regions: Sequence[LabelRegion], tolerance_mm: float = 1.0
) -> dict[int, Scores]:
    """Return the scores of every region, numbered from 1 in their order; a voxel counts for each that it lies in.

    Raises
    ------
    GeometryError
        The maps do not lie on one grid.
    InputError
        One of them has a label value that is in no region.
    """
    check_in_regions((prediction, reference), regions)
    pairs = zip(region_maps(prediction, regions), region_maps(reference, regions), strict=True)
    return {
        number: replace(evaluate_label(*pair, 1, tolerance_mm), label=number) for number, pair in enumerate(pairs, 1)
    }


def mean_interval(values: Iterable[float], seed: int = 0, resamples: int = 2000) -> Interval:
    """Return the mean of the finite values with its 95 % percentile-bootstrap interval; NaN when there are none.

    Infinite distances (a label missing on one side) and NaN are excluded; ``count`` is the number of the others. The
    order of the values does not matter.
    """
    finite = np.sort(_finite(values))
    if not finite.size:
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    # Percentile bootstrap: no assumption about the distribution.
    rng = np.random.default_rng(seed)
    many = max(1, 1_000_000 // finite.size)  # resamples at a time, for the memory
    parts = [min(many, resamples - start) for start in range(0, resamples, many)]
    means = np.concatenate([finite[rng.integers(0, finite.size, (n, finite.size))].mean(axis=1) for n in parts])
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(finite.mean()), float(low), float(high), int(finite.size))


def _finite(values: Iterable[float]) -> Array:
    found = np.asarray(list(values), dtype=np.float64)
    return found[np.isfinite(found)]


def _scores(prediction: LabelMap, reference: LabelMap, label: int, name: str, tolerance_mm: float) -> Scores:
    masks = prediction.data == label, reference.data == label
    # Both directions once, for NSD and HD95.
    there, back = surface_distances_mm(*masks, reference.geometry.spacing_mm)
    return Scores(
        label=label,
        name=name,
        dice=_dice(*masks),
        nsd=_nsd(there, back, tolerance_mm),
        hd95_mm=_hd95_mm(there, back),
        tolerance_mm=tolerance_mm,
        volume_ml=volume_ml(prediction, label),
        reference_ml=volume_ml(reference, label),
        nsd_2mm=_nsd(there, back, WIDE_MM),
    )


def _check_one_grid(prediction: LabelMap, reference: LabelMap) -> None:
    if not prediction.geometry.is_close(reference.geometry):
        raise GeometryError(
            f"{prediction.name} {prediction.geometry.shape} does not lie on the grid of {reference.name} "
            f"{reference.geometry.shape}; expected one grid. Resample one onto the other first."
        )


def _masks(prediction: LabelMap, reference: LabelMap, label: int) -> tuple[Mask, Mask]:
    _check_one_grid(prediction, reference)
    return prediction.data == label, reference.data == label


def _dice(prediction: Mask, reference: Mask, absent: float = 1.0) -> float:
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(reference))
    return 2.0 * int(np.count_nonzero(prediction & reference)) / total if total else absent


def _nsd(there_mm: Array, back_mm: Array, tolerance_mm: float) -> float:
    total = there_mm.size + back_mm.size
    near = int(np.count_nonzero(there_mm <= tolerance_mm)) + int(np.count_nonzero(back_mm <= tolerance_mm))
    return near / total if total else 1.0


def _hd95_mm(there_mm: Array, back_mm: Array) -> float:
    if not there_mm.size and not back_mm.size:
        return 0.0
    if not there_mm.size or not back_mm.size:
        return float("inf")
    return float(max(np.percentile(there_mm, 95), np.percentile(back_mm, 95)))


def _distances_mm(from_surface: Mask, to_surface: Mask, spacing_mm: Sequence[float]) -> Array:
    if not to_surface.any():
        return np.full(int(np.count_nonzero(from_surface)), np.inf)
    if np.count_nonzero(from_surface | to_surface) * SPARSE < to_surface.size:
        return _distances_of_few(from_surface, to_surface, spacing_mm)
    to_nearest: Array = scipy.ndimage.distance_transform_edt(~to_surface, sampling=spacing_mm)
    return to_nearest[from_surface]


def _distances_of_few(from_surface: Mask, to_surface: Mask, spacing_mm: Sequence[float]) -> Array:
    """Return the same distances from a tree of the surface voxels: a map around two far specks would take a minute."""
    apart = ~to_surface[from_surface]
    distances = np.zeros(apart.shape)
    voxels, others = np.argwhere(from_surface)[apart], np.argwhere(to_surface)
    nearest = scipy.spatial.cKDTree(others * spacing_mm).query(voxels * np.asarray(spacing_mm))[1]
    # from whole voxels, as in the map, so that 1 mm is not above a tolerance of 1 mm by rounding
    distances[apart] = np.sqrt((((voxels - others[nearest]) * spacing_mm) ** 2).sum(axis=1))
    return distances


def _box(mask: Mask) -> tuple[slice, ...]:
    """Return the smallest box around a mask; an empty box for an empty mask."""
    # Nearest surface voxels lie inside the box, and a distance map of a whole scan would take seconds.
    found = scipy.ndimage.find_objects(mask.astype(np.uint8))
    return tuple(found[0]) if found else (slice(0, 0),) * 3


def _cut(mask: Mask, box: tuple[slice, ...]) -> Mask:
    return mask[box] if mask[box].size else np.zeros((1, 1, 1), dtype=np.bool_)
