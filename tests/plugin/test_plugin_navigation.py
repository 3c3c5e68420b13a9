"""Planes, slices and steps of napari's viewer model, without a window."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from made_layers import made_trace, made_volume
from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.navigation import NavigationController
from voxtrace.plugin.controllers.scans import shown_labels, shown_scan, transform_of
from voxtrace.plugin.layers import display


def add_scan(model: Any) -> Any:
    [(data, about, _)] = display.image_layers(made_volume())
    return model.add_image(data, **about)


def add_result(model: Any, scan: str = "") -> Any:
    data, about, _ = display.trace_layer(made_trace(), "result", scan)
    return model.add_labels(data, **about)


def test_without_steps_the_arrow_keys_go_through_slices(model: Any) -> None:
    navigation = NavigationController(model)
    add_scan(model)
    model.dims.current_step = (1, 2, 2)
    navigation.go_steps(1)
    assert model.dims.current_step == (2, 2, 2)


def test_layers_that_are_no_scan_keep_naparis_sliders(model: Any) -> None:
    navigation = NavigationController(model)
    model.add_image(np.zeros((4, 5, 6, 7)))
    model.dims.current_step = (1, 1, 1, 1)
    model.dims.last_used = 1
    navigation.go_steps(1)
    assert model.dims.current_step == (1, 2, 1, 1)
    model.dims.roll()
    assert tuple(model.dims.order) == (3, 0, 1, 2)
    event = SimpleNamespace(delta=(0.0, -1.0), modifiers=(), handled=False)
    model.mouse_wheel_callbacks[0](model, event)
    assert not event.handled


def test_a_result_that_arrives_while_the_coronal_plane_is_shown_leaves_it_shown(model: Any) -> None:
    navigation = NavigationController(model)
    add_scan(model)
    navigation.show_plane(1)
    add_result(model)
    assert navigation.plane == 1
    assert [compat.axis_names(model)[axis] for axis in model.dims.displayed] == ["I", "L"]
    assert tuple(model.dims.rollable) == (False, True, True, True)
    model.dims.roll()
    assert navigation.plane == 2


def test_slices_stop_at_the_ends(model: Any) -> None:
    navigation = NavigationController(model)
    add_scan(model)
    navigation.go_slices(-100)
    assert model.dims.current_step[0] == 0
    navigation.go_slices(100)
    assert model.dims.current_step[0] == 3


def test_the_scan_to_read_is_the_one_of_the_active_labels(model: Any) -> None:
    first, second = add_scan(model), add_scan(model)
    result = add_result(model, first.unique_id)
    assert model.layers.selection.active == result
    assert shown_scan(model) is first
    first.visible = False
    assert shown_scan(model) is second
    model.layers.selection.active = second
    assert shown_labels(model) is result
    result.visible = False
    assert shown_labels(model) is None


@pytest.mark.parametrize("change", [{"rotate": [[1, 0, 0], [0, 0, -1], [0, 1, 0]]}, {"scale": (-1, 1, 1)}])
def test_planes_are_not_cut_from_a_turned_or_mirrored_layer(model: Any, change: dict[str, Any]) -> None:
    layer = model.add_image(np.zeros((3, 4, 5)), **change)
    assert transform_of(layer) is None
    straight = transform_of(model.add_image(np.zeros((3, 4, 5)), scale=(3, 2, 1), translate=(1, 0, 0)))
    assert straight is not None
    assert (straight.scale_mm, straight.translate_mm) == ((3.0, 2.0, 1.0), (1.0, 0.0, 0.0))
