"""A page of HTML that needs no other file: slices of a scan with the labels of each step, and sliders for both."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.errors import UsageError
from voxtrace.film.planes import (
    FILL,
    PLANES,
    Limits,
    at_pixels,
    check_grid,
    chosen_slice,
    contrast,
    grey_picture,
    hex_of,
    label_colours,
    outline,
    picture_size,
    plane_of,
    volume_words,
)
from voxtrace.trace import Trace
from voxtrace.volume import DEMONSTRATION, Array, Triple, Volume

if TYPE_CHECKING:
    from PIL.Image import Image

    from voxtrace.film.frames import FilmOptions

MOST_SLICES = 40
MOST_BYTES = 9_500_000  # of the pictures as text; the page stays below 10 MB
_TEMPLATE = Path(__file__).with_name("page.html")


@dataclass(frozen=True)
class _Slice:
    """One slice: the scan, and the labels of each kept step, as addresses that hold their picture."""

    index: int
    grey: str
    labels: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.grey) + sum(map(len, self.labels))


def page(trace: Trace, volume: Volume | None, options: FilmOptions) -> str:
    """Return the page: at most 40 slices of one plane, evenly among the labelled ones, fewer where 10 MB are reached.

    With ``options.index`` it shows this slice alone.

    Raises
    ------
    GeometryError
        The scan has another grid than the trace.
    UsageError
        The slice does not exist, or already one slice needs more than 10 MB.
    """
    check_grid(trace, volume)
    axis = PLANES.index(options.plane)
    fullest = chosen_slice(trace, axis, options.index)
    indices = [fullest] if options.index is not None else _evenly(_labelled(trace, axis), fullest)
    slices = _within_limit(_slices(trace, volume, options, axis, indices), fullest)
    # a sign that opens a tag would end the script; JSON may write it as a number
    data = json.dumps(_document(trace, options, slices, fullest)).replace("<", "\\u003c")
    warning = f'<p class="warning">{escape(DEMONSTRATION)}</p>' if trace.provenance.demonstration else ""
    parts = {"TITLE": escape(_title(trace)), "WARNING": warning, "DATA": data}
    # in one pass: a name of a stranger may look like a place to fill
    return re.sub("@([A-Z]+)@", lambda place: parts[place[1]], _TEMPLATE.read_text(encoding="utf-8"))


def _title(trace: Trace) -> str:
    about = trace.provenance
    return " · ".join(filter(None, (about.method_title or about.method, about.bundle))) or "Trace"


def _document(trace: Trace, options: FilmOptions, slices: Sequence[_Slice], fullest: int) -> dict[str, Any]:
    """Return what the page's script reads."""
    height, width = picture_size(trace, PLANES.index(options.plane), options.height)
    rows = trace.summary()[-int(trace.labels.shape[0]) :]
    return {
        "width": width,
        "height": height,
        "hold": round(1000 / options.per_second),
        "plane": options.plane,
        "depth": trace.geometry.shape[PLANES.index(options.plane)],
        "steps": [f"{trace.step_word} {int(row['step']) + 1} of {trace.n_steps}" for row in rows],
        "changed": [row.get("changed_voxels") for row in rows],
        "labels": [
            _label_row(trace.names[value], colour, [float(row["volume_ml"].get(value, 0.0)) for row in rows])
            for value, colour in label_colours(trace).items()
        ],
        "slices": [{"index": one.index, "grey": one.grey, "labels": one.labels} for one in slices],
        "first": next(i for i, one in enumerate(slices) if one.index == fullest),
    }


def _label_row(name: str, colour: Triple, ml: Sequence[float]) -> dict[str, Any]:
    return {"name": name, "colour": hex_of(colour), "ml": ml, "words": [volume_words(v) for v in ml]}


def _labelled(trace: Trace, axis: int) -> list[int]:
    """Return the slices with a label at the last step."""
    if axis == 0:
        there = trace.label_areas()[-1, :, 1:].any(1)
    else:
        there = np.asarray(trace.labels[-1]).any(axis=tuple(a for a in range(3) if a != axis))
    return [int(index) for index in np.flatnonzero(there)]


def _evenly(indices: Sequence[int], always: int) -> list[int]:
    """Return at most so many slices as a page holds, evenly among these, with one that is always there."""
    if len(indices) <= MOST_SLICES:
        return sorted({*indices, always})
    places = np.linspace(0, len(indices) - 1, MOST_SLICES - 1).round().astype(int)
    return sorted({*(indices[place] for place in places), always})


def _within_limit(slices: list[_Slice], always: int) -> list[_Slice]:
    """Return the slices, every second one as often as it takes for the page to stay within its size."""
    while sum(one.size for one in slices) > MOST_BYTES:
        if len(slices) == 1:
            size = slices[0].size / 1e6
            raise UsageError(f"one slice with every step needs {size:.0f} MB of 10; give a smaller --height.")
        here = next(i for i, one in enumerate(slices) if one.index == always)
        slices = slices[here % 2 :: 2]
    return slices


def _slices(
    trace: Trace, volume: Volume | None, options: FilmOptions, axis: int, indices: Sequence[int]
) -> list[_Slice]:
    size, colours = picture_size(trace, axis, options.height), label_colours(trace)
    limits = _limits(volume, axis, indices[len(indices) // 2])
    pictures: list[list[str]] = [[] for _ in indices]
    for step in range(int(trace.labels.shape[0])):
        # along z a few planes are read, else the whole step once
        labels = None if axis == 0 else np.asarray(trace.labels[step])
        for into, index in zip(pictures, indices, strict=True):
            plane = plane_of(trace.labels, axis, index, step) if labels is None else plane_of(labels, axis, index)
            into.append(_label_picture(at_pixels(plane, size), colours))
    return [
        _Slice(index, _grey(grey_picture(volume, axis, index, size, limits)), tuple(into))
        for index, into in zip(indices, pictures, strict=True)
    ]


def _limits(volume: Volume | None, axis: int, index: int) -> Limits | None:
    """Return one contrast for all slices, so that they can be compared."""
    return None if volume is None else contrast(volume, plane_of(volume.data[0], axis, index).astype(np.float32))


def _label_picture(labels: Array, colours: Mapping[int, Triple]) -> str:
    """Return labels (H, W) as a picture that is clear where there is none."""
    from PIL import Image

    picture, edge = np.zeros((*labels.shape, 4), np.uint8), outline(labels)
    for value, colour in colours.items():
        inside = labels == value
        picture[inside] = (*(round(255 * part) for part in colour), round(255 * FILL))
        picture[inside & edge, 3] = 255
    return _address(Image.fromarray(picture), "PNG")


def _grey(picture: Array) -> str:
    from PIL import Image

    return _address(Image.fromarray(picture[..., 0]), "JPEG")


def _address(picture: Image, kind: str) -> str:
    """Return an address that holds the picture itself."""
    into = io.BytesIO()
    picture.save(into, format=kind, quality=85)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(into.getvalue()).decode('ascii')}"
