"""Names and colours of labels, with defaults where the label map has none."""

from __future__ import annotations

from voxtrace import palette
from voxtrace.volume import LabelMap, Triple


def name_of(labels: LabelMap, value: int) -> str:
    """Return a label's name; ``label 7`` where it has none."""
    return labels.names.get(value) or f"label {value}"


def colour_of(labels: LabelMap, value: int) -> Triple:
    """Return a label's colour, (red, green, blue), each 0..1; that of :mod:`voxtrace.palette` where it has none.

    All names of the label map take part, as in the window: an organ has the same colour on screen and in files.
    """
    values = sorted({*labels.names, value} - {0})
    names = {one: name_of(labels, one) for one in values}
    return palette.colours(values, labels.colours, names)[value]


def bytes_of(colour: Triple) -> tuple[int, int, int]:
    """Return a colour as three numbers from 0 to 255."""
    red, green, blue = (round(min(max(shade, 0.0), 1.0) * 255) for shade in colour)
    return red, green, blue
