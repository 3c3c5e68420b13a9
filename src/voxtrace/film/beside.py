"""One axial slice of a scan with several label maps, side by side, as a small picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np

from voxtrace.film.planes import at_pixels, grey_picture, overlaid
from voxtrace.volume import Array, Triple, Volume

_HEIGHT, _MOST_WIDE, _GAP = 240, 320, 8  # pixels of each part, and between two
_COLOURS = 64  # of a palette, those most apart (others lose labels of few pixels): a third of the bytes


def beside(volume: Volume, z: int, parts: Sequence[Array], colours: Mapping[int, Triple], channel: int = 0) -> bytes:
    """Return a PNG of a slice with label maps over it, from left to right in their order.

    Front is on top and the patient's left on the right; the slice has its true proportions.

    Parameters
    ----------
    volume
        The scan.
    z
        The slice.
    parts
        Label maps (Z, Y, X), e.g. reference and answer.
    colours
        Colour of each label value; others are not drawn.
    channel
        Of the scan, which is shown.
    """
    from PIL import Image

    size = _size(parts[0][z].shape, volume.geometry.spacing_mm[1:])
    scan, gap = grey_picture(volume, 0, z, size, channel=channel), np.full((size[0], _GAP, 3), 255, np.uint8)
    drawn = [overlaid(scan, at_pixels(np.asarray(labels[z]), size), colours) for labels in parts]
    row = [part for one in drawn for part in (gap, one)][1:]
    whole, file = Image.fromarray(np.concatenate(row, axis=1)), io.BytesIO()
    small = whole.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(file, "PNG", optimize=True)
    return file.getvalue()


def _size(shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> tuple[int, int]:
    """Return rows and columns of a part."""
    wide = _HEIGHT * shape[1] * spacing_mm[1] / (shape[0] * spacing_mm[0])
    scale = min(1.0, _MOST_WIDE / wide)
    return max(1, round(_HEIGHT * scale)), max(1, round(wide * scale))
