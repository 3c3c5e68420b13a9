"""Whether probabilities are right: temperature, expected calibration error (ECE) and reliability, on held-back cases.

**Probability** of a label in a voxel: that of the last step, averaged over windows and mirror images, on the scan's
own grid. With a temperature T it is p^(1/T) / Σ p^(1/T), for a single window softmax(logits / T). The order of labels
stays.

**Voxels**: those that the answer labels, and those within 5 mm (along each axis) of one that the reference labels; at
most 20,000 of a case, drawn at random, with many labels fewer. Of all voxels of a scan, most are background far from
anything and certain: an ECE over them is near 0 whatever the model. Voxels that nobody annotated are left out.

**Temperature**: the T with the least mean of −log p of the reference's label, in float64 (Guo et al. 2017);
probabilities below 1e-7 count as that. **ECE**: 15 bins of equal width of the answer's probability; in each the
distance of the mean probability from the fraction of right voxels, averaged with the numbers of voxels. The ECE with
temperature is measured on each half of the cases with the temperature of the other half.

References
----------
Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. ICML 2017.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy  # its parts are loaded where they are used

from voxtrace.volume import Array, Triple

BINS = 15
NEAR_MM = 5.0
MOST_VOXELS, MOST_NUMBERS = 20_000, 400_000  # of a case: voxels, and voxels times labels
FEWEST_CASES = 2  # one for each half
LEAST = 1e-7
BOUNDS = (0.1, 10.0)  # of a temperature; one at an end means that there was nothing to fit
VOXELS = "labelled by the answer, or within 5 mm of a labelled voxel of the reference"

Double = npt.NDArray[np.float64]


@dataclass(eq=False)
class VoxelSample:
    """Voxels of one case, taken while planes of probabilities pass by.

    Attributes
    ----------
    reference
        (Z, Y, X) labels.
    near
        (Z, Y, X) bool, see :func:`near_labels`.
    known
        (Z, Y, X) bool, voxels that were annotated; None for all.
    chosen, right
        Probabilities (n, K) float32, and the reference's label (n,), in parts.
    sums_to_one
        Whether all probabilities were those of labels of which one holds.
    """

    reference: Array
    near: Array
    known: Array | None = None
    chosen: list[Array] = field(default_factory=list)
    right: list[Array] = field(default_factory=list)
    sums_to_one: bool = True

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._most, self._below = MOST_VOXELS, np.inf  # voxels of the lowest random numbers stay
        self._drawn: list[Array] = []

    def __call__(self, z: int, probabilities: Array) -> None:
        """Take a plane: its number, and probabilities (K, Y, X), NaN where the network did not look."""
        taken = self.near[z] | (np.nan_to_num(probabilities).argmax(0) > 0)
        taken &= np.isfinite(probabilities).all(0)
        if self.known is not None:
            taken &= self.known[z]
        self._most = min(MOST_VOXELS, MOST_NUMBERS // len(probabilities))
        which = np.flatnonzero(taken.ravel())
        drawn = self._rng.random(len(which))
        which, drawn = which[drawn < self._below], drawn[drawn < self._below]
        values = probabilities.reshape(len(probabilities), -1)[:, which].T
        self.sums_to_one &= bool((np.abs(values.sum(1) - 1.0) < 0.01).all())
        self.chosen.append(np.ascontiguousarray(values))
        self.right.append(self.reference[z].ravel()[which].astype(np.int64))
        self._drawn.append(drawn)
        if sum(map(len, self._drawn)) > 2 * self._most:
            self._thin_out()

    def _thin_out(self) -> None:
        """Keep as many voxels as there may be, in their order: those of the lowest random numbers."""
        drawn = np.concatenate(self._drawn)
        if len(drawn) > self._most:
            stay = np.sort(np.argpartition(drawn, self._most - 1)[: self._most])
            self.chosen[:] = [np.concatenate(self.chosen)[stay]]
            self.right[:] = [np.concatenate(self.right)[stay]]
            self._drawn, self._below = [drawn[stay]], float(drawn[stay].max())

    @property
    def log_probabilities(self) -> Double:
        """(n, K), none below log 1e-7."""
        if not self.chosen:
            return np.zeros((0, 1))
        self._thin_out()
        values = np.concatenate(self.chosen)
        return np.asarray(np.log(np.maximum(values.astype(np.float64), LEAST)))

    @property
    def labels(self) -> Array:
        """The reference's label of each voxel, (n,) int64."""
        if not self.right:
            return np.zeros(0, np.int64)
        self._thin_out()
        return np.concatenate(self.right)


