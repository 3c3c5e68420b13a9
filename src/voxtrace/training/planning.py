"""From a dataset to a plan: fingerprint it, then fix spacing, window, normalisation and budget (after nnU-Net).

*Fingerprint*: medians over cases; mm and voxels; one value an axis. *Spacing*: the median, or the finest tenth along an
axis three times coarser than the others; mm. *Window*: the largest box of the median case that fits a budget of voxels;
(Z, Y, X).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from voxtrace.errors import DatasetError
from voxtrace.plan import Normalisation, Plan, Shape, Topology, Triple, plan_topology
from voxtrace.training.dataset import Dataset
from voxtrace.volume import Array, Case

SAMPLES_PER_CASE = 10_000
SHORT_AUGMENTATION = 2 / 3  # a short run underfits, and strong augmentation adds to it
SMALL_WINDOW = 0.25  # fraction of the median case; for smaller windows nnU-Net sums Dice over the batch
_SMALLEST_STD = 1e-8  # of intensities that are all alike, as in nnU-Net
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


def scan_cases(cases: Iterable[Case], seed: int = 0) -> Generator[int, None, Fingerprint]:
    """Yield the number of cases read so far; return what the dataset looks like.

    Raises
    ------
    DatasetError
        There is no case, or none has a labelled voxel.
    """
    rng = np.random.default_rng(seed)
    shapes, spacings, samples, zeros = [], [], [], []
    for case in cases:
        shapes.append(case.volume.geometry.shape)
        spacings.append(case.volume.geometry.spacing_mm)
        samples.append(_foreground(case, rng))
        zeros.append(float(np.mean(np.all(case.volume.data == 0, axis=0))))
        yield len(shapes)
    if not shapes:
        raise DatasetError("a dataset without cases cannot be planned; add training cases.")
    values = np.concatenate(samples, axis=1).astype(np.float64)
    if values.shape[1] == 0:
        raise DatasetError("no case has a labelled voxel; check the label files.")
    return Fingerprint(tuple(shapes), tuple(spacings), tuple(_spread(v) for v in values), float(np.median(zeros)))


def plan_dataset(
    dataset: Dataset, found: Fingerprint, *, device: str = "cpu", memory_gb: float = 8.0, iterations: int | None = None
) -> Plan:
    """Return the plan for a dataset on a device.

    On a CPU: a network of base width 16, a few hundred thousand voxels an update and so few updates that a run takes
    well under an hour on two cores, with anatomy mirrored left–right at most. On a GPU: nnU-Net's width 32, 250,000
    updates, mirroring along every axis, as many voxels as fit ``memory_gb``.
    """
    budget = CPU if device == "cpu" else Budget(int(CUDA_VOXELS_PER_GB * memory_gb), 32, 250_000)
    spacing_mm = target_spacing(found)
    shape = _median_shape(found, spacing_mm)
    window, topology = fit_window(shape, spacing_mm, budget)
    batch = max(2, budget.voxels // math.prod(window))
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
    """Return the largest window of the median case that two of fit the budget, and the topology for it."""
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


def _foreground(case: Case, rng: np.random.Generator) -> Array:
    voxels = np.flatnonzero(case.labels.data)
    chosen = rng.choice(voxels, SAMPLES_PER_CASE) if voxels.size > SAMPLES_PER_CASE else voxels
    return case.volume.data.reshape(case.volume.data.shape[0], -1)[:, chosen]


def _spread(values: Array) -> tuple[float, float, float, float]:
    lower, upper = np.percentile(values, [0.5, 99.5])
    return float(lower), float(upper), float(values.mean()), float(values.std())


def _triple(values: Array) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])
