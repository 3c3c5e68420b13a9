"""The measuring dock's controller: rows of labels and units, without a window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from made_layers import ImmediateRunner, Recorded, made_trace
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.label_rows import EDITED, OTHER_STEP
from voxtrace.plugin.controllers.measure import MeasureController
from voxtrace.plugin.controllers.navigation import NavigationController
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.timepoints import TimepointsSource, timepoints_layer
from voxtrace.trace import Trace
from voxtrace.volume import LabelMap, Volume


def add_scan(model: Any, trace: Trace, name: str, modality: str = "CT") -> Any:
    data = np.arange(np.prod(trace.geometry.shape), dtype=np.int16).reshape(1, *trace.geometry.shape)
    if modality == "CT":
        data = data - 1000  # air
    [(pixels, about, _)] = display.image_layers(Volume(data, trace.geometry, modality, (name,), name))
    return model.add_image(pixels, **about)


def add_labels(model: Any, trace: Trace) -> Any:
    labels = LabelMap(np.array(trace.labels[2]), trace.geometry, {1: "liver", 2: "spleen"}, {}, "by hand")
    data, about, _ = display.label_layer(labels)
    return model.add_labels(data, **about)


@pytest.fixture
def result(model: Any, trace: Trace) -> Any:
    scan = add_scan(model, trace, "scan")
    data, about, _ = display.trace_layer(trace, "result", scan.unique_id)
    return model.add_labels(data, **about)


@pytest.fixture
def controller(model: Any, result: Any, view: Recorded, runner: ImmediateRunner) -> MeasureController:
    return MeasureController(model, view, NavigationController(model), runner)


def shown(view: Recorded) -> list[tuple[str, str, int]]:
    return [(row.name, row.where, row.voxels) for row in view.last("show_measurements")[0]]


def test_rows_of_labels_name_layer_and_step_and_go_with_the_step(
    controller: MeasureController, model: Any, view: Recorded
) -> None:
    model.dims.set_point(0, 1)
    controller.measure_labels()
    where = "result, cycle 2 of 3, whole volume"
    assert shown(view) == [("liver", where, 2), ("spleen", where, 0)]
    model.dims.set_point(1, model.dims.range[1].stop)  # another slice
    assert len(shown(view)) == 2
    model.dims.set_point(0, 2)
    assert shown(view) == []
    assert view.last("show_message") == (OTHER_STEP, False)
    controller.measure_labels()
    assert [voxels for *_, voxels in shown(view)] == [1, 1]
    model.layers.remove("result")
    assert shown(view) == []


def test_labels_of_the_last_steps_are_named_by_their_number(model: Any, view: Recorded, trace: Trace) -> None:
    from dataclasses import replace

    facts = {"changed_fraction": np.zeros((3, 0), np.float32)}
    add_scan(model, trace, "scan")
    data, about, _ = display.trace_layer(replace(trace, labels=trace.labels[-1:], facts=facts), "last", "")
    model.add_labels(data, **about)
    controller = MeasureController(model, view, NavigationController(model), ImmediateRunner())
    controller.measure_labels()
    assert shown(view)[0][1] == "last, cycle 3 of 3, whole volume"


@pytest.mark.parametrize("change", ["paint", "undo", "redo", "refresh", "replace"])
def test_rows_of_labels_go_when_the_labels_are_changed(
    controller: MeasureController, model: Any, view: Recorded, trace: Trace, change: str
) -> None:
    layer = add_labels(model, trace)
    layer.selected_label, layer.brush_size = 2, 1
    if change in ("undo", "redo"):
        layer.paint((1, 1, 1), 2)
    if change == "redo":
        layer.undo()
    controller.measure_labels()
    assert [where for _, where, _ in shown(view)] == ["by hand, whole volume"] * 2
    layer.contour = 1  # drawn anew, but the same labels
    model.dims.set_point(1, model.dims.range[1].stop)
    layer.visible = False
    layer.visible = True
    assert len(shown(view)) == 2
    if change == "paint":
        layer.paint((2, 1, 1), 2)
    elif change == "refresh":
        layer.data[0, 0, 0] = 2
        layer.refresh()
    elif change == "replace":
        layer.data = np.zeros_like(layer.data)
    else:
        getattr(layer, change)()
    assert shown(view) == []
    assert view.last("show_message") == (EDITED, False)


def test_a_correction_of_a_result_drops_its_rows(controller: MeasureController, model: Any, view: Recorded) -> None:
    edits = EditController(model, CurrentResult(model))
    result = model.layers["result"]
    model.dims.set_point(0, 2)
    edits.start(result, 2)
    controller.measure_labels()
    assert shown(view)[0][1].startswith("result, the edited labels")
    result.brush_size = 1
    result.paint((3, 0, 0, 0), 2)
    assert shown(view) == []


def test_labels_that_change_while_they_are_counted_are_not_listed(
    model: Any, result: Any, view: Recorded, trace: Trace
) -> None:
    held = ImmediateRunner(held=True)
    controller = MeasureController(model, view, NavigationController(model), held)
    model.dims.set_point(0, 0)
    controller.measure_labels()
    model.dims.set_point(0, 1)
    held.let_go()
    assert shown(view) == []
    controller.close()


def test_each_row_has_the_unit_of_its_own_scan(controller: MeasureController, model: Any, view: Recorded) -> None:
    controller.measure_labels()
    model.layers["scan"].visible = False
    model.layers.selection.active = add_scan(model, made_trace(), "T1", "MR")
    controller.use("rectangle")
    corners = np.array([[1, 0, 0], [1, 0, 3], [1, 3, 3], [1, 3, 0]], float)
    model.layers.selection.active.add(corners, shape_type="rectangle")
    rows = view.last("show_measurements")[0]
    assert [(row.name, row.unit) for row in rows] == [("1 rectangle", ""), ("liver", "HU"), ("spleen", "HU")]
    box, liver, _ = controller.table.splitlines()[1:]
    assert ",HU," in liver
    assert ",HU," not in box
    assert not model.layers.selection.active.features["measure"][0].endswith("HU")


SQUARE = np.array([[1, 0, 0], [1, 0, 3], [1, 3, 3], [1, 3, 0]], float)


def test_shapes_are_measured_at_the_time_point_on_screen(model: Any, view: Recorded, volume: Volume) -> None:
    frames = np.stack([np.full_like(volume.data[0], value) for value in (10, 20)])
    data, about, _ = timepoints_layer(TimepointsSource(volume, frames))
    model.add_image(data, **about)
    model.dims.set_point(0, 0)
    controller = MeasureController(model, view, NavigationController(model), ImmediateRunner())
    controller.use("rectangle")
    model.layers.selection.active.add(SQUARE, shape_type="rectangle")
    assert [row.mean for row in view.last("show_measurements")[0]] == [10]
    model.dims.set_point(0, 1)
    assert [row.mean for row in view.last("show_measurements")[0]] == [20]
    controller.close()


def test_measurements_are_those_of_the_scan_on_screen(
    controller: MeasureController, model: Any, view: Recorded, trace: Trace
) -> None:
    first = model.layers["scan"]
    controller.use("rectangle")
    model.layers.selection.active.add(SQUARE, shape_type="rectangle")
    assert [name for name, *_ in shown(view)] == ["1 rectangle"]
    other = add_scan(model, trace, "T1", "MR")
    model.layers.selection.active = other
    assert shown(view) == []
    controller.clear()
    model.layers.selection.active = first
    assert [name for name, *_ in shown(view)] == ["1 rectangle"]
    model.layers.remove(other)
    model.layers.remove(first)
    assert shown(view) == []
