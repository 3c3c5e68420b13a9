"""Contrast limits of image layers: presets for CT, percentiles for everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.volume import Array, Volume

_SAMPLE = 200_000  # voxels sampled, so that a large scan opens as fast as a small one
_AIR_HU = (-1100.0, -700.0)  # the air around a body in CT


@dataclass(frozen=True)
class ContrastPreset:
    """A contrast preset for CT (window level and width): its name, centre and width in HU."""

    name: str
    centre_hu: float
    width_hu: float

    @property
    def limits_hu(self) -> tuple[float, float]:
        """The values in HU that are shown black and white."""
        return self.centre_hu - self.width_hu / 2, self.centre_hu + self.width_hu / 2


# The first is shown when a CT opens; add others after it.
CT_PRESETS = (
    ContrastPreset("Abdomen", 40, 400),
    ContrastPreset("Lung", -600, 1500),
    ContrastPreset("Bone", 400, 1800),
    ContrastPreset("Brain", 40, 80),
    ContrastPreset("Liver", 30, 150),
)


def limits(volume: Volume, channel: int = 0) -> tuple[float, float]:
    """Return the initial contrast limits of a channel: the abdomen preset for CT, else percentiles 0.5 to 99.5.

    Zeros are left out of the percentiles where they fill a tenth of the image (skull-stripped MR). An image of one
    value v gets (v, v + 1).
    """
    if is_ct(volume):
        return CT_PRESETS[0].limits_hu
    return percentile_limits(tissue(volume, channel), (0.5, 99.5))


def tissue(volume: Volume, channel: int = 0) -> Array:
    """Return sampled intensities of a channel for percentiles, without zeros where they fill a tenth of the image."""
    values = sample_voxels(volume.data[channel])
    values = values[np.isfinite(values)]
    if values.size and np.mean(values == 0) > 0.1 and np.any(values):
        values = values[values != 0]
    return np.asarray(values)


def percentile_limits(values: Array, percentiles: tuple[float, float]) -> tuple[float, float]:
    """Return two percentiles of intensities as contrast limits, the second above the first."""
    low, high = np.percentile(values, percentiles) if values.size else (0.0, 1.0)
    return float(low), float(high if high > low else low + 1)


def limits_range(volume: Volume, channel: int = 0) -> tuple[float, float]:
    """Return the range of the contrast slider: all sampled intensities, and for CT at least the widest preset."""
    values = sample_voxels(volume.data[channel])
    values = values[np.isfinite(values)]
    ends = [*(preset.limits_hu for preset in CT_PRESETS)] if is_ct(volume) else [limits(volume, channel)]
    if values.size:
        ends.append((float(values.min()), float(values.max())))
    return min(low for low, _ in ends), max(high for _, high in ends)


def is_ct(volume: Volume) -> bool:
    """Tell whether the intensities are HU; without a stated modality, the air around the patient decides."""
    if volume.modality:
        return volume.modality == "CT"
    values = sample_voxels(volume.data[0])
    low = float(np.percentile(values[np.isfinite(values)], 1)) if np.isfinite(values).any() else 0.0
    return bool(volume.data.dtype.kind in "if" and _AIR_HU[0] <= low <= _AIR_HU[1])


def looks_like_labels(data: Array) -> bool:
    """Tell whether an image (Z, Y, X) is a label map: few whole numbers from 0, in patches of equal voxels."""
    if data.dtype.kind not in "iub" or data.size == 0:
        return False
    middle = data[data.shape[0] // 2]
    values = sample_voxels(data)
    few = values.min() >= 0 and values.max() < 1024 and len(np.unique(values)) <= 150
    return bool(few and np.mean(middle[:, 1:] == middle[:, :-1]) > 0.85)


def sample_voxels(data: Array) -> Any:
    """Return at most about 200,000 voxels of an array (Z, Y, X), evenly spread, flattened."""
    stride = max(1, round((data.size / _SAMPLE) ** (1 / 3)))
    return data[::stride, ::stride, ::stride].ravel()
