"""From a dataset to a plan: fingerprint it, then fix spacing, window, normalisation and budget (after nnU-Net).

*Fingerprint*: medians over cases; mm and voxels; one value an axis. *Spacing*: the median, or the finest tenth along an
axis three times coarser than the others; mm. *Window*: the largest box of the median case that fits a budget of voxels;
(Z, Y, X).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from voxtrace.errors import DatasetError
from voxtrace.plan import Normalisation, Plan, Shape, Topology, Triple, check_divisible, plan_topology
from voxtrace.training.dataset import Dataset
from voxtrace.volume import Array, Case

SAMPLES_PER_CASE = 10_000
SHORT_AUGMENTATION = 2 / 3  # a short run underfits, and strong augmentation adds to it
SMALL_WINDOW = 0.25  # fraction of the median case; for smaller windows nnU-Net sums Dice over the batch
_SMALLEST_STD = 1e-8  # of intensities that are all alike, as in nnU-Net
LEAST_WINDOW = 8  # voxels along two axes, which leave 4 after one pooling
MOST_OF_DATASET = 0.05  # of its voxels in one update, as nnU-Net has it
MOSTLY_EMPTY = 0.25  # fraction of exact zeros above which MR counts as skull-stripped


@dataclass(frozen=True)
class Fingerprint:
    """Shapes, spacings and intensities of a dataset.

    Attributes
    ----------
    shapes, spacings_mm
        One entry a case, (Z, Y, X).
    foreground
        Per channel: (0.5 %, 99.5 % percentile, mean, standard deviation) of intensities under a label.
    zero_fraction
        Median fraction of voxels that are exactly 0 in every channel.
    """

    shapes: tuple[Shape, ...]
    spacings_mm: tuple[Triple, ...]
    foreground: tuple[tuple[float, float, float, float], ...]
    zero_fraction: float

    @property
    def median_spacing_mm(self) -> Triple:
        """Median spacing along (Z, Y, X)."""
        return _triple(np.median(self.spacings_mm, axis=0))


@dataclass(frozen=True, eq=False)
class CaseMeasures:
    """What the fingerprint takes from one case.

    Attributes
    ----------
    shape, spacing_mm
        Of the scan, (Z, Y, X).
    samples
        (C, N) intensities of at most 10,000 voxels under a label.
    zero_fraction
        Fraction of voxels that are exactly 0 in every channel.
    """

    shape: Shape
    spacing_mm: Triple
    samples: Array
    zero_fraction: float


@dataclass(frozen=True)
class Budget:
    """Limits of a machine: voxels in one optimiser update, width of the network, number of updates."""

    voxels: int
    base_width: int
    iterations: int
    most_stages: int = 6
    short: bool = False  # too few updates to learn anatomy mirrored along every axis


CPU = Budget(voxels=360_000, base_width=16, iterations=5_500, most_stages=5, short=True)
CUDA_VOXELS_PER_GB = 420_000  # 2 × 128³ at width 32 need about 10 GB, mixed precision


def fingerprint(cases: Iterable[Case], seed: int = 0) -> Fingerprint:
    """Read every case once and return what the dataset looks like."""
    scan = scan_cases(cases, seed)
    while True:
        try:
            next(scan)
        except StopIteration as end:
            found: Fingerprint = end.value
            return found


def scan_cases(cases: Iterable[Case], seed: int = 0, ignored: int | None = None) -> Generator[int, None, Fingerprint]:
    """Yield the number of cases read so far; return what the dataset looks like.

    Raises
    ------
    DatasetError
        There is no case, or none has a labelled voxel.
    """
    measured: list[CaseMeasures] = []
    for case in cases:
        measured.append(measure_case(case, seed, ignored))
        yield len(measured)
    return combine(measured)


def measure_case(case: Case, seed: int = 0, ignored: int | None = None) -> CaseMeasures:
    """Return what the fingerprint takes from a case; voxels with the label ``ignored`` are left out."""
    # seeded by the case's name, so that a case added to the dataset changes no other's sample
    rng = np.random.default_rng([seed, zlib.crc32(case.name.encode("utf-8", "surrogatepass"))])
    geometry = case.volume.geometry
    zeros = float(np.mean(np.all(case.volume.data == 0, axis=0)))
    return CaseMeasures(geometry.shape, geometry.spacing_mm, _foreground(case, rng, ignored), zeros)


def combine(measured: Sequence[CaseMeasures]) -> Fingerprint:
    """Return the fingerprint of a dataset, given what was measured of each case.

    Raises
    ------
    DatasetError
        There is no case, or none has a labelled voxel.
    """
    if not measured:
        raise DatasetError("a dataset without cases cannot be planned; add training cases.")
    values = np.concatenate([one.samples for one in measured], axis=1).astype(np.float64)
    if values.shape[1] == 0:
        raise DatasetError("no case has a labelled voxel; check the label files.")
    return Fingerprint(
        tuple(one.shape for one in measured),
        tuple(one.spacing_mm for one in measured),
        tuple(_spread(v) for v in values),
        float(np.median([one.zero_fraction for one in measured])),
    )


def plan_dataset(
    dataset: Dataset,
    found: Fingerprint,
    *,
    device: str = "cpu",
    memory_gb: float = 8.0,
    iterations: int | None = None,
    window: Shape | None = None,
    spacing_mm: Triple | None = None,
    batch_size: int | None = None,
) -> Plan:
    """Return the plan for a dataset on a device.

    On a CPU: a network of base width 16, a few hundred thousand voxels an update and so few updates that a run takes
    well under an hour on two cores, with anatomy mirrored left–right at most. On a GPU: nnU-Net's width 32, 250,000
    updates, mirroring along every axis, as many voxels as fit ``memory_gb``. An update holds at most a twentieth of the
    dataset's voxels, and at least two windows. ``window`` and ``spacing_mm`` (Z, Y, X) and ``batch_size`` replace what
    would be planned.

    Raises
    ------
    PlanError
        The window cannot be halved as often as the network for it does.
    """
    budget = CPU if device == "cpu" else Budget(int(CUDA_VOXELS_PER_GB * memory_gb), 32, 250_000)
    spacing_mm = spacing_mm or target_spacing(found)
    shape = _median_shape(found, spacing_mm)
    if window is None:
        window, topology = fit_window(shape, spacing_mm, budget)
    else:
        topology = plan_topology(window, spacing_mm, budget.base_width, most_stages=budget.most_stages)
        check_divisible(window, topology)
    batch = batch_size or _batch_size(window, found, spacing_mm, budget)
    modality = "CT" if all(name.upper() == "CT" for name in dataset.channels) else "MR"
    return Plan(
        spacing_mm=spacing_mm,
        window=window,
        channels=dataset.channels,
        labels=dataset.labels,
        normalisation=tuple(
            _normalisation(name, stats, found) for name, stats in zip(dataset.channels, found.foreground, strict=True)
        ),
        topology=topology,
        batch_dice=is_small(window, shape),
        batch_size=batch,
        iterations=iterations or budget.iterations,
        mirror_axes=_mirror_axes(modality) if budget.short else (0, 1, 2),
        augmentation=SHORT_AUGMENTATION if budget.short else 1.0,
        modality=modality,
        ignore=dataset.ignore,
        regions=dataset.regions,
    )


def is_small(window: Shape, shape: Sequence[int]) -> bool:
    """Tell whether a window is a slice, or less than a quarter of the median case (both in voxels of the network)."""
    return min(window) == 1 or math.prod(window) < SMALL_WINDOW * math.prod(shape)


def target_spacing(found: Fingerprint) -> Triple:
    """Return the network's spacing: the median, finer along an axis that is coarse in both mm and voxels."""
    spacing = np.median(found.spacings_mm, axis=0)
    shape = np.median(found.shapes, axis=0)
    coarse = int(np.argmax(spacing))
    others = [a for a in range(3) if a != coarse]
    if spacing[coarse] > 3 * spacing[others].max() and 3 * shape[coarse] < shape[others].min():
        tenth = float(np.percentile([s[coarse] for s in found.spacings_mm], 10))
        spacing[coarse] = max(tenth, spacing[others].max() + 1e-5)
    return _triple(spacing)


