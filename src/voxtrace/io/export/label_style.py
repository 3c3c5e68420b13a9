"""Names and colours of labels, with defaults where the label map has none."""

from __future__ import annotations

import colorsys

from voxtrace.volume import LabelMap, Triple

_GOLDEN = 0.618033988749895  # steps of the golden ratio give neighbouring labels distant hues


def name_of(labels: LabelMap, value: int) -> str:
    """Return a label's name; ``label 7`` where it has none."""
    return labels.names.get(value) or f"label {value}"


def colour_of(labels: LabelMap, value: int) -> Triple:
    """Return a label's colour, (red, green, blue), each 0..1; a generated one where it has none."""
    if value in labels.colours:
        return labels.colours[value]
    red, green, blue = colorsys.hsv_to_rgb(value * _GOLDEN % 1.0, 0.65, 0.95)
    return red, green, blue


def bytes_of(colour: Triple) -> tuple[int, int, int]:
    """Return a colour as three numbers from 0 to 255."""
    red, green, blue = (round(min(max(shade, 0.0), 1.0) * 255) for shade in colour)
    return red, green, blue
