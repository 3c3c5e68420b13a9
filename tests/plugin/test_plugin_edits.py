"""napari's own tools on a result: what is drawn lands in the edited station, can be undone, and is logged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.correction import Operation, correct
from voxtrace.trace import Trace
from voxtrace.volume import Geometry, Volume

SHAPE = (6, 20, 22)
GEOMETRY = Geometry.from_spacing(SHAPE, (3.0, 2.0, 2.0), (-20.0, 5.0, 7.0))
NAMES = {0: "background", 1: "liver", 2: "spleen"}


def made(steps: int = 3) -> Trace:
    labels = np.zeros((steps, *SHAPE), np.uint8)
    for step in range(steps):
        labels[step, 1:5, 4 : 8 + step, 4:12] = 1
    return Trace(labels, {}, np.zeros((0, 6), np.int64), {}, GEOMETRY, NAMES, "cycle")


@pytest.fixture
def current(model: Any) -> CurrentResult:
    return CurrentResult(model)


@pytest.fixture
def edits(model: Any, current: CurrentResult) -> EditController:
    return EditController(model, current)


@pytest.fixture
def layer(model: Any, edits: EditController) -> Any:
    for data, about, _ in display.image_layers(Volume(np.zeros((1, *SHAPE), np.int16), GEOMETRY, "CT", (), "scan")):
        scan = model.add_image(data, **about)
    data, about, _ = display.trace_layer(made(), "result", scan.unique_id)
    found = model.add_labels(data, **about)
    found.selected_label = 2
    return found


def canonical(layer: Any, station: int) -> Any:
    return layer.data[station][::-1]


def test_painting_on_a_step_goes_to_a_copy_of_it_and_jumps_there(
    layer: Any, current: CurrentResult, edits: EditController
) -> None:
    current.go(1)
    layer.mode = "paint"
    layer.brush_size = 3
    layer.paint((1, 2, 15, 15), 2)
    assert (current.steps, current.step, current.shown_step_name) == (4, 3, "edited")
    np.testing.assert_array_equal(layer.data[:3], made().labels[:, ::-1])
    changed = np.argwhere(canonical(layer, 3) != made().labels[1])
    assert set(changed[:, 0]) == {SHAPE[0] - 1 - 2}
    assert len(changed) == 9
    [edit] = edits.edits(layer)
    assert (edit.what, edit.name, edit.voxels, edit.station) == ("paint", "spleen", 9, "cycle 2")
    shown = layer._slice.image.raw
    np.testing.assert_array_equal(shown, layer.data[3, round(current._index(1))])


@pytest.mark.parametrize("tool", ["paint", "fill", "polygon", "index"])
def test_every_tool_can_be_undone_and_redone_from_any_station(
    layer: Any, current: CurrentResult, edits: EditController, tool: str
) -> None:
    current.go(0)
    current.go_slice(2)
    i = SHAPE[0] - 1 - 2
    if tool == "paint":
        layer.paint((0, i, 5, 5), 2)
    elif tool == "fill":
        layer.fill((0, i, 5, 5), 2)
    elif tool == "polygon":
        layer.paint_polygon([(0, i, 2, 2), (0, i, 2, 10), (0, i, 10, 10), (0, i, 10, 2)], 2)
    else:
        layer.data_setitem((np.array([0, 0]), np.array([i, i]), np.array([5, 6]), np.array([5, 6])), 2)
    drawn = layer.data[3]
    assert np.count_nonzero(drawn == 2)
    current.go(2)
    layer.undo()
    np.testing.assert_array_equal(canonical(layer, 3), made().labels[0])
    assert edits.edits(layer) == ()
    layer.redo()
    np.testing.assert_array_equal(layer.data[3], drawn)
    assert len(edits.edits(layer)) == 1
    np.testing.assert_array_equal(layer.data[:3], made().labels[:, ::-1])
    counts = layer.data.counts(3)
    np.testing.assert_array_equal(counts, np.bincount(drawn.ravel(), minlength=len(counts)))


def test_a_stroke_on_another_step_goes_on_in_the_edited_labels(
    layer: Any, model: Any, current: CurrentResult, edits: EditController
) -> None:
    layer.paint((0, 3, 15, 15), 2)
    first = layer.data[3]
    current.go(2)
    layer.mode = "paint"
    press(model, layer, (2, 3, 15, 16))
    assert current.is_edited
    assert "edited labels already" in str(model.status)
    expected = first.copy()
    expected[layer.data[3] != first] = 2
    np.testing.assert_array_equal(layer.data[3], expected)
    assert [edit.station for edit in edits.edits(layer)] == ["cycle 1", "cycle 1"]
    layer.undo()
    np.testing.assert_array_equal(layer.data[3], first)
    current.go(2)
    np.testing.assert_array_equal(layer._slice.image.raw, layer.data[2, round(current._index(1))])


def press(model: Any, layer: Any, index: Any) -> None:
    """Press and release the mouse over a voxel, as napari's canvas tells of it."""
    from types import SimpleNamespace

    from napari.utils.interactions import mouse_press_callbacks, mouse_release_callbacks

    event = SimpleNamespace(
        type="mouse_press",
        position=layer.data_to_world(index),
        view_direction=None,
        dims_displayed=list(model.dims.displayed),
        dims_point=list(model.dims.point),
        button=1,
        modifiers=(),
        handled=False,
    )
    for one in (model, layer):
        mouse_press_callbacks(one, event)
    event.type = "mouse_release"
    for one in (model, layer):
        mouse_release_callbacks(one, event)


