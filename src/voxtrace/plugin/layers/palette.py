"""Label colours: distinct, reproducible, and distinguishable for most colour-blind readers."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping

from voxtrace.volume import Triple

# Okabe & Ito's palette without black and grey, which are invisible on a scan, and six more distinct colours.
_FIRST: tuple[Triple, ...] = (
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
    (0.00, 0.62, 0.45),
    (0.94, 0.89, 0.26),
    (0.80, 0.47, 0.65),
    (0.84, 0.37, 0.00),
    (0.20, 0.45, 0.95),
    (0.60, 0.90, 0.30),
    (0.95, 0.25, 0.35),
    (0.55, 0.35, 0.85),
    (0.20, 0.85, 0.80),
    (0.75, 0.55, 0.35),
    (0.95, 0.65, 0.75),
)
_GOLDEN = 0.618_034
_RAMP_START, _RAMP_END = (0.25, 0.20, 0.65), (1.00, 0.90, 0.20)


def colour(value: int) -> Triple:
    """Return the colour of a label value ≥ 1, (red, green, blue) each 0..1."""
    if value <= len(_FIRST):
        return _FIRST[value - 1]
    hue = (value * _GOLDEN) % 1.0
    return colorsys.hsv_to_rgb(hue, 0.55 + 0.4 * (value % 2), 0.95 - 0.25 * (value % 3) / 2)


def colours(values: Iterable[int], given: Mapping[int, Triple] | None = None) -> dict[int, Triple]:
    """Return a colour for each label value except 0; colours from the file take precedence."""
    given = given or {}
    return {value: given.get(value, colour(value)) for value in values if value}


def ramp(steps: int) -> dict[int, Triple]:
    """Return colours 1..steps from dark violet (settled early) to yellow (settled late)."""
    mix = [k / max(1, steps - 1) for k in range(steps)]
    return {
        k + 1: tuple(a + (b - a) * t for a, b in zip(_RAMP_START, _RAMP_END, strict=True))  # type: ignore[misc]
        for k, t in enumerate(mix)
    }


def napari_colours(colours: Mapping[int, Triple]) -> dict[int | None, tuple[float, ...] | str]:
    """Return a Labels colormap for napari as a dictionary: background transparent, unknown values magenta."""
    known: dict[int | None, tuple[float, ...] | str] = {0: "transparent", None: "magenta"}
    return known | {value: (*rgb, 1.0) for value, rgb in colours.items()}
