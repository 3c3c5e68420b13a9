"""The part of a scan that a run takes: a box of voxels, and how a result on it is laid back onto the scan's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from voxtrace.trace import Trace
from voxtrace.trace.step_counts import StepCounts
from voxtrace.volume import Array, Geometry, LabelMap, Shape, Triple, Volume


@dataclass(frozen=True)
class Box:
    """Voxels of a canonical grid, (z, y, x): from ``start`` to ``stop``, which is not included."""

    start: Shape
    stop: Shape

    @property
    def shape(self) -> Shape:
        """Voxels along (Z, Y, X)."""
        z, y, x = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index of an array (Z, Y, X)."""
        z, y, x = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    def covers(self, shape: Shape) -> bool:
        """Return whether it is a whole grid of that shape."""
        return self.start == (0, 0, 0) and self.stop == shape


def clipped_box(start: Sequence[float], stop: Sequence[float], shape: Shape) -> Box | None:
    """Return the box within a grid that lies between two corners in voxels, rounded outwards; None where it is empty.

    >>> clipped_box((-3.0, 1.2, 0.0), (99.0, 3.1, 4.0), (10, 8, 8))
    Box(start=(0, 1, 0), stop=(10, 4, 4))
    """
    low = [max(0, int(np.floor(min(a, b)))) for a, b in zip(start, stop, strict=True)]
    high = [min(n, int(np.ceil(max(a, b)))) for a, b, n in zip(start, stop, shape, strict=True)]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return None
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def with_margin(box: Box, margin_mm: float, spacing_mm: Triple, shape: Shape) -> Box:
    """Return a box that is larger by a margin on every side, within a grid.

    >>> with_margin(Box((5, 5, 5), (6, 9, 9)), 4.0, (4.0, 2.0, 2.0), (20, 10, 10))
    Box(start=(4, 3, 3), stop=(7, 10, 10))
    """
    extra = [margin_mm / mm for mm in spacing_mm]
    start = [a - e for a, e in zip(box.start, extra, strict=True)]
    stop = [b + e for b, e in zip(box.stop, extra, strict=True)]
    found = clipped_box(start, stop, shape)
    assert found is not None, "a box within the grid stays within it"
    return found


def within(box: Box, outer: Box) -> Box:
    """Return a box in voxels of a larger one that holds it.

    >>> within(Box((4, 4, 4), (6, 6, 6)), Box((3, 2, 1), (9, 9, 9)))
    Box(start=(1, 2, 3), stop=(3, 4, 5))
    """
    start = tuple(a - o for a, o in zip(box.start, outer.start, strict=True))
    stop = tuple(b - o for b, o in zip(box.stop, outer.start, strict=True))
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def crop(volume: Volume, box: Box) -> Volume:
    """Return the part of a volume inside a box; a view, with the geometry of the part."""
    return volume.part(box.start, box.shape)


def laid_back_labels(labels: LabelMap, geometry: Geometry, box: Box) -> LabelMap:
    """Return labels of a box on the whole grid; background outside."""
    return replace(labels, data=_padded(labels.data, geometry.shape, box, 0), geometry=geometry)


def laid_back(trace: Trace, geometry: Geometry, box: Box) -> Trace:
    """Return a trace of a box on the whole grid: background outside, NaN in maps and in slices that were not seen.

    Windows are given in voxels of the whole grid.
    """
    shape = geometry.shape

    def on_grid(values: Any, outside: Any = 0) -> Array:
        return _padded(np.asarray(values[:]), shape, box, outside)

    return replace(
        trace,
        **_moved(trace, geometry, box.start),
        labels=on_grid(trace.labels),
        settled=None if trace.settled is None else on_grid(trace.settled),
        second=None if trace.second is None else on_grid(trace.second),
        step_counts=None if trace.step_counts is None else _counts(trace.step_counts, shape, box),
        areas=None if trace.areas is None else _areas(np.asarray(trace.areas[:]), shape, box),
        extras={name: on_grid(values) for name, values in trace.extras.items()},
        members={name: on_grid(values) for name, values in trace.members.items()},
        maps={name: on_grid(values, np.nan) for name, values in trace.maps.items()},
        slice_facts={name: _slices(values, shape, box) for name, values in trace.slice_facts.items()},
    )