def test_results_of_different_length_keep_their_last_answer(
    layer: Any, model: Any, current: CurrentResult, edits: EditController
) -> None:
    data, about, _ = display.trace_layer(made(1), "short", layer.metadata[display.KEY].scan)
    short = model.add_labels(data, **about)
    assert short.data.shape[0] == 3
    model.dims.set_point(0, 2)
    current.go_slice(3)
    assert np.array_equal(short._slice.image.raw, made(1).labels[0, 3])
    layer.paint((2, 2, 1, 1), 2)
    assert (short.data.shape[0], model.dims.nsteps[0]) == (4, 4)
    model.layers.remove(layer)
    assert (short.data.shape[0], model.dims.nsteps[0]) == (1, 1)


def test_a_volume_operation_is_one_undo_step_and_one_entry_of_the_log(
    layer: Any, current: CurrentResult, edits: EditController
) -> None:
    current.go(2)
    found = correct(layer.data.station(2), Operation("grow", 1, 2.0), GEOMETRY.spacing_mm)
    assert edits.apply(layer, found, "grow 2 mm", 1) == found.where.size > 0
    assert current.is_edited
    grown = layer.data[3]
    layer.undo()
    np.testing.assert_array_equal(canonical(layer, 3), made().labels[2])
    layer.redo()
    np.testing.assert_array_equal(layer.data[3], grown)
    [edit] = edits.edits(layer)
    assert edit.sentence.endswith(f"grow 2 mm liver, {found.where.size} voxels")
    assert edit.station == "cycle 3"


def test_labels_without_steps_are_edited_in_place_and_logged(model: Any, edits: EditController) -> None:
    layer = model.add_labels(made().labels[0].copy())
    before = layer.data.copy()
    layer.paint((2, 15, 15), 1)
    found = correct(np.asarray(layer.data), Operation("holes", 1), GEOMETRY.spacing_mm)
    assert edits.apply(layer, found, "fill holes", 1) == 0
    grow = correct(np.asarray(layer.data), Operation("grow", 1, 2.0), GEOMETRY.spacing_mm)
    edits.apply(layer, grow, "grow 2 mm", 1)
    assert [edit.what for edit in edits.edits(layer)] == ["paint", "grow 2 mm"]
    layer.undo()
    assert [edit.what for edit in edits.edits(layer)] == ["paint"]
    layer.undo()
    assert edits.edits(layer) == ()
    np.testing.assert_array_equal(layer.data, before)
    layer.redo()
    assert [edit.what for edit in edits.edits(layer)] == ["paint"]


def test_it_shows_in_3d_and_can_be_picked(layer: Any, model: Any, current: CurrentResult) -> None:
    layer.paint((1, 3, 5, 5), 2)
    model.dims.ndisplay = 3
    np.testing.assert_array_equal(layer._slice.image.raw, layer.data[3])
    model.dims.ndisplay = 2
    model.dims.set_point(1, layer.data_to_world((3, 3, 5, 5))[1])
    assert layer.get_value(layer.data_to_world((3, 3, 5, 5)), world=True) == 2
    assert "2" in layer.get_status(layer.data_to_world((3, 3, 5, 5)), world=True)["value"]


def test_who_follows_the_slider_knows_of_the_edited_station_before_it_is_shown(
    layer: Any, current: CurrentResult
) -> None:
    current.go(0)
    told: list[str] = []
    current.edited.connect(lambda: told.append(f"{current.steps} stations"))
    current.step_changed.connect(lambda step: told.append(f"station {step}"))
    layer.paint((0, 2, 15, 15), 2)
    assert told[:2] == ["4 stations", "station 3"]


def test_a_duplicated_layer_has_edits_of_its_own(layer: Any, model: Any, edits: EditController) -> None:
    from napari.layers._layer_actions import _duplicate_layer

    layer.paint((1, 2, 15, 15), 2)
    before = layer.data[3]
    model.layers.selection = {layer}
    _duplicate_layer(model.layers)
    twin = next(x for x in model.layers if x.name != layer.name and x.ndim == 4)
    np.testing.assert_array_equal(twin.data[3], before)
    assert [edit.station for edit in edits.edits(twin)] == ["cycle 2"]
    twin.paint((3, 3, 2, 2), 2)
    np.testing.assert_array_equal(layer.data[3], before)
    assert not np.array_equal(twin.data[3], before)
