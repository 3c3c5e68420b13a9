"""Windows as labels: an array that is worked out from boxes when a plane of it is read, so that it takes no memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from voxtrace.plugin.layers import display, routing
from voxtrace.trace import Trace
from voxtrace.trace.places import WindowGroup, window_groups
from voxtrace.volume import Array, Shape, Triple

# Groups of windows in the order in which they are given: blue, grey, vermilion, and further ones of the same palette.
GROUPS: tuple[Triple, ...] = ((0.34, 0.71, 0.91), (0.66, 0.68, 0.72), (0.84, 0.37, 0.00), (0.94, 0.89, 0.26))


class BoxesArray:
    """Labels (Z, Y, X) uint8 in which each box has a value, filled or as an outline; 0 elsewhere.

    Later boxes lie over earlier ones. Reading a plane outlines the boxes in it; reading a block outlines their edges.
    """

    def __init__(self, boxes: Array, values: Array, shape: Shape, *, outline: bool, flip: bool = True) -> None:
        """Take boxes (N, 6) in label voxels (borders of voxel i are i − 0.5 and i + 0.5) and their values (N,)."""
        self.shape, self.dtype, self.ndim = tuple(shape), np.dtype(np.uint8), 3
        edges = np.clip(np.rint(np.asarray(boxes, float) + 0.5).astype(int), 0, np.tile(shape, 2))
        if flip:  # display space: axis 0 from superior to inferior
            edges[:, [0, 3]] = shape[0] - edges[:, [3, 0]]
        self._boxes, self._values, self._outline = edges, np.asarray(values, np.uint8), outline

    @property
    def size(self) -> int:
        """The number of voxels."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """The size that the array would take in memory."""
        return self.size

    def __getitem__(self, key: Any) -> Any:
        """Return the labels of a part: integers, slices and an ellipsis as in numpy."""
        keys = _expanded(key, self.ndim)
        places = [np.atleast_1d(np.arange(n)[k]) for n, k in zip(self.shape, keys, strict=True)]
        out = np.zeros([len(place) for place in places], np.uint8)
        borders = 1 if sum(len(place) > 1 for place in places) < 3 else 2
        for box, value in zip(self._boxes, self._values, strict=True):
            self._draw(out, places, box, value, borders)
        dropped = tuple(axis for axis, k in enumerate(keys) if isinstance(k, (int, np.integer)))
        return out.squeeze(dropped) if dropped else out

    def _draw(self, out: Array, places: Sequence[Array], box: Array, value: Any, borders: int) -> None:
        inside = [(place >= box[axis]) & (place < box[axis + 3]) for axis, place in enumerate(places)]
        if not all(each.any() for each in inside):
            return
        part = np.ix_(*inside)
        if not self._outline:
            out[part] = value
            return
        at_border = np.zeros([int(each.sum()) for each in inside], np.uint8)
        for axis, place in enumerate(places):
            if len(place) > 1:  # along an axis of which one position is read, every voxel would be a border
                here = place[inside[axis]]
                edge = (here == box[axis]) | (here == box[axis + 3] - 1)
                at_border += edge.reshape([-1 if a == axis else 1 for a in range(3)]).astype(np.uint8)
        out[part] = np.where(at_border >= borders, value, out[part])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return the whole array."""
        return np.asarray(self[...], dtype)


def _expanded(key: Any, ndim: int) -> tuple[Any, ...]:
    keys = key if isinstance(key, tuple) else (key,)
    if any(k is Ellipsis for k in keys):
        at = next(i for i, k in enumerate(keys) if k is Ellipsis)
        keys = (*keys[:at], *(slice(None) for _ in range(ndim - len(keys) + 1)), *keys[at + 1 :])
    return (*keys, *(slice(None) for _ in range(ndim - len(keys))))


def has_windows_in_slices(trace: Trace) -> bool:
    """Tell whether windows are smaller than a slice, so that they are worth drawing."""
    boxes = trace.boxes()
    _, height, width = trace.geometry.shape
    return bool(len(boxes)) and bool(
        ((boxes[:, 4] - boxes[:, 1] < height - 1) | (boxes[:, 5] - boxes[:, 2] < width - 1)).any()
    )


def boxes_layer(trace: Trace, groups: Sequence[WindowGroup], name: str) -> display.LayerData:
    """Return a hidden labels layer with an outline around each window, a colour and a name for each group."""
    colours = {value: GROUPS[(value - 1) % len(GROUPS)] for value in range(1, len(groups) + 1)}
    names = {value: f"{group.name} ({len(group.boxes)})" for value, group in enumerate(groups, 1)}
    values = [np.full(len(group.boxes), value, np.uint8) for value, group in enumerate(groups, 1)]
    data = _boxes(trace, groups, values, outline=True)
    return data, routing.about_values(trace, names, colours, name) | {"opacity": 0.9}, "labels"


def decisions_layer(trace: Trace, fact: str, name: str) -> display.LayerData:
    """Return a hidden labels layer in which each window is filled with its value of an index fact + 1."""
    groups = [group for group in window_groups(trace) if group.fact == fact]
    values = [np.full(len(group.boxes), int(group.value or 0) + 1, np.uint8) for group in groups]
    found, costs = dict(enumerate(trace.value_names.get(fact, ()))), trace.value_costs.get(fact, ())
    count = max([len(found), *(int(group.value or 0) + 1 for group in groups)])
    words = [found.get(value, str(value)) for value in range(count)]
    return _boxes(trace, groups, values, outline=False), routing.decided(trace, words, costs, name), "labels"


def _boxes(trace: Trace, groups: Sequence[WindowGroup], values: Sequence[Array], *, outline: bool) -> BoxesArray:
    boxes = np.concatenate([group.boxes for group in groups]) if groups else np.zeros((0, 6))
    of_each = np.concatenate(values) if values else np.zeros(0, np.uint8)
    return BoxesArray(boxes, of_each, trace.geometry.shape, outline=outline)
