"""Decisions and windows as labels layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from made_traces import made_trace
from voxtrace.plugin.layers.routing import NO_WORK, OPACITY, routing_layer
from voxtrace.plugin.layers.window_boxes import BoxesArray, boxes_layer, decisions_layer, has_windows_in_slices
from voxtrace.trace.places import window_groups


def test_a_layer_of_slices_takes_no_memory_and_names_its_values(model: Any) -> None:
    trace = made_trace()
    values = np.array([np.nan, 0, 1, 2, *[1] * 8], np.float32)
    data, about, _ = routing_layer(trace, values, ("none", "small", "large"), (0.0, 1.0, 4.0), "routing")
    assert data.strides[1:] == (0, 0)
    assert data.shape == trace.geometry.shape
    assert data[::-1, 3, 4].tolist()[:4] == [0, 1, 2, 3]  # layers lie superior first
    layer = model.add_labels(data, **about)
    assert (layer.visible, layer.opacity) == (False, OPACITY)
    assert list(layer.features["label"]) == ["", "none", "small", "large"]
    assert layer.get_color(1)[:3] == pytest.approx(NO_WORK)


def test_boxes_are_filled_where_a_window_lies() -> None:
    boxes = np.array([(-0.5, -0.5, -0.5, 1.5, 3.5, 2.5), (1.5, 0.5, 1.5, 3.5, 2.5, 4.5)])
    array = BoxesArray(boxes, np.array([1, 2]), (4, 5, 6), outline=False, flip=False)
    expected = np.zeros((4, 5, 6), np.uint8)
    expected[0:2, 0:4, 0:3] = 1
    expected[2:4, 1:3, 2:5] = 2
    assert (np.asarray(array) == expected).all()
    for key in ((2,), (slice(None), 1), (..., 3), (slice(1, 4, 2), slice(None), -1), (0, 1, 2), slice(None, None, -1)):
        assert (array[key] == expected[key]).all()
        assert np.shape(array[key]) == np.shape(expected[key])


def test_a_plane_shows_the_outline_of_a_box_and_a_block_its_edges() -> None:
    array = BoxesArray(np.array([(-0.5, 0.5, 0.5, 4.5, 4.5, 4.5)]), np.array([3]), (5, 6, 6), outline=True, flip=False)
    plane = array[2]
    assert plane[1:5, 1:5].tolist() == [[3, 3, 3, 3], [3, 0, 0, 3], [3, 0, 0, 3], [3, 3, 3, 3]]
    assert np.count_nonzero(plane) == 12
    block = np.asarray(array)
    assert block[2, 1, 1] == 3  # an edge along z
    assert block[2, 1, 2] == 0  # a face
    assert block[0, 1, 2] == 3  # an edge along x


def test_flipped_boxes_lie_superior_first() -> None:
    boxes = np.array([(-0.5, -0.5, -0.5, 0.5, 1.5, 1.5)])  # the lowest slice
    array = BoxesArray(boxes, np.array([1]), (3, 2, 2), outline=False)
    assert np.asarray(array)[:, 0, 0].tolist() == [0, 0, 1]


def test_windows_are_told_apart_by_what_became_of_them(model: Any) -> None:
    trace = made_trace()
    assert has_windows_in_slices(trace)
    groups = window_groups(trace)
    data, about, _ = boxes_layer(trace, groups, "boxes")
    layer = model.add_labels(data, **about)
    names = list(layer.features["label"])[1:]
    assert names == [f"{group.name} ({len(group.boxes)})" for group in groups]
    assert {"skipped (1)", "discarded (1)"} <= set(names)
    assert set(np.unique(np.asarray(data))) <= set(range(len(groups) + 1))
    layer.visible = True
    assert np.asarray(layer._slice.image.raw).max() > 0


def test_windows_are_filled_with_their_decision(model: Any) -> None:
    trace = made_trace()
    data, about, _ = decisions_layer(trace, "branch", "windows")
    # Of four windows, lower left, lower right, upper left and upper right chose none, small, large, small.
    assert np.asarray(data)[-1, 0, [0, -1]].tolist() == [1, 2]
    assert np.asarray(data)[0, 0, [0, -1]].tolist() == [3, 2]
    layer = model.add_labels(data, **about)
    assert list(layer.features["label"]) == ["", "none", "small", "large"]
    model.dims.ndisplay = 3
    assert layer._slice.image.raw.ndim == 3