def fit_window(shape: Sequence[int], spacing_mm: Triple, budget: Budget) -> tuple[Shape, Topology]:
    """Return the largest window of the median case that two of fit the budget, and the topology for it.

    Along its two longest axes it has at least 8 voxels, to which smaller cases are padded, so that there is a level to
    pool to.
    """
    shape = _padded(shape)
    limit = budget.voxels // 2
    cube_mm = (256**3 * math.prod(spacing_mm)) ** (1 / 3)  # an isotropic box to begin with, clipped to the case
    size = [min(n, max(1, round(cube_mm / mm))) for n, mm in zip(shape, spacing_mm, strict=True)]
    while True:
        topology = plan_topology(size, spacing_mm, budget.base_width, most_stages=budget.most_stages)
        window = [math.ceil(n / d) * d for n, d in zip(size, topology.divisor, strict=True)]
        if math.prod(window) <= limit or max(topology.divisor) == 1:
            return (window[0], window[1], window[2]), topology
        widest = max(range(3), key=lambda a: (window[a] / shape[a], window[a]) if topology.divisor[a] > 1 else (0, 0))
        size[widest] = window[widest] - topology.divisor[widest]


def _padded(shape: Sequence[int]) -> list[int]:
    """Return a shape with at least the least window along its two longest axes."""
    longest = sorted(range(3), key=lambda axis: shape[axis])[1:]
    return [max(n, LEAST_WINDOW) if axis in longest else n for axis, n in enumerate(shape)]


