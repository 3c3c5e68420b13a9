"""The result that a viewer shows, and what its sliders say of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from made_layers import Recorded
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController, origin_of
from voxtrace.plugin.controllers.steps import StepsController
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.correction import Correction
from voxtrace.trace import Trace
from voxtrace.volume import Volume


@pytest.fixture
def current(model: Any, trace: Trace, volume: Volume) -> CurrentResult:
    for data, about, _ in display.image_layers(volume):
        scan = model.add_image(data, **about)
    data, about, _ = display.trace_layer(trace, "result", scan.unique_id)
    found = CurrentResult(model)
    model.add_labels(data, **about)
    return found


def test_it_follows_the_active_result_and_knows_its_scan(current: CurrentResult, model: Any, trace: Trace) -> None:
    assert current.layer is model.layers["result"]
    assert current.scan is model.layers["scan"]
    assert current.trace is trace
    assert current.steps == 3
    model.layers.selection.active = model.layers["scan"]
    assert current.layer is model.layers["result"]


def test_its_station_and_the_slider_are_one(current: CurrentResult, model: Any) -> None:
    seen: list[int] = []
    current.step_changed.connect(seen.append)
    current.go(2)
    assert model.dims.point[0] == 2
    model.dims.set_current_step(0, 1)
    assert (current.step, current.shown_step_name) == (1, "cycle 2")
    assert seen == [2, 1]


def test_the_panel_names_the_step_that_edits_began_from_as_the_log_does(
    model: Any, trace: Trace, volume: Volume, view: Recorded
) -> None:
    last = replace(trace, labels=trace.labels[-1:], facts={"changed_fraction": np.zeros((3, 0), np.float32)})
    for data, about, _ in display.image_layers(volume):
        model.add_image(data, **about)
    current = CurrentResult(model)
    edits = EditController(model, current)
    data, about, _ = display.trace_layer(last, "last", "")
    layer = model.add_labels(data, **about)
    steps = StepsController(current, view)
    assert (view.last("show_step")[0], current.shown_step_name) == ("Cycle 3 of 3", "cycle 3")
    edits.apply(layer, Correction(np.array([0]), np.array([1], layer.data.dtype)), "fill", 1)
    assert view.last("show_step")[:2] == ("Edited", "Begun from cycle 3.")
    assert origin_of(layer) == "cycle 3"
    steps.close()


def test_slices_are_those_of_the_grid(current: CurrentResult, model: Any, trace: Trace) -> None:
    for z in range(trace.geometry.shape[0]):
        current.go_slice(z)
        assert current.z == z
        shown = model.layers["result"]._slice.image.raw
        np.testing.assert_array_equal(shown, np.asarray(trace.labels)[current.step, z])


def test_going_to_a_voxel_moves_every_slider(current: CurrentResult, model: Any) -> None:
    current.go(2)
    current.go_to(3, 4, 4)
    assert current.z == 3
    layer = model.layers["result"]
    index = tuple(round(value) for value in layer.world_to_data(model.dims.point))
    assert layer.data[index] == 2


def test_what_is_shown_is_what_is_counted(current: CurrentResult, trace: Trace) -> None:
    for step in range(3):
        current.go(step)
        shown = current.shown()
        np.testing.assert_array_equal(shown.data, np.asarray(trace.labels)[step])
        ml = trace.geometry.voxel_ml
        counted = {value: np.count_nonzero(shown.data == value) * ml for value in (1, 2)}
        known = {value: volume for value, volume in current.volumes_ml().items() if volume is not None}
        assert known == pytest.approx(counted)


def test_edits_have_a_station_of_their_own(current: CurrentResult, trace: Trace) -> None:
    layer = current.layer
    assert layer is not None
    current.go(0)
    layer.data[0, 0, 0, 0] = 2
    layer.data = layer.data
    assert current.steps == 4
    current.go(3)
    assert current.is_edited
    assert current.shown_step_name == "edited"
    assert np.count_nonzero(current.shown().data == 2) == 1
    assert current.volumes_ml()[2] == pytest.approx(trace.geometry.voxel_ml)


def test_a_removed_result_is_forgotten(current: CurrentResult, model: Any) -> None:
    model.layers.remove("result")
    assert current.layer is None
    assert (current.steps, current.shown_step_name) == (0, "")