def cut(trace: Trace, box: Box) -> Trace:
    """Return the part of a trace inside a box of its grid."""
    inside = (slice(None), *box.slices)

    def part(values: Any) -> Array:
        return np.ascontiguousarray(np.asarray(values[:])[inside])

    return replace(
        trace,
        **_moved(trace, trace.geometry.part(box.start, box.shape), (-box.start[0], -box.start[1], -box.start[2])),
        labels=part(trace.labels),
        settled=None,
        second=None if trace.second is None else np.ascontiguousarray(np.asarray(trace.second[:])[box.slices]),
        step_counts=None,
        areas=None,
        ranges=None,
        extras={name: part(values) for name, values in trace.extras.items()},
        members={name: part(values) for name, values in trace.members.items()},
        maps={name: part(values) for name, values in trace.maps.items()},
        slice_facts={name: values[:, box.slices[0]] for name, values in trace.slice_facts.items()},
    )


def _moved(trace: Trace, geometry: Geometry, by: tuple[int, int, int]) -> dict[str, Any]:
    """Return geometry and windows of a trace on another grid; ``by`` is its first voxel there."""

    def moved(windows: Array) -> Array:
        corners = trace.boxes(windows) + 0.5 + np.tile(by, 2)  # boxes have borders at i − 0.5
        inside = np.clip(np.rint(corners), 0, np.tile(geometry.shape, 2))
        boxes: Array = inside.astype(np.int64).reshape(-1, 6)
        return boxes

    return {
        "geometry": geometry,
        "windows": moved(trace.windows),
        "window_sets": {name: moved(found) for name, found in trace.window_sets.items()},
        "network_shape": geometry.shape,
    }


def _padded(values: Array, shape: Shape, box: Box, outside: Any) -> Array:
    """Return an array (..., Z, Y, X) of the box inside one of the whole grid."""
    whole = (*values.shape[:-3], *shape)
    # np.zeros asks the system for memory only where the box is written
    padded = np.zeros(whole, values.dtype) if outside == 0 else np.full(whole, outside, values.dtype)
    padded[(..., *box.slices)] = values
    return padded


def _slices(values: Array, shape: Shape, box: Box) -> Array:
    padded = np.full((*values.shape[:-1], shape[0]), np.nan, values.dtype)
    padded[..., box.slices[0]] = values
    return padded


def _counts(counts: StepCounts, shape: Shape, box: Box) -> StepCounts:
    """Return the counts on the whole grid: the background takes every voxel outside the box."""
    whole = counts.counts.copy()
    whole[:, 0] += int(np.prod(shape)) - int(np.prod(box.shape))
    return StepCounts(whole, counts.changed)


def _areas(areas: Array, shape: Shape, box: Box) -> Array:
    """Return the voxels of each label in each slice (S, Z, K) on the whole grid, likewise."""
    whole = np.zeros((areas.shape[0], shape[0], areas.shape[2]), areas.dtype)
    whole[:, :, 0] = shape[1] * shape[2]
    whole[:, box.slices[0]] = areas
    whole[:, box.slices[0], 0] += shape[1] * shape[2] - box.shape[1] * box.shape[2]
    return whole


def box_words(box: Box, shape: Shape) -> str:
    """Return the box in words for a result's name; ``""`` for the whole scan. Slices are counted from 1.

    >>> box_words(Box((9, 0, 0), (30, 64, 64)), (40, 64, 64))
    'slices 10–30'
    >>> box_words(Box((0, 8, 16), (40, 24, 48)), (40, 64, 64))
    'box 40×16×32'
    """
    if box.covers(shape):
        return ""
    if box.start[1:] == (0, 0) and box.stop[1:] == shape[1:]:
        return f"slices {box.start[0] + 1}–{box.stop[0]}"
    return "box " + "×".join(str(n) for n in box.shape)
