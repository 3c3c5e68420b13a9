"""Intensities: statistics of the native planes, and normalisation plane by plane."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtrace.errors import InputError
from voxtrace.plan import Normalisation, Plan
from voxtrace.preprocess.axis import Float32
from voxtrace.volume import Array, Volume

FIXED = ("ct", "none")  # schemes that measure nothing of the scan itself
_SMALLEST_STD = 1e-8

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Intensity:
    """How one channel of one volume is normalised: ``(clip(x) − mean) / std``.

    Zeros are kept when ``keep_zeros``; what lies outside ``inside`` (Z, Y, X), where there is such a mask, becomes 0.
    """

    mean: float = 0.0
    std: float = 1.0
    lower: float = -np.inf
    upper: float = np.inf
    keep_zeros: bool = False
    inside: Mask | None = None

    def plane(self, planes: Array, z: int) -> Float32:
        """Return plane z of (Z, Y, X) as normalised float32."""
        values = self.apply(planes[z])
        if self.inside is not None:
            values[~self.inside[z]] = 0.0
        return values

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


def never() -> None:
    """Do not stop."""


def intensities(volume: Volume, plan: Plan, check: Callable[[], None] = never) -> tuple[Intensity, ...]:
    """Return how each channel of the volume is normalised under the plan; reads every plane once.

    ``check`` is called before each plane; an error that it raises stops the work.

    A channel that is constant gets deviation 0 and becomes 0 everywhere.

    Raises
    ------
    InputError
        The volume has another number of channels than the plan, or holds NaN or infinite values.
    """
    _check_channels(volume, plan)
    masked = any(rule.scheme == "zscore_inside" for rule in plan.normalisation)
    inside = inside_mask(volume.data) if masked else None
    return tuple(_intensity(volume, c, rule, inside, check) for c, rule in enumerate(plan.normalisation))


def inside_mask(data: Array) -> Mask:
    """Return where (C, Z, Y, X) is not 0 in some channel, with the holes in that filled, (Z, Y, X)."""
    from scipy import ndimage

    outside, _ = ndimage.label(~(data != 0).any(0))
    faces = [np.unique(outside.take(side, axis)) for axis in range(3) for side in (0, -1)]
    reached = np.zeros(int(outside.max()) + 1, bool)  # regions of zeros that touch a border are outside, not holes
    reached[np.concatenate(faces)] = True
    reached[0] = False
    inside: Mask = ~reached[outside]
    return inside


def _intensity(
    volume: Volume, channel: int, rule: Normalisation, inside: Mask | None, check: Callable[[], None]
) -> Intensity:
    planes = volume.data[channel]
    finite = _finite(planes, volume.name, check)
    if rule.scheme == "zscore_inside" and inside is not None:
        chosen = (v[mask] for v, mask in zip(finite, inside, strict=True))
        return Intensity(*_mean_std(chosen), inside=inside)
    if rule.scheme.startswith("zscore"):
        keep_zeros = rule.scheme == "zscore_nonzero"
        mean, std = _mean_std((v[v != 0] for v in finite) if keep_zeros else finite)
        return Intensity(mean, std, keep_zeros=keep_zeros)
    if rule.scheme == "range":
        low, high = _range(finite)
        return Intensity(low, high - low)
    if np.issubdtype(planes.dtype, np.floating):
        for _ in finite:
            pass
    return Intensity(rule.mean, rule.std, rule.lower, rule.upper) if rule.scheme == "ct" else Intensity()


def _finite(planes: Array, name: str, check: Callable[[], None]) -> Iterator[Array]:
    """Yield the planes as float64, refusing values that are not numbers."""
    for z, plane in enumerate(planes):
        check()
        values = plane.astype(np.float64)
        if not np.isfinite(values).all():
            raise InputError(
                f"{name} holds {int((~np.isfinite(values)).sum())} NaN or infinite voxels in plane {z}; "
                "expected numbers only. Export the volume again, or replace these voxels."
            )
        yield values


def _mean_std(parts: Iterator[Array]) -> tuple[float, float]:
    """Return mean and population deviation, merged part by part (Chan et al. 1979); (0, 1) without voxels."""
    count, mean, squares = 0, 0.0, 0.0
    for values in parts:
        if values.size == 0:
            continue
        # merging means and squared deviations needs no second pass over the volume
        delta = float(values.mean()) - mean
        total = count + values.size
        squares += float(((values - values.mean()) ** 2).sum()) + delta**2 * count * values.size / total
        mean += delta * values.size / total
        count = total
    return (mean, float(np.sqrt(squares / count))) if count else (0.0, 1.0)


def _range(planes: Iterator[Array]) -> tuple[float, float]:
    """Return the least and the greatest value."""
    lows, highs = zip(*((float(plane.min()), float(plane.max())) for plane in planes), strict=True)
    return min(lows), max(highs)


def _check_channels(volume: Volume, plan: Plan) -> None:
    given, expected = volume.data.shape[0], plan.n_channels
    if given != expected:
        plural = "" if given == 1 else "s"
        raise InputError(
            f"{volume.name} has {given} channel{plural}, the bundle expects {expected} ({', '.join(plan.channels)}); "
            "give one file for each channel, in this order."
        )
