"""Lines drawn on one slice: inner and outer contours of answers that differ, and the corners around a place.

Lines follow the borders of voxels, so they are as thin as wanted at any spacing and hide nothing. They are computed for
the slice on screen alone. Positions are in display space, (I, P, L) in mm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.plugin.layers.display_space import AXES, UNITS, layer_transform
from voxtrace.trace.disagreement import Answers
from voxtrace.volume import Array, Geometry, Triple

Box = tuple[int, int, int, int, int, int]
Key = tuple[Any, Any, Any]
LINES_SCALE = 1000.0  # mm to a unit of the layer: far above any spacing, or napari would step the sliders by it
DASH_MM = 2.0
FRAME_COLOUR: Triple = (1.0, 0.84, 0.29)  # as the letters at the edges: seen on black and on bone
_MARGIN_MM = 3.0  # between a place and the corners around it
_CORNER_FRACTION = 0.2


@dataclass(frozen=True, eq=False)
class Lines:
    """Segments on a slice: start and end (N, 2, 3) in mm along (I, P, L), and the label of each (N,)."""

    ends_mm: Array
    labels: Array

    @property
    def vectors(self) -> Array:
        """Starts and directions (N, 2, 3) as napari's vectors, in units of ``LINES_SCALE``."""
        vectors = self.ends_mm / LINES_SCALE
        vectors[:, 1] -= vectors[:, 0]
        return np.asarray(vectors, np.float32)


@dataclass(frozen=True)
class SlicePosition:
    """A slice of a canonical grid: the axis that it is perpendicular to, and its index there, both from 0."""

    axis: int
    index: int

    @property
    def key(self) -> Key:
        """The slice as a key of an array (Z, Y, X)."""
        key: list[Any] = [slice(None)] * 3
        key[self.axis] = self.index
        return key[0], key[1], key[2]

    @property
    def in_plane(self) -> tuple[int, int]:
        """The two axes of the slice."""
        first, second = (axis for axis in range(3) if axis != self.axis)
        return first, second


def slice_at(geometry: Geometry, axis: int, world_mm: float) -> SlicePosition | None:
    """Return the slice at a position along an axis of display space; None outside the grid."""
    transform, n = layer_transform(geometry), geometry.shape[axis]
    index = round((world_mm - transform.translate_mm[axis]) / transform.scale_mm[axis])
    if not 0 <= index < n:
        return None
    return SlicePosition(axis, n - 1 - index if axis == 0 else index)


def inner_labels(answers: Answers, key: Key, label: int | None = None) -> Array:
    """Return a part of what all answers agree on, background where they differ; with ``label`` of that alone."""
    first, *rest = (row[key] for row in answers.rows)
    agreed = np.where(np.logical_and.reduce([row == first for row in rest]), first, 0)
    return agreed if label is None else np.where(agreed == label, label, 0)


def outer_labels(answers: Answers, key: Key, label: int | None = None) -> Array:
    """Return a part of what any answer says; with ``label`` where any says that.

    Without, where answers give a voxel several labels, the shown one is taken, and where that is background, that of
    the first answer that says otherwise.
    """
    rows = [row[key] for row in answers.rows]
    if label is not None:
        return np.where(np.logical_or.reduce([row == label for row in rows]), label, 0)
    labels = answers.answer[key]
    for row in rows:
        labels = np.where(labels == 0, row, labels)
    return labels


def contour(labels: Array, where: SlicePosition, geometry: Geometry, *, dashed: bool = False) -> Lines:
    """Return the borders of every label on a slice (rows, columns); background has none of its own."""
    padded = np.pad(labels, 1)
    starts, ends, values = [], [], []
    for axis in range(2):
        other = 1 - axis
        before = padded[:-1, 1:-1] if axis == 0 else padded[1:-1, :-1]
        after = padded[1:, 1:-1] if axis == 0 else padded[1:-1, 1:]
        for one, neighbour in ((before, after), (after, before)):
            at = np.argwhere((one != neighbour) & (one != 0))  # border before voxel at[axis], along the other axis
            # both sides of a border between two labels get a line; they lie on one another
            n = max(1, round(DASH_MM / geometry.spacing_mm[where.in_plane[other]]))
            if dashed:
                at = at[at[:, other] // n % 2 == 0] if n > 1 else at
            start = at.astype(np.float64) - 0.5
            end = start.copy()
            end[:, other] += 0.5 if dashed and n == 1 else 1.0
            starts.append(start)
            ends.append(end)
            values.append(one[at[:, 0], at[:, 1]])
    flat = np.stack([np.concatenate(starts), np.concatenate(ends)], axis=1)
    return Lines(_in_mm(flat, where, geometry), np.concatenate(values))


def corners(box: Box, where: SlicePosition, geometry: Geometry) -> Lines:
    """Return the four corners of a frame around a box, eight lines; none on a slice that does not cross it."""
    if not box[where.axis] <= where.index < box[where.axis + 3]:
        return Lines(np.zeros((0, 2, 3)), np.zeros(0, np.int64))
    low, high, reach = [], [], []
    for axis in where.in_plane:
        margin = _MARGIN_MM / geometry.spacing_mm[axis]
        low.append(box[axis] - 0.5 - margin)
        high.append(box[axis + 3] - 0.5 + margin)
        reach.append(_CORNER_FRACTION * (high[-1] - low[-1]))
    segments = [
        ((u, v), (u + du * reach[0], v + dv * reach[1]))
        for u, sign_u in ((low[0], 1), (high[0], -1))
        for v, sign_v in ((low[1], 1), (high[1], -1))
        for du, dv in ((sign_u, 0), (0, sign_v))
    ]
    return Lines(_in_mm(np.asarray(segments, np.float64), where, geometry), np.ones(len(segments), np.int64))


def lines_layer(name: str, colour: Triple) -> dict[str, Any]:
    """Return the attributes of a vectors layer for lines; it holds none at first."""
    return {
        "data": np.zeros((0, 2, 3), np.float32),
        "name": name,
        "scale": (LINES_SCALE,) * 3,
        "units": UNITS,
        "axis_labels": AXES,
        "vector_style": "line",
        "edge_color": [(*colour, 1.0)],
        "opacity": 1.0,
    }


def colours_of(lines: Lines, colours: Mapping[int, Triple]) -> Array:
    """Return a lighter shade of its label's colour for each line, (N, 4)."""
    shades = {value: _light(colours.get(value, (1.0, 1.0, 1.0))) for value in np.unique(lines.labels).tolist()}
    return np.asarray([(*shades[value], 1.0) for value in lines.labels.tolist()]).reshape(-1, 4)


def _in_mm(flat: Array, where: SlicePosition, geometry: Geometry) -> Array:
    """Return positions (N, 2, 2) in voxels of a canonical slice as (N, 2, 3) in mm of display space."""
    whole = np.full((*flat.shape[:2], 3), float(where.index))
    for column, axis in enumerate(where.in_plane):
        whole[..., axis] = flat[..., column]
    whole[..., 0] = geometry.shape[0] - 1 - whole[..., 0]
    transform = layer_transform(geometry)
    return np.asarray(whole * transform.scale_mm + np.asarray(transform.translate_mm))


def _light(colour: Sequence[float]) -> Triple:
    """Return a lighter shade, which stands out from an area of the same colour."""
    red, green, blue = (0.5 + 0.5 * part for part in colour)
    return red, green, blue
