"""Contrast presets of a scan, in the order of their keys from 1: in HU for CT, percentiles for everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from voxtrace.plugin.layers import contrast
from voxtrace.volume import Volume

CUSTOM = "Yours"
# The first is shown when a scan other than a CT opens.
PERCENTILES = ((0.5, 99.5), (0.0, 100.0), (2.0, 98.0), (5.0, 95.0), (1.0, 90.0))
CUSTOM_KEY = 1 + max(len(contrast.CT_PRESETS), len(PERCENTILES))  # the key after those of every preset
HELP = f"1–{CUSTOM_KEY} presets · drag with the right button: level ↕, width ↔"


@dataclass(frozen=True)
class Preset:
    """A contrast preset of one scan: its key, name, level/width in words, and its limits in the scan's intensities."""

    key: int
    name: str
    words: str
    limits: tuple[float, float]

    @property
    def title(self) -> str:
        """One line for a picker: ``1  Abdomen  40/400``."""
        return f"{self.key}  {self.name}  {self.words}".rstrip()


def modality_of(volume: Volume) -> str:
    """Return the modality under which a custom preset is remembered: ``CT``, ``MR``, … or ``other``."""
    return "CT" if contrast.is_ct(volume) else volume.modality or "other"


def presets(
    volume: Volume, channel: int = 0, custom: Mapping[str, tuple[float, float]] | None = None
) -> tuple[Preset, ...]:
    """Return the presets of a channel; ``custom`` is width and level of one's own for each modality."""
    values = contrast.tissue(volume, channel)
    if contrast.is_ct(volume):
        found = [
            Preset(key, one.name, f"{one.centre_hu:g}/{one.width_hu:g}", one.limits_hu)
            for key, one in enumerate(contrast.CT_PRESETS, 1)
        ]
    else:
        found = [
            Preset(key, f"{low:g}–{high:g} %", "", contrast.percentile_limits(values, (low, high)))
            for key, (low, high) in enumerate(PERCENTILES, 1)
        ]
    kept = (custom or {}).get(modality_of(volume))
    if kept is not None:
        width, level = kept
        limits = (level - width / 2, level + width / 2)
        if not contrast.is_ct(volume):
            limits = contrast.percentile_limits(values, (max(0.0, limits[0]), min(100.0, limits[1])))
        found.append(Preset(CUSTOM_KEY, CUSTOM, _words(limits), limits))
    return tuple(found)


def remembered(volume: Volume, channel: int, limits: tuple[float, float]) -> tuple[float, float]:
    """Return level and width to remember of limits set by hand: in HU for CT, in percentiles for everything else.

    Intensities of MR differ from scan to scan; percentiles carry over.
    """
    low, high = limits
    if not contrast.is_ct(volume):
        values = np.sort(contrast.tissue(volume, channel))
        count = max(values.size, 1)
        low = min(99.0, 100.0 * int(np.searchsorted(values, low, "left")) / count)
        high = max(low + 1.0, 100.0 * int(np.searchsorted(values, high, "right")) / count)
    return float(low + high) / 2, float(high - low)


def dragged(limits: tuple[float, float], moved_px: tuple[float, float], unit: float) -> tuple[float, float]:
    """Return the limits after a drag.

    Parameters
    ----------
    limits
        Those when the drag began.
    moved_px
        Pixels to the right, which widen the window, and pixels downwards, which raise the level: the picture darkens.
    unit
        Intensities for one pixel.
    """
    low, high = limits
    centre, width = (low + high) / 2 + moved_px[1] * unit, max(high - low + moved_px[0] * unit, abs(unit))
    return centre - width / 2, centre + width / 2


def window_words(limits: tuple[float, float], is_ct: bool) -> str:
    """Return window and level in words: ``level 40, width 400 HU``."""
    low, high = limits
    return f"level {(low + high) / 2:.4g}, width {high - low:.4g}" + (" HU" if is_ct else "")


def matching(found: tuple[Preset, ...], limits: tuple[float, float]) -> int:
    """Return the index of the preset with these limits, or −1."""
    width = max(abs(limits[1] - limits[0]), 1e-12)
    near = (
        index
        for index, one in enumerate(found)
        if max(abs(a - b) for a, b in zip(one.limits, limits, strict=True)) < 1e-3 * width
    )
    return next(near, -1)


def _words(limits: tuple[float, float]) -> str:
    low, high = limits
    return f"{(low + high) / 2:.4g}/{high - low:.4g}"
