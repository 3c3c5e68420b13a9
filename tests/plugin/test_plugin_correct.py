"""The Correct section: tools in mm and by name, corrections of whole labels, what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from made_layers import ImmediateRunner, Recorded
from voxtrace.plugin.controllers.correct import CorrectController
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.correct_form import OperationChoice, edit_lines
from voxtrace.trace import Trace
from voxtrace.trace.edits import Edit
from voxtrace.volume import Geometry, LabelMap, Volume

SHAPE = (6, 20, 22)
GEOMETRY = Geometry.from_spacing(SHAPE, (3.0, 0.5, 0.5), (-20.0, 5.0, 7.0))


@pytest.fixture
def current(model: Any) -> CurrentResult:
    return CurrentResult(model)


@pytest.fixture
def edits(model: Any, current: CurrentResult) -> EditController:
    return EditController(model, current)


@pytest.fixture
def controller(
    model: Any, view: Recorded, runner: ImmediateRunner, current: CurrentResult, edits: EditController
) -> CorrectController:
    return CorrectController(model, view, runner, current, edits)


@pytest.fixture
def layer(model: Any, controller: CorrectController) -> Any:
    labels = np.zeros((2, *SHAPE), np.uint8)
    labels[:, 1:5, 4:8, 4:12] = 1
    labels[1, 2, 15, 15] = 1
    names = {0: "background", 1: "liver", 2: "spleen"}
    trace = Trace(labels, {}, np.zeros((0, 6), np.int64), {}, GEOMETRY, names, "cycle")
    scan = display.image_layers(Volume(np.zeros((1, *SHAPE), np.int16), GEOMETRY, "CT", (), "scan"))[0]
    model.add_image(scan[0], **scan[1])
    data, about, _ = display.trace_layer(trace, "result")
    return model.add_labels(data, **about)


def choice(kind: Any, amount: float = 1.0, scope: Any = "volume", in_plane: bool = False) -> OperationChoice:
    return OperationChoice(kind, amount, scope, in_plane, True)


def test_without_labels_it_says_what_to_do(controller: CorrectController, view: Recorded) -> None:
    sentence, labels = view.last("set_target")
    assert sentence.startswith("Select a labels layer")
    assert labels == ()


def test_labels_are_picked_by_name_and_the_brush_is_in_mm(
    controller: CorrectController, layer: Any, view: Recorded
) -> None:
    assert [label.name for label in view.last("set_target")[1]] == ["liver", "spleen"]
    controller.pick_label(2)
    controller.pick_tool("paint")
    controller.set_brush(5.0)
    controller.set_in_3d(True)
    controller.set_protect(True)
    assert (layer.selected_label, layer.mode, layer.brush_size) == (2, "paint", 10)
    [state] = view.last("set_drawing")
    assert (state.tool, state.label, state.brush_mm, state.in_3d, state.protect) == ("paint", 2, 5.0, True, True)
    layer.data_setitem(tuple(np.array([v]) for v in (0, 0, 0, 0)), 2)
    controller.set_brush(6.0)
    layer.paint((2, 3, 10, 10), 2)
    drawn = np.argwhere(layer.data[2] == 2)[1:]
    assert np.ptp(drawn, axis=0).tolist() == [2, 12, 12]  # 3 planes of 3 mm, 13 voxels of 0.5 mm


def test_the_brush_is_in_mm_where_slices_are_thinner_than_their_pixels(
    controller: CorrectController, model: Any, view: Recorded
) -> None:
    grid = Geometry.from_spacing((40, 60, 60), (0.5, 1.0, 1.0))
    data, about, _ = display.label_layer(LabelMap(np.zeros(grid.shape, np.uint8), grid, {1: "liver"}, {}, "thin"))
    layer = model.add_labels(data, **about)

    def drawn_mm() -> list[float]:
        layer.data = np.zeros(grid.shape, np.uint8)
        layer.paint((20, 30, 30), 1)
        return [
            float(np.ptp(found) + 1) * mm for found, mm in zip(np.nonzero(layer.data), grid.spacing_mm, strict=True)
        ]

    controller.set_brush(10.0)
    assert view.last("set_drawing")[0].brush_mm == 10.0
    assert drawn_mm() == [0.5, 11.0, 11.0]  # napari's brushes have a voxel in the middle
    model.dims.order = (1, 0, 2)  # coronal: 0.5 mm is the smallest now
    assert view.last("set_drawing")[0].brush_mm == 5.0
    controller.set_brush(10.0)
    assert drawn_mm() == [10.5, 1.0, 11.0]
    model.dims.order = (0, 1, 2)
    controller.set_in_3d(True)
    assert view.last("set_drawing")[0].brush_mm == 10.0
    assert drawn_mm() == [10.5, 11.0, 11.0]


def test_it_says_what_drawing_will_do_and_what_was_done(
    controller: CorrectController, layer: Any, view: Recorded, current: CurrentResult
) -> None:
    current.go(1)
    assert view.last("set_target")[0].startswith("Drawing on “result” begins with a copy of cycle 2 of 2.")
    layer.paint((1, 2, 15, 3), 2)
    assert view.last("set_target")[0] == "On screen: the edited labels (1 edit on cycle 2) of “result”."
    assert "paint spleen" in view.last("set_log")[0]
    current.go(0)
    assert view.last("set_target")[0] == "Shows cycle 1 of 2 of “result”. Drawing goes on in the edited labels."
    controller.undo()
    assert view.last("set_log") == ("",)
    assert view.state.message.startswith("Taken back: paint spleen, ")
    controller.undo()
    assert view.state.message == "Nothing to take back."
    controller.redo()
    assert "paint spleen" in view.last("set_log")[0]
    assert view.state.message.startswith("Made again: paint spleen, ")


def test_a_correction_of_the_whole_label_is_one_edit_from_the_step_on_screen(
    controller: CorrectController, layer: Any, view: Recorded, current: CurrentResult, edits: EditController
) -> None:
    current.go(1)
    controller.apply(choice("largest"))
    assert view.state.message == "Keep largest piece: 1 voxel of liver changed (0.00 mL)."
    assert current.is_edited
    assert not layer.data[2][3, 15, 15]
    [edit] = edits.edits(layer)
    assert (edit.what, edit.voxels, edit.station) == ("keep largest piece", 1, "cycle 2")
    controller.undo()
    np.testing.assert_array_equal(layer.data[2], layer.data[1])


def test_a_correction_that_changes_nothing_makes_no_edited_station(
    controller: CorrectController, layer: Any, view: Recorded, current: CurrentResult
) -> None:
    controller.apply(choice("islands", 0.0001))
    assert "nothing to change" in view.state.message
    assert current.steps == 2


def test_in_one_slice_only_that_slice_changes(
    controller: CorrectController, layer: Any, current: CurrentResult
) -> None:
    current.go(0)
    current.go_slice(2)
    controller.apply(choice("grow", 0.5, "slice", in_plane=True))
    changed = np.flatnonzero((layer.data[2] != layer.data[0]).any(axis=(1, 2)))
    assert changed.tolist() == [SHAPE[0] - 1 - 2]


def test_slices_are_those_of_the_view(
    controller: CorrectController, layer: Any, model: Any, current: CurrentResult
) -> None:
    current.go(0)
    model.dims.order = (0, 2, 1, 3)  # coronal
    current.go_to(2, 6, 6)
    controller.apply(choice("grow", 1.0, "slice", in_plane=True))
    changed = np.flatnonzero((layer.data[2] != layer.data[0]).any(axis=(0, 2)))
    assert changed.tolist() == [6]


def test_the_visible_part_is_what_the_canvas_shows(
    controller: CorrectController, layer: Any, current: CurrentResult
) -> None:
    layer.corner_pixels = np.array([[0, 0, 0, 0], [0, 0, 19, 7]])
    controller.apply(choice("grow", 0.5, "visible", in_plane=True))
    changed = np.argwhere(layer.data[2] != layer.data[0])
    assert changed[:, 2].max() == 7
    assert len(set(changed[:, 0])) == 4


def test_a_layer_that_is_closed_meanwhile_is_left_alone(
    controller: CorrectController, layer: Any, model: Any, view: Recorded, runner: ImmediateRunner
) -> None:
    runner.held = True
    controller.apply(choice("grow"))
    model.layers.remove(layer)
    runner.let_go()
    assert "closed while it was corrected" in view.state.message


def test_the_log_shows_the_newest_first_and_how_many_more() -> None:
    log = [Edit(f"2026-11-27T10:{i:02d}:00+00:00", "paint", 1, "liver", i) for i in range(9)]
    lines = edit_lines(log).splitlines()
    assert lines[0] == "10:08 paint liver, 8 voxels"
    assert lines[-1] == "and 3 before"


def test_of_labels_without_names_the_selected_one_is_offered(
    controller: CorrectController, model: Any, view: Recorded
) -> None:
    drawn = model.add_labels(np.zeros(SHAPE, np.uint8), name="drawn")
    assert [label.value for label in view.last("set_target")[1]] == [1]
    drawn.selected_label = 5
    assert [label.value for label in view.last("set_target")[1]] == [5]
    assert view.last("set_drawing")[0].label == 5
