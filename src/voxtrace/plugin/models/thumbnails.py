"""Thumbnails of one plane: the scan in grey with labels in their colours; numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtrace.volume import Array, Triple

Picture = npt.NDArray[np.uint8]
FILL = 0.35  # opacity of a label inside its outline
_BARE = 26  # grey of a plane without a scan


@dataclass(frozen=True)
class Crop:
    """The part of a plane that thumbnails show, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left


def whole(shape: tuple[int, int]) -> Crop:
    """Return the crop that leaves a plane as it is."""
    return Crop(0, 0, *shape)


def around(box: tuple[int, int, int, int], shape: tuple[int, int], margin: float = 0.2) -> Crop:
    """Return a box (top, left, bottom, right) with a margin, within the plane; the whole plane for an empty box.

    >>> around((10, 10, 20, 30), (40, 40)).shape
    (18, 28)
    """
    top, left, bottom, right = box
    if bottom <= top or right <= left:
        return whole(shape)
    grow = max(2, round(margin * max(bottom - top, right - left)))
    return Crop(max(0, top - grow), max(0, left - grow), min(shape[0], bottom + grow), min(shape[1], right + grow))


def picture_size(shape: tuple[int, int], spacing_mm: tuple[float, float], most: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) in pixels of a plane at its true proportions, as large as fits into ``most``.

    >>> picture_size((100, 50), (1.0, 2.0), (80, 200))
    (80, 80)
    """
    height, width = shape[0] * spacing_mm[0], shape[1] * spacing_mm[1]
    scale = min(most[0] / height, most[1] / width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def colour_table(colours: Mapping[int, Triple], hidden: frozenset[int] = frozenset()) -> Picture:
    """Return (K, 4) red, green, blue and 1 where a label is drawn, for label values 0 … K − 1."""
    table = np.zeros((max(colours, default=0) + 1, 4), np.uint8)
    for value, rgb in colours.items():
        if value > 0 and value not in hidden:
            table[value] = (*(round(255 * part) for part in rgb), 1)
    return table


def grey(plane: Array | None, crop: Crop, size: tuple[int, int], limits: tuple[float, float]) -> Picture:
    """Return a scan's plane in ``size`` pixels, (H, W) uint8; dark grey everywhere without a scan."""
    if plane is None:
        return np.full(size, _BARE, np.uint8)
    part = np.asarray(plane)[crop.top : crop.bottom, crop.left : crop.right].astype(np.float32)
    part = _pooled(part, max(1, part.shape[0] // (2 * size[0])), max(1, part.shape[1] // (2 * size[1])))
    low, high = limits
    scaled = (part - low) * (255.0 / max(high - low, 1e-6))
    values: Picture = np.nan_to_num(_resized(scaled, size)).clip(0, 255).astype(np.uint8)
    return values


def overlaid(base: Picture, plane: Array, crop: Crop, table: Picture) -> Picture:
    """Return (H, W, 3): labels of a plane over its grey picture (H, W), filled lightly and outlined."""
    part = np.asarray(plane)[crop.top : crop.bottom, crop.left : crop.right]
    labels = _resized(part, base.shape)
    shown = table[np.minimum(labels, len(table) - 1)]
    shown[labels >= len(table)] = (255, 0, 255, 1)  # a value without a colour, magenta as in napari
    drawn = shown[..., 3] > 0
    opacity = np.where(_edges(labels) & drawn, 1.0, np.where(drawn, FILL, 0.0))[..., None]
    mixed: Picture = (base[..., None] * (1 - opacity) + shown[..., :3] * opacity).astype(np.uint8)
    return mixed


def _edges(labels: Array) -> npt.NDArray[np.bool_]:
    """Return the pixels whose lower, upper, left or right neighbour has another label."""
    edges = np.zeros(labels.shape, bool)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edges[1:] |= down
    edges[:-1] |= down
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    return edges


def _resized(plane: Array, size: tuple[int, int]) -> Array:
    """Return the nearest pixels of a plane in another size."""
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(np.intp) for n, m in zip(size, plane.shape, strict=True))
    picked: Array = plane[rows[:, None], columns[None, :]]
    return picked


def _pooled(plane: Array, down: int, across: int) -> Array:
    """Return means over blocks, so that a strong reduction does not look grainy."""
    height, width = plane.shape[0] // down * down, plane.shape[1] // across * across
    blocks = plane[:height, :width].reshape(height // down, down, width // across, across)
    pooled: Array = blocks.mean((1, 3))
    return pooled
