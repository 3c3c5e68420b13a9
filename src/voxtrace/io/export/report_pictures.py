"""Pictures of a scan with the outlines of its labels, in three planes, each through the slice that shows most."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from voxtrace.io.export.label_style import colour_of
from voxtrace.volume import Array, LabelMap, Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Plane = Literal["axial", "coronal", "sagittal"]

# Plane -> axis of (Z, Y, X) that it cuts, whether rows are turned so that superior is up, and letters at the edges:
# left, right, top, bottom. Axial views are radiological: the patient's right is on the left.
_PLANES: dict[Plane, tuple[int, bool, str]] = {
    "axial": (0, False, "RLAP"),
    "coronal": (1, True, "RLSI"),
    "sagittal": (2, True, "APSI"),
}
_DPI, _HEIGHT_IN, _WIDEST_IN = 150, 3.4, 5.0
_CT_HU = (-160.0, 240.0)  # level 40, width 400: soft tissue
_FLAT_IN = 0.9  # a flatter picture has no room for letters above and below
_DARK, _LIGHT = "#000000", "#f2f2f2"
_BAR_MM = (1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True)
class ReportPicture:
    """A picture as PNG, its size, and where its slice lies: ``S 12.0 mm``."""

    plane: Plane
    png: bytes
    width_px: int
    height_px: int
    position: str


def plane_pictures(scan: Volume, labels: LabelMap) -> tuple[ReportPicture, ...]:
    """Return an axial, a coronal and a sagittal picture of a scan's first channel with its labels outlined."""
    limits = _limits(scan)
    return tuple(_picture(plane, scan, labels, limits) for plane in _PLANES)


def fullest_slice(labels: Array, axis: int) -> int:
    """Return the slice along an axis that shows most of most labels; the middle one of an empty map.

    It has the largest sum over labels of log(1 + voxels), so that a large organ does not outweigh several small ones.
    """
    scores = np.zeros(labels.shape[axis])
    for value in np.unique(labels):
        if value:
            counts = np.count_nonzero(labels == value, axis=tuple(i for i in range(3) if i != axis))
            scores += np.log1p(counts)
    return int(scores.argmax()) if scores.any() else labels.shape[axis] // 2


def _picture(plane: Plane, scan: Volume, labels: LabelMap, limits: tuple[float, float]) -> ReportPicture:
    from matplotlib.figure import Figure

    axis, flipped, letters = _PLANES[plane]
    index = fullest_slice(labels.data, axis)
    image, drawn = (_cut(array, axis, index, flipped) for array in (scan.data[0], labels.data))
    spacing = [s for i, s in enumerate(scan.geometry.spacing_mm) if i != axis]
    height_mm, width_mm = image.shape[0] * spacing[0], image.shape[1] * spacing[1]
    width_in = min(_HEIGHT_IN * width_mm / height_mm, _WIDEST_IN)
    figure = Figure(figsize=(width_in, width_in * height_mm / width_mm), dpi=_DPI, facecolor=_DARK)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(
        image.astype(np.float32),
        cmap="gray",
        vmin=limits[0],
        vmax=limits[1],
        aspect="auto",
        extent=(0, width_mm, height_mm, 0),
        interpolation="bilinear",
    )
    _outline(axes, drawn, labels, spacing)
    _letter(axes, letters if figure.get_figheight() > _FLAT_IN else letters[:2])
    _scale(axes, width_mm, height_mm)
    axes.set(xlim=(0, width_mm), ylim=(height_mm, 0))
    axes.set_axis_off()
    with io.BytesIO() as file:
        figure.savefig(file, format="png", facecolor=_DARK)
        width, height = figure.canvas.get_width_height()
        return ReportPicture(plane, file.getvalue(), width, height, _position(plane, scan, index))


def _cut(array: Array, axis: int, index: int, flipped: bool) -> Array:
    plane: Array = np.take(array, index, axis=axis)
    return plane[::-1] if flipped else plane


def _outline(axes: Axes, drawn: Array, labels: LabelMap, spacing: list[float]) -> None:
    rows = (np.arange(drawn.shape[0]) + 0.5) * spacing[0]
    columns = (np.arange(drawn.shape[1]) + 0.5) * spacing[1]
    if min(drawn.shape) < 2:
        return
    for value in np.unique(drawn):
        if value:
            mask = (drawn == value).astype(np.float32)
            colour = colour_of(labels, int(value))
            axes.contourf(columns, rows, mask, levels=[0.5, 1.5], colors=[colour], alpha=0.25)
            axes.contour(columns, rows, mask, levels=[0.5], colors=[colour], linewidths=1.3)


def _letter(axes: Axes, letters: str) -> None:
    from matplotlib.patheffects import withStroke

    places = ((0.03, 0.5), (0.97, 0.5), (0.5, 0.96), (0.5, 0.04))
    for letter, (x, y) in zip(letters, places, strict=False):
        drawn = axes.text(
            x, y, letter, transform=axes.transAxes, color="#ffd54a", ha="center", va="center", fontsize=13
        )
        drawn.set_path_effects([withStroke(linewidth=2.5, foreground=_DARK)])  # legible on bright tissue too


def _scale(axes: Axes, width_mm: float, height_mm: float) -> None:
    """Draw a bar of a round length, about a quarter of the picture."""
    length = max((mm for mm in _BAR_MM if mm <= width_mm / 3), default=_BAR_MM[0])
    left, y = 0.05 * width_mm, 0.94 * height_mm
    axes.plot([left, left + length], [y, y], color=_LIGHT, linewidth=2.5, solid_capstyle="butt")
    axes.text(
        left + length / 2, y - 0.015 * height_mm, f"{length} mm", color=_LIGHT, ha="center", va="bottom", fontsize=8
    )


def _limits(scan: Volume) -> tuple[float, float]:
    if scan.modality == "CT":
        return _CT_HU
    steps = [max(1, n // 64) for n in scan.data.shape[1:]]
    low, high = np.percentile(scan.data[0, :: steps[0], :: steps[1], :: steps[2]], [1, 99.5])
    return float(low), float(max(high, low + 1e-6))


def _position(plane: Plane, scan: Volume, index: int) -> str:
    """Return where a slice lies, by the patient's direction and mm: the middle of the slice."""
    axis = _PLANES[plane][0]
    middle = [(n - 1) / 2 for n in scan.geometry.shape]
    middle[axis] = index
    value = float(scan.geometry.world_mm(middle)[axis])
    positive, negative = (("S", "I"), ("P", "A"), ("L", "R"))[axis]
    return f"{positive if value >= 0 else negative} {abs(value):.1f} mm"
