"""Intensities: statistics of the native planes, and normalisation plane by plane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from voxtrace.errors import InputError
from voxtrace.plan import Normalisation, Plan
from voxtrace.preprocess.axis import Float32
from voxtrace.volume import Array, Volume

_SMALLEST_STD = 1e-8


@dataclass(frozen=True)
class Intensity:
    """How one channel of one volume is normalised: ``(clip(x) − mean) / std``, zeros kept when ``keep_zeros``."""

    mean: float = 0.0
    std: float = 1.0
    lower: float = -np.inf
    upper: float = np.inf
    keep_zeros: bool = False

    def apply(self, plane: Array) -> Float32:
        """Return the plane (any shape, any real dtype) as normalised float32; never the array given."""
        values = plane.astype(np.float32)
        if np.isfinite(self.lower) or np.isfinite(self.upper):
            np.clip(values, np.float32(self.lower), np.float32(self.upper), out=values)
        values -= np.float32(self.mean)
        values /= np.float32(max(self.std, _SMALLEST_STD))
        if self.keep_zeros:
            values[plane == 0] = 0.0
        return values


def intensities(volume: Volume, plan: Plan) -> tuple[Intensity, ...]:
    """Return how each channel of the volume is normalised under the plan; reads every plane once.

    A channel that is constant gets deviation 0 and becomes 0 everywhere.

    Raises
    ------
    InputError
        The volume has another number of channels than the plan, or holds NaN or infinite values.
    """
    _check_channels(volume, plan)
    return tuple(_intensity(volume, c, rule) for c, rule in enumerate(plan.normalisation))


def _intensity(volume: Volume, channel: int, rule: Normalisation) -> Intensity:
    planes = volume.data[channel]
    if rule.scheme.startswith("zscore"):
        keep_zeros = rule.scheme == "zscore_nonzero"
        mean, std = _mean_std(_finite(planes, volume.name), keep_zeros)
        return Intensity(mean, std, keep_zeros=keep_zeros)
    if np.issubdtype(planes.dtype, np.floating):
        for _ in _finite(planes, volume.name):
            pass
    return Intensity(rule.mean, rule.std, rule.lower, rule.upper) if rule.scheme == "ct" else Intensity()


def _finite(planes: Array, name: str) -> Iterator[Array]:
    """Yield the planes as float64, refusing values that are not numbers."""
    for z, plane in enumerate(planes):
        values = plane.astype(np.float64)
        if not np.isfinite(values).all():
            raise InputError(
                f"{name} holds {int((~np.isfinite(values)).sum())} NaN or infinite voxels in plane {z}; "
                "expected numbers only. Export the volume again, or replace these voxels."
            )
        yield values


def _mean_std(planes: Iterator[Array], nonzero: bool) -> tuple[float, float]:
    """Return mean and population deviation, merged plane by plane (Chan et al. 1979); (0, 1) without voxels."""
    count, mean, squares = 0, 0.0, 0.0
    for plane in planes:
        values = plane[plane != 0] if nonzero else plane
        if values.size == 0:
            continue
        delta = float(values.mean()) - mean
        total = count + values.size
        squares += float(((values - values.mean()) ** 2).sum()) + delta**2 * count * values.size / total
        mean += delta * values.size / total
        count = total
    return (mean, float(np.sqrt(squares / count))) if count else (0.0, 1.0)


def _check_channels(volume: Volume, plan: Plan) -> None:
    given, expected = volume.data.shape[0], plan.n_channels
    if given != expected:
        plural = "" if given == 1 else "s"
        raise InputError(
            f"{volume.name} has {given} channel{plural}, the bundle expects {expected} ({', '.join(plan.channels)}); "
            "give one file for each channel, in this order."
        )