def _batch_size(window: Shape, found: Fingerprint, spacing_mm: Triple, budget: Budget) -> int:
    """Return the windows of an update: as many as fit the budget and a twentieth of the dataset, two at least."""
    resampled = np.prod(np.asarray(found.shapes) * found.spacings_mm / np.asarray(spacing_mm), axis=1).sum()
    of_dataset = round(float(resampled) * MOST_OF_DATASET / math.prod(window))
    return max(2, min(budget.voxels // math.prod(window), of_dataset))


def _mirror_axes(modality: str) -> tuple[int, ...]:
    """Return the axes to mirror in a short run: left–right, and none in CT, where organs have a side."""
    return () if modality == "CT" else (2,)


def _median_shape(found: Fingerprint, spacing_mm: Triple) -> list[int]:
    resampled = np.asarray(found.shapes) * np.asarray(found.spacings_mm) / np.asarray(spacing_mm)
    return [int(n) for n in np.round(np.median(resampled, axis=0))]


def _normalisation(channel: str, stats: tuple[float, float, float, float], found: Fingerprint) -> Normalisation:
    if channel.upper() == "CT":
        lower, upper, mean, std = stats
        return Normalisation(scheme="ct", lower=lower, upper=upper, mean=mean, std=max(std, _SMALLEST_STD))
    return Normalisation(scheme="zscore_nonzero" if found.zero_fraction > MOSTLY_EMPTY else "zscore")


def _foreground(case: Case, rng: np.random.Generator, ignored: int | None) -> Array:
    labels = case.labels.data
    voxels = np.flatnonzero(labels if ignored is None else (labels != 0) & (labels != ignored))
    chosen = rng.choice(voxels, SAMPLES_PER_CASE) if voxels.size > SAMPLES_PER_CASE else voxels
    return case.volume.data.reshape(case.volume.data.shape[0], -1)[:, chosen]


def _spread(values: Array) -> tuple[float, float, float, float]:
    lower, upper = np.percentile(values, [0.5, 99.5])
    return float(lower), float(upper), float(values.mean()), float(values.std())


def _triple(values: Array) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])
