"""Layers for answers that differ: an inner and an outer contour of each label, and a frame around a place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from voxtrace.plugin.layers import palette
from voxtrace.plugin.layers.display import LayerData
from voxtrace.plugin.layers.display_space import AXES, UNITS, layer_transform
from voxtrace.plugin.layers.on_demand import OnDemand, Part
from voxtrace.trace.disagreement import Answers
from voxtrace.volume import Array, Geometry, Triple

Box = tuple[int, int, int, int, int, int]
FRAME_COLOUR: Triple = (1.0, 1.0, 1.0)
_MARGIN = 2  # voxels between a place and its frame
_DASH, _GAP = 3, 2  # voxels of a dashed line


class AgreedLabels(OnDemand):
    """The inner contour: the outline of what all answers agree on.

    With ``label`` only that label is drawn, else every one. A part with all three axes is filled instead of outlined.
    """

    def __init__(self, answers: Answers, label: int | None = None) -> None:
        super().__init__(answers.geometry.shape, np.uint16)
        self.answers, self.label = answers, label

    def planes(self, part: Part, flat: tuple[int, ...]) -> Array:
        """Return a part of the contour (Z, Y, X)."""
        return _outlined(self.agreed(part), flat)

    def agreed(self, part: Part) -> Array:
        """Return the labels that all answers agree on; background where they differ."""
        first, *rest = (row[part] for row in self.answers.rows)
        agree = np.ones(first.shape, np.bool_)
        for labels in rest:
            agree &= labels == first
        return _only(np.where(agree, first, 0), self.label)


class PossibleLabels(OnDemand):
    """The outer contour: the dashed outline of what any answer says.

    With ``label`` it is that of this label. Without, where answers give a voxel several labels, the shown one is taken,
    and where that is background, that of the first answer that says otherwise.
    """

    def __init__(self, answers: Answers, label: int | None = None) -> None:
        super().__init__(answers.geometry.shape, np.uint16)
        self.answers, self.label = answers, label

    def planes(self, part: Part, flat: tuple[int, ...]) -> Array:
        """Return a part of the contour (Z, Y, X)."""
        return _dashed(_outlined(self.possible(part), flat), part, flat)

    def possible(self, part: Part) -> Array:
        """Return the labels that any answer gives."""
        rows = [row[part] for row in self.answers.rows]
        if self.label is not None:
            any_says: Array = np.logical_or.reduce([row == self.label for row in rows])
            return np.where(any_says, self.label, 0)
        labels = self.answers.answer[part]
        for row in rows:
            labels = np.where(labels == 0, row, labels)
        return np.asarray(labels)


class Frame(OnDemand):
    """The corners of a box around a place, 1 on 0; only on slices that cross the place."""

    def __init__(self, shape: tuple[int, int, int], box: Box) -> None:
        super().__init__(shape)
        self.box = box

    def planes(self, part: Part, flat: tuple[int, ...]) -> Array:
        """Return a part of the frame (Z, Y, X)."""
        inside, edges, corners = [], [], []
        for axis in range(3):
            at = np.arange(part[axis].start, part[axis].stop).reshape([-1 if a == axis else 1 for a in range(3)])
            margin = 0 if axis in flat else _MARGIN
            low, high = self.box[axis] - margin, self.box[axis + 3] - 1 + margin
            reach = max(2, (high - low) // 5)
            inside.append((at >= low) & (at <= high))
            edges.append((at == low) | (at == high))
            corners.append((at < low + reach) | (at > high - reach))
        shown = [axis for axis in range(3) if axis not in flat]
        on_edge = sum(edges[axis].astype(np.uint8) for axis in shown) >= max(1, len(shown) - 1)
        drawn = inside[0] & inside[1] & inside[2] & on_edge
        for axis in shown:
            drawn = drawn & corners[axis]
        return np.asarray(drawn, np.uint8)


def contour_layers(answers: Answers, label: int | None, colours: Mapping[int, Triple], name: str) -> list[LayerData]:
    """Return the inner contour (solid) and the outer one (dashed) as labels layers."""
    shades = {value: _light(colour) for value, colour in colours.items()}
    inner, outer = AgreedLabels(answers, label), PossibleLabels(answers, label)
    return [
        _layer(inner, answers.geometry, shades, f"{name} · all agree"),
        _layer(outer, answers.geometry, shades, f"{name} · any says so"),
    ]


def frame_layer(geometry: Geometry, box: Box, name: str) -> LayerData:
    """Return the frame around a place as a labels layer."""
    return _layer(Frame(geometry.shape, box), geometry, {1: FRAME_COLOUR}, name)


def _layer(data: OnDemand, geometry: Geometry, colours: Mapping[int, Triple], name: str) -> LayerData:
    transform = layer_transform(geometry)
    about: dict[str, Any] = {
        "name": name,
        "scale": transform.scale_mm,
        "translate": transform.translate_mm,
        "units": UNITS,
        "axis_labels": AXES,
        "colormap": palette.napari_colours(colours),
        "opacity": 1.0,
    }
    return data, about, "labels"


def _outlined(labels: Array, flat: tuple[int, ...]) -> Array:
    """Return the voxels of a slice that have a neighbour of another label in it; beyond the grid counts as such."""
    if len(flat) != 1:
        return labels.astype(np.uint16)
    padded = np.pad(labels, [(0, 0) if axis in flat else (1, 1) for axis in range(3)])
    border = np.zeros(labels.shape, np.bool_)
    for axis in (axis for axis in range(3) if axis not in flat):
        for start in (0, 2):
            key = [slice(None) if a in flat else slice(1, 1 + labels.shape[a]) for a in range(3)]
            key[axis] = slice(start, start + labels.shape[axis])
            border |= padded[tuple(key)] != labels
    return np.where(border, labels, 0).astype(np.uint16)


def _dashed(outline: Array, part: Part, flat: tuple[int, ...]) -> Array:
    """Return an outline with gaps, at the same places whichever part is asked for."""
    if len(flat) != 1:
        return outline
    along = sum(
        np.arange(part[axis].start, part[axis].stop).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis in range(3)
    )
    return np.where(np.asarray(along) % (_DASH + _GAP) < _DASH, outline, 0)


def _only(labels: Array, label: int | None) -> Array:
    return labels if label is None else np.where(labels == label, labels, 0)


def _light(colour: Triple) -> Triple:
    """Return a lighter shade, which stands out from an area of the same colour."""
    red, green, blue = (0.45 + 0.55 * part for part in colour)
    return red, green, blue