def near_labels(reference: Array, spacing_mm: Triple) -> Array:
    """Return which voxels (Z, Y, X) lie within 5 mm, along each axis, of a labelled one."""
    near = (reference > 0).astype(np.uint8)
    for axis, mm in enumerate(spacing_mm):
        near = scipy.ndimage.maximum_filter1d(near, 2 * int(NEAR_MM / mm) + 1, axis, mode="constant")
    return np.asarray(near.astype(bool))


def fitted_temperature(log_probabilities: Double, labels: Array) -> float | None:
    """Return the temperature with the least mean of −log p of ``labels`` (n,), given log p (n, K); None where none is.

    There is none without voxels, and where the loss falls on to an end of 0.1 to 10.
    """
    if not len(labels):
        return None

    def loss(log_temperature: float) -> float:
        return negative_log(log_probabilities, labels, math.exp(log_temperature))

    low, high = (math.log(end) for end in BOUNDS)
    found = scipy.optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    inside = low + 0.01 < found.x < high - 0.01
    return round(math.exp(found.x), 4) if inside else None


def negative_log(log_probabilities: Double, labels: Array, temperature: float) -> float:
    """Return the mean of −log p of the labels (n,) at a temperature."""
    scaled = log_probabilities / temperature
    normaliser = scipy.special.logsumexp(scaled, axis=1)
    return float(np.mean(normaliser - scaled[np.arange(len(labels)), labels]))


def answers(log_probabilities: Double, labels: Array, temperature: float) -> tuple[Double, Array]:
    """Return the probability of each voxel's most probable label at a temperature, (n,), and whether it is right."""
    scaled = log_probabilities / temperature
    best = log_probabilities.argmax(1)
    top = scaled[np.arange(len(best)), best] - scipy.special.logsumexp(scaled, axis=1)
    return np.exp(top), best == labels


def reliability(probability: Double, right: Array) -> list[list[float]]:
    """Return a row for each of 15 bins of the probability: number of voxels, mean probability, fraction right.

    The last two are 0 in an empty bin.
    """
    bins = np.clip(np.ceil(probability * BINS).astype(np.int64) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    sums = [np.bincount(bins, weights=of, minlength=BINS) for of in (probability, right.astype(np.float64))]
    means = [np.divide(one, counts, out=np.zeros(BINS), where=counts > 0) for one in sums]
    rows = zip(counts, *means, strict=True)
    return [[int(n), round(float(told), 4), round(float(true), 4)] for n, told, true in rows]


def expected_error(probability: Double, right: Array) -> float:
    """Return the expected calibration error over 15 bins, from 0 to 1; NaN without voxels."""
    if not len(right):
        return math.nan
    bins = np.clip(np.ceil(probability * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=probability - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))


def calibration_record(cases: Sequence[VoxelSample]) -> dict[str, Any] | None:
    """Return what a bundle records as ``calibration``: temperature, ECE and reliability before and after.

    None with fewer than two cases that have voxels, where there is no best temperature, and where labels are not such
    that one of them holds in each voxel: the probabilities of regions that overlap do not add up to 1.
    """
    used = [case for case in cases if len(case.labels)]
    if len(used) < FEWEST_CASES or not all(case.sums_to_one for case in used):
        return None
    halves = [_joined(used[0::2]), _joined(used[1::2])]
    whole = (np.concatenate([half[0] for half in halves]), np.concatenate([half[1] for half in halves]))
    temperature, swapped = fitted_temperature(*whole), [fitted_temperature(*half) for half in reversed(halves)]
    if temperature is None or None in swapped:
        return None
    before = answers(*whole, 1.0)
    pairs = [answers(*half, other) for half, other in zip(halves, swapped, strict=True) if other is not None]
    after = (np.concatenate([told for told, _ in pairs]), np.concatenate([right for _, right in pairs]))
    return {
        "temperature": temperature,
        "cases": len(used),
        "voxels": len(whole[1]),
        "of": VOXELS,
        "ece_before": round(expected_error(*before), 5),
        "ece_after": round(expected_error(*after), 5),
        "nll_before": round(negative_log(*whole, 1.0), 5),
        "nll_after": round(negative_log(*whole, temperature), 5),
        "reliability_before": reliability(*before),
        "reliability_after": reliability(*after),
    }


def temperature_of(record: Mapping[str, Any]) -> float:
    """Return the temperature of a bundle's record; 1 where it has none."""
    return float((record.get("calibration") or {}).get("temperature", 1.0))


def _joined(cases: Sequence[VoxelSample]) -> tuple[Double, Array]:
    return np.concatenate([one.log_probabilities for one in cases]), np.concatenate([one.labels for one in cases])
