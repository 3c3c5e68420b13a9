"""Planes of a scan and of label maps as they lie on screen, and labels over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from voxtrace import palette
from voxtrace.errors import GeometryError, UsageError
from voxtrace.trace import Trace
from voxtrace.volume import Array, Triple, Volume

Plane = Literal["axial", "coronal", "sagittal"]
Picture = npt.NDArray[np.uint8]
Limits = tuple[float, float]

PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
FILL = 0.35  # opacity of a label inside its outline
CT_LIMITS_HU = (-160.0, 240.0)  # level 40, width 400


def check_grid(trace: Trace, volume: Volume | None) -> None:
    """Refuse a scan that was not segmented to this trace.

    Raises
    ------
    GeometryError
        It has another grid.
    """
    if volume is not None and not volume.geometry.is_close(trace.geometry):
        raise GeometryError(
            f"the scan {volume.geometry.shape} (Z, Y, X) does not lie on the grid of the trace {trace.geometry.shape}; "
            "expected the scan that was segmented. Give it with --scan."
        )


def label_colours(trace: Trace) -> dict[int, Triple]:
    """Return the colour of each label but the background."""
    names = {value: name for value, name in trace.names.items() if value}
    return palette.colours(names, names=names)


def plane_of(labels: Any, axis: int, index: int, step: int | None = None) -> Array:
    """Return one plane as it lies on screen: front or head on top, the patient's left on the right."""
    key: tuple[Any, ...] = (*[slice(None)] * axis, index, *[slice(None)] * (2 - axis))
    plane = np.asarray(labels[key if step is None else (step, *key)])
    return plane if axis == 0 else plane[::-1]


def chosen_slice(trace: Trace, axis: int, index: int | None) -> int:
    """Return the slice that was asked for, or the one with most labelled voxels at the last step."""
    depth = trace.geometry.shape[axis]
    if index is not None and not 0 <= index < depth:
        raise UsageError(f"there is no slice {index}; expected 0 to {depth - 1}.")
    if index is not None:
        return index
    labelled = np.asarray(trace.labels[-1]) > 0
    return int(labelled.sum(axis=tuple(a for a in range(3) if a != axis)).argmax())


def picture_size(trace: Trace, axis: int, height: int) -> tuple[int, int]:
    """Return height and width in pixels at true proportions."""
    spacing = [mm for a, mm in enumerate(trace.geometry.spacing_mm) if a != axis]
    rows, columns = (n for a, n in enumerate(trace.geometry.shape) if a != axis)
    width = height * columns * spacing[1] / (rows * spacing[0])
    if width > 2 * height:  # a thin stack of slices seen from the front
        height, width = round(height * 2 * height / width), 2 * height
    return max(1, height), max(1, round(width))


def at_pixels(plane: Array, size: tuple[int, int]) -> Array:
    """Return the nearest voxel at every pixel."""
    rows, columns = (((np.arange(n) + 0.5) * have / n).astype(int) for n, have in zip(size, plane.shape, strict=True))
    return plane[np.ix_(rows, columns)]


def contrast(volume: Volume, image: Array) -> Limits:
    """Return the intensities shown black and white: a soft tissue window for CT, else what most of the image has."""
    if volume.modality == "CT":
        return CT_LIMITS_HU
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0.0, 1.0)
    return float(low), float(high)


def grey_picture(
    volume: Volume | None,
    axis: int,
    index: int,
    size: tuple[int, int],
    limits: Limits | None = None,
    channel: int = 0,
) -> Picture:
    """Return a plane of a channel, (H, W, 3); black without a scan. Limits are those of the plane if not given."""
    if volume is None:
        return np.zeros((*size, 3), np.uint8)
    from PIL import Image

    image = plane_of(volume.data[channel], axis, index).astype(np.float32)
    low, high = contrast(volume, image) if limits is None else limits
    shades = np.nan_to_num(np.clip((image - low) / max(high - low, 1e-6), 0, 1)) * 255
    smooth = Image.fromarray(shades.astype(np.uint8)).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.repeat(np.asarray(smooth)[..., None], 3, axis=2)


def outline(labels: Array) -> npt.NDArray[np.bool_]:
    """Return which pixels (H, W) lie beside one of another label."""
    padded = np.pad(labels, 1, mode="edge")
    inner = padded[1:-1, 1:-1]
    edge = np.zeros(labels.shape, bool)
    for moved in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        edge |= moved != inner
    return edge


def overlaid(base: Picture, labels: Array, colours: Mapping[int, Triple]) -> Picture:
    """Return a picture with labels (H, W) over it: filled lightly, with an outline."""
    edge, picture = outline(labels), base.astype(np.float32)
    for value, colour in colours.items():
        inside = labels == value
        for where, opacity in ((inside & ~edge, FILL), (inside & edge, 1.0)):
            picture[where] = (1 - opacity) * picture[where] + opacity * 255 * np.asarray(colour)
    return picture.astype(np.uint8)


def volume_words(ml: float) -> str:
    """Return a volume with the digits that count, e.g. ``1,480 mL`` and ``3.42 mL``."""
    return f"{ml:,.0f} mL" if ml >= 100 else f"{ml:.1f} mL" if ml >= 10 else f"{ml:.2f} mL"


def hex_of(rgb: Triple) -> str:
    """Return a colour as HTML writes it, e.g. ``#ff8000``."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
