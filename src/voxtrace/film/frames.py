"""Pictures of a trace: one plane of the scan with the labels of each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxtrace.errors import UsageError
from voxtrace.film.planes import (
    FILL,
    PLANES,
    Picture,
    Plane,
    at_pixels,
    check_grid,
    chosen_slice,
    grey_picture,
    hex_of,
    label_colours,
    overlaid,
    picture_size,
    plane_of,
    volume_words,
)
from voxtrace.trace import Trace
from voxtrace.volume import Triple, Volume

if TYPE_CHECKING:
    from PIL.Image import Image

_EDGE, _LINE = 12, 22  # pixels around the picture, and of a line of text
_INK, _FAINT, _PAPER = "#f0f2f5", "#9aa4b0", "#14181d"


@dataclass(frozen=True)
class FilmOptions:
    """What a film shows.

    Attributes
    ----------
    plane
        Axial (front on top), coronal or sagittal (head on top); the patient's left on the right, front on the left.
    index
        Which slice of the canonical grid, counted from 0; None for the one with most labelled voxels.
    per_second
        Steps a second; the last step is shown three times as long.
    height
        Of the plane, in pixels.
    """

    plane: Plane = "axial"
    index: int | None = None
    per_second: float = 1.5
    height: int = 420

    def __post_init__(self) -> None:
        if self.plane not in PLANES:
            raise UsageError(f"there is no plane {self.plane!r}; expected {', '.join(PLANES)}.")
        if not 0.1 <= self.per_second <= 30:
            raise UsageError(f"{self.per_second:g} steps a second cannot be shown; expected 0.1 to 30.")
        if not 64 <= self.height <= 2160:
            raise UsageError(f"a height of {self.height} pixels cannot be shown; expected 64 to 2160.")


def frames(trace: Trace, volume: Volume | None, options: FilmOptions) -> list[Image]:
    """Return one picture a kept step; see :func:`write_film`."""
    check_grid(trace, volume)
    axis = PLANES.index(options.plane)
    index = chosen_slice(trace, axis, options.index)
    size = picture_size(trace, axis, options.height)
    base = grey_picture(volume, axis, index, size)
    colours = label_colours(trace)
    rows = trace.summary()[-int(trace.labels.shape[0]) :]
    return [
        _frame(overlaid(base, at_pixels(plane_of(trace.labels, axis, index, step), size), colours), trace, row, colours)
        for step, row in enumerate(rows)
    ]


def quantized(pictures: Sequence[Image], colours: Sequence[Triple]) -> list[Image]:
    """Return pictures in one table of 256 colours that has every label's own colour, and its mixtures with grey."""
    from PIL import Image

    shades = np.linspace(0, 255, 48)
    fills = max(1, min(24, (256 - len(shades) - 3) // max(1, len(colours)) - 1))
    table = [np.repeat(shade, 3) for shade in shades] + [np.asarray(_rgb(ink)) for ink in (_INK, _FAINT, _PAPER)]
    for colour in colours:
        pure = 255 * np.asarray(colour)
        table += [pure, *((1 - FILL) * shade + FILL * pure for shade in np.linspace(0, 255, fills))]
    flat = np.round(np.concatenate(table[:256])).astype(int).tolist()
    with_table = Image.new("P", (1, 1))
    with_table.putpalette(flat + flat[:3] * (256 - len(flat) // 3))
    return [picture.quantize(palette=with_table, dither=Image.Dither.NONE) for picture in pictures]


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return red, green, blue


def _frame(picture: Picture, trace: Trace, row: Mapping[str, object], colours: Mapping[int, Triple]) -> Image:
    """Return a picture with the step, its position among all steps, and mL of each label."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = picture.shape[:2]
    shown = [value for value in colours if trace.names.get(value)]
    canvas = Image.new("RGB", (max(width, 260) + 2 * _EDGE, height + 3 * _EDGE + _LINE * (1 + len(shown))), _PAPER)
    canvas.paste(Image.fromarray(picture), ((canvas.width - width) // 2, _EDGE))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=15)
    top, step = height + 2 * _EDGE, int(str(row["step"]))
    draw.text((_EDGE, top), f"{trace.step_word} {step + 1} of {trace.n_steps}", _INK, font)
    for k in range(trace.n_steps):
        left = canvas.width - _EDGE - 12 * (trace.n_steps - k)
        draw.ellipse((left, top + 5, left + 8, top + 13), _INK if k == step else None, _FAINT)
    volumes = row.get("volume_ml")
    for line, value in enumerate(shown, 1):
        y, rgb = top + line * _LINE, colours[value]
        draw.rectangle((_EDGE, y + 3, _EDGE + 11, y + 14), hex_of(rgb))
        draw.text((_EDGE + 20, y), trace.names[value], _INK, font)
        ml = float(volumes.get(value, 0.0)) if isinstance(volumes, Mapping) else None
        words = "" if ml is None else volume_words(ml)
        draw.text((canvas.width - _EDGE, y), words, _FAINT, font, anchor="ra")
    return canvas
