"""A film of a trace: one plane of the scan with the labels of each step, as an animated GIF or one PNG a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from voxtrace import palette
from voxtrace.atomic import atomic_file
from voxtrace.errors import GeometryError, UsageError
from voxtrace.trace import Trace
from voxtrace.volume import Array, Triple, Volume

if TYPE_CHECKING:
    from PIL.Image import Image

Plane = Literal["axial", "coronal", "sagittal"]
Picture = npt.NDArray[np.uint8]

PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
FILL = 0.35  # opacity of a label inside its outline
CT_LIMITS_HU = (-160.0, 240.0)  # level 40, width 400
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


def write_film(
    trace: Trace, path: str | Path, volume: Volume | None = None, options: FilmOptions | None = None
) -> Path:
    """Write an animated GIF of every kept step, or with a name ending in ``.png`` the last step; return its path.

    Parameters
    ----------
    trace
        What came about, step by step.
    volume
        The scan, on the same grid; without it labels lie on black.

    Raises
    ------
    GeometryError
        The scan has another grid than the trace.
    UsageError
        The name ends in neither ``.gif`` nor ``.png``, or the slice does not exist.
    OutputError
        The system refuses to write there.
    """
    path, options = Path(path), options or FilmOptions()
    if path.suffix.lower() not in (".gif", ".png"):
        raise UsageError(f"{path.name} is no film; expected a name ending in .gif, or .png for the last step.")
    pictures = frames(trace, volume, options)
    with atomic_file(path) as temporary:
        if path.suffix.lower() == ".png":
            pictures[-1].save(temporary, format="PNG")
        else:
            hold_ms = round(1000 / options.per_second)
            times = [hold_ms] * (len(pictures) - 1) + [3 * hold_ms]
            first, *others = _quantized(pictures, list(_colours(trace).values()))
            first.save(temporary, format="GIF", save_all=True, append_images=others, duration=times, loop=0)
    return path


def frames(trace: Trace, volume: Volume | None, options: FilmOptions) -> list[Image]:
    """Return one picture a kept step; see :func:`write_film`."""
    if volume is not None and volume.geometry.shape != trace.geometry.shape:
        raise GeometryError(
            f"the scan has {volume.geometry.shape} voxels (Z, Y, X), the trace {trace.geometry.shape}; "
            "expected the scan that was segmented. Give it with --scan."
        )
    axis = PLANES.index(options.plane)
    index = _chosen(trace, axis, options.index)
    spacing = [mm for a, mm in enumerate(trace.geometry.spacing_mm) if a != axis]
    size = _size(trace, axis, spacing, options.height)
    base = _grey(volume, axis, index, size)
    colours = _colours(trace)
    rows = trace.summary()[-int(trace.labels.shape[0]) :]
    return [
        _frame(_overlaid(base, _resized(_plane(trace.labels, axis, index, step), size), colours), trace, row, colours)
        for step, row in enumerate(rows)
    ]


def _colours(trace: Trace) -> dict[int, Triple]:
    names = {value: name for value, name in trace.names.items() if value}
    return palette.colours(names, names=names)


def _quantized(pictures: Sequence[Image], colours: Sequence[Triple]) -> list[Image]:
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


def _plane(labels: Any, axis: int, index: int, step: int | None = None) -> Array:
    """Return one plane as it lies on screen: front or head on top, the patient's left on the right."""
    key: tuple[Any, ...] = (*[slice(None)] * axis, index, *[slice(None)] * (2 - axis))
    plane = np.asarray(labels[key if step is None else (step, *key)])
    return plane if axis == 0 else plane[::-1]


def _chosen(trace: Trace, axis: int, index: int | None) -> int:
    depth = trace.geometry.shape[axis]
    if index is not None and not 0 <= index < depth:
        raise UsageError(f"there is no slice {index}; expected 0 to {depth - 1}.")
    if index is not None:
        return index
    labelled = np.asarray(trace.labels[-1]) > 0
    return int(labelled.sum(axis=tuple(a for a in range(3) if a != axis)).argmax())


def _size(trace: Trace, axis: int, spacing: Sequence[float], height: int) -> tuple[int, int]:
    rows, columns = (n for a, n in enumerate(trace.geometry.shape) if a != axis)
    width = height * columns * spacing[1] / (rows * spacing[0])
    if width > 2 * height:  # a thin stack of slices seen from the front
        height, width = round(height * 2 * height / width), 2 * height
    return max(1, height), max(1, round(width))


def _resized(plane: Array, size: tuple[int, int]) -> Array:
    """Return the nearest voxel at every pixel."""
    rows, columns = (((np.arange(n) + 0.5) * have / n).astype(int) for n, have in zip(size, plane.shape, strict=True))
    return plane[np.ix_(rows, columns)]


def _grey(volume: Volume | None, axis: int, index: int, size: tuple[int, int]) -> Picture:
    if volume is None:
        return np.zeros((*size, 3), np.uint8)
    from PIL import Image

    image = _plane(volume.data[0], axis, index).astype(np.float32)
    finite = image[np.isfinite(image)]
    low, high = (
        CT_LIMITS_HU if volume.modality == "CT" else np.percentile(finite, (0.5, 99.5)) if finite.size else (0, 1)
    )
    shades = np.nan_to_num(np.clip((image - low) / max(high - low, 1e-6), 0, 1)) * 255
    smooth = Image.fromarray(shades.astype(np.uint8)).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.repeat(np.asarray(smooth)[..., None], 3, axis=2)


def _overlaid(base: Picture, labels: Array, colours: Mapping[int, Triple]) -> Picture:
    """Return a picture with labels (H, W) over it: filled lightly, with an outline."""
    padded = np.pad(labels, 1, mode="edge")
    inner = padded[1:-1, 1:-1]
    edge = np.zeros(labels.shape, bool)
    for moved in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        edge |= moved != inner
    picture = base.astype(np.float32)
    for value, colour in colours.items():
        inside = labels == value
        for where, opacity in ((inside & ~edge, FILL), (inside & edge, 1.0)):
            picture[where] = (1 - opacity) * picture[where] + opacity * 255 * np.asarray(colour)
    return picture.astype(np.uint8)


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
        draw.rectangle((_EDGE, y + 3, _EDGE + 11, y + 14), _hex(rgb))
        draw.text((_EDGE + 20, y), trace.names[value], _INK, font)
        ml = float(volumes.get(value, 0.0)) if isinstance(volumes, Mapping) else None
        words = "" if ml is None else f"{ml:,.0f} mL" if ml >= 100 else f"{ml:.1f} mL" if ml >= 10 else f"{ml:.2f} mL"
        draw.text((canvas.width - _EDGE, y), words, _FAINT, font, anchor="ra")
    return canvas


def _hex(rgb: Triple) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
