"""Compare results of one scan, without a window."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from made_layers import ImmediateRunner, Recorded
from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.compare import CompareController
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.scan_choice import ScanChoice
from voxtrace.plugin.layers import display
from voxtrace.plugin.models import compare
from voxtrace.plugin.models.bundles import BundleRegistry, KnownBundle
from voxtrace.plugin.models.compare import EDITED
from voxtrace.plugin.work import jobs
from voxtrace.trace.disagreement import with_common_values
from voxtrace.volume import Geometry, LabelMap, Volume

SHAPE = (6, 20, 20)
GEOMETRY = Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0), (-20.0, 5.0, 7.0))
NAMES = {1: "liver", 2: "tumour"}


def labels(name: str, tumour: tuple[int, int], **changes: Any) -> LabelMap:
    """A liver, and a tumour in columns from … to."""
    data = np.zeros(SHAPE, np.uint8)
    data[1:5, 2:18, 2:18] = 1
    data[2:4, 5:10, slice(*tumour)] = 2
    return replace(LabelMap(data, GEOMETRY, NAMES, name=name), **changes)


TRUTH, GOOD, POOR = labels("truth", (5, 15)), labels("good", (5, 14)), labels("poor", (5, 8))


@pytest.fixture
def places() -> list[Any]:
    return []


@pytest.fixture
def opened(model: Any, view: Recorded, places: list[Any]) -> tuple[CompareController, Any, Recorded]:
    volume = Volume(np.zeros((1, *SHAPE), np.int16), GEOMETRY, "CT", ("CT",), "scan")
    for made, about, _ in display.image_layers(volume):
        model.add_image(made, **about)
    for one in (POOR, GOOD, TRUTH):
        made, about, _ = display.label_layer(one)
        model.add_labels(made, **about)
    controller = CompareController(
        model,
        view,
        CurrentResult(model),
        ImmediateRunner(),
        ImmediateRunner(),
        BundleRegistry([]),
        lambda layer, answers: places.append((layer.name, answers)),
    )
    return controller, model, view


Opened = tuple[CompareController, Any, Recorded]


def reference(opened: Opened) -> None:
    opened[0].pick_reference(1 + [layer.name for layer in opened[0].results].index("truth"))


def test_results_are_listed_from_top_to_bottom_and_ticked(opened: Opened) -> None:
    controller, _, view = opened
    assert [(r.name, r.ticked) for r in view.last("set_results")[0]] == [
        ("truth", True),
        ("good", True),
        ("poor", True),
    ]
    assert view.last("set_references") == (["no reference", "truth", "good", "poor"], 0)
    controller.tick(controller.results[2].unique_id, False)
    assert [layer.name for layer in controller.ticked] == ["truth", "good"]


def test_the_table_has_the_best_result_first(opened: Opened) -> None:
    controller, _, view = opened
    reference(opened)
    controller.score()
    rows = view.last("set_table")[0]
    tumour = {row.result: row for row in rows if row.label == "tumour"}
    assert tumour["good"].dice == pytest.approx(2 * 9 / (9 + 10))
    assert tumour["poor"].dice == pytest.approx(2 * 3 / (3 + 10))
    assert tumour["poor"].hd95_mm == pytest.approx(7.0, abs=0.5)
    assert (tumour["good"].volume_ml, tumour["good"].reference_ml) == (pytest.approx(0.18), pytest.approx(0.2))
    assert [row.dice for row in rows] == sorted((row.dice for row in rows), reverse=True)
    assert {row.result for row in rows} == {"good", "poor"}
    assert view.state.message.startswith("good is nearest to the reference: mean Dice 0.9")


def test_the_reference_is_the_layer_of_the_list_that_was_shown(opened: Opened) -> None:
    controller, model, view = opened
    controller.score()  # what was said stays, and the lists follow nevertheless
    model.layers.move(0, 4)  # the scan, to the top
    model.layers.move(0, 3)  # "poor", over both others
    assert view.last("set_references") == (["no reference", "poor", "truth", "good"], 0)
    model.layers["truth"].name = "expert"
    names = view.last("set_references")[0]
    assert names == ["no reference", "poor", "expert", "good"]
    controller.pick_reference(names.index("expert"))
    controller.score()
    assert {row.result for row in view.last("set_table")[0]} == {"good", "poor"}
    controller.close()
    before = len(view.calls)
    model.layers.move(0, 2)
    model.layers["expert"].name = "nobody"
    assert len(view.calls) == before


def test_without_a_reference_the_table_has_volumes(opened: Opened) -> None:
    controller, _, view = opened
    controller.score()
    rows = view.last("set_table")[0]
    volumes = {(row.result, row.label): row.volume_ml for row in rows}
    assert volumes["poor", "tumour"] == pytest.approx(2 * 5 * 3 * 0.002)
    assert all(row.dice is None for row in rows)


@pytest.mark.parametrize("edited", ["truth", "good"])
def test_the_table_goes_when_labels_in_it_are_changed(opened: Opened, edited: str) -> None:
    controller, model, view = opened
    model.layers[edited].data = model.layers[edited].data.copy()
    reference(opened)
    controller.score()
    model.layers[edited].contour = 1
    assert view.last("set_table")[0]
    model.layers[edited].paint((2, 6, 6), 1)
    assert view.last("set_table") == ((),)
    assert view.state.message == EDITED
    controller.score()
    assert view.last("set_table")[0]


def test_labels_that_change_while_they_are_scored_fill_no_table(opened: Opened) -> None:
    controller, model, view = opened
    model.layers["good"].data = model.layers["good"].data.copy()
    controller._runner = held = ImmediateRunner(held=True)
    controller.score()
    model.layers["good"].paint((2, 6, 6), 1)
    held.let_go()
    assert view.last("set_table") == ((),)
    assert view.state.message == EDITED


def test_the_table_can_be_copied() -> None:
    rows = (
        compare.ScoreRow("a, b", "liver", 0.5, 0.25, math.inf, 1.0, 2.0),
        compare.ScoreRow("c", "liver", volume_ml=3.0),
    )
    read = list(csv.DictReader(io.StringIO(compare.as_csv(rows))))
    assert (read[0]["result"], read[0]["hd95_mm"], read[1]["dice"]) == ("a, b", "inf", "")
    assert rows[0].cells == ("a, b", "liver", "0.500", "0.250", "∞", "1.00", "2.00")


def test_the_shortest_distance_is_the_best() -> None:
    rows = [compare.ScoreRow(name, "liver", hd95_mm=mm) for name, mm in (("a", 3.0), ("b", None), ("c", 1.0))]
    assert [row.result for row in compare.ordered(rows, 4)] == ["c", "a", "b"]


def test_a_vote_is_a_new_result_with_its_voters_as_members(opened: Opened) -> None:
    controller, model, _ = opened
    controller.vote()
    layer = model.layers.selection.active
    assert layer.name == "Vote of 3: truth, good, poor"
    np.testing.assert_array_equal(np.asarray(layer.data.station(0))[::-1], GOOD.data)  # two of three have that much
    assert list(layer.metadata[display.KEY].trace.members) == ["truth", "good", "poor"]


def test_differences_go_to_the_list_of_places(opened: Opened, places: list[Any]) -> None:
    controller, _, view = opened
    controller.find_differences()
    [(shown, answers)] = places
    assert (shown, answers.row_names) == ("truth", ("truth", "good", "poor"))
    assert "Look here next" in view.state.message


def test_results_on_different_grids_are_refused_in_a_sentence(opened: Opened) -> None:
    controller, model, view = opened
    moved = labels("moved", (5, 8), geometry=Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0), (30.0, 5.0, 7.0)))
    made, about, _ = display.label_layer(moved)
    model.add_labels(made, **about)
    for act in (controller.find_differences, controller.vote, controller.score):
        act()
        assert "does not lie on the grid of" in view.state.message
        assert view.state.level == "error"


def test_two_are_needed(opened: Opened) -> None:
    controller, _, view = opened
    for layer in controller.results[1:]:
        controller.tick(layer.unique_id, False)
    for act in (controller.find_differences, controller.vote, lambda: controller.toggle_side_by_side(True)):
        act()
        assert view.state == replace(view.state, message=compare.TWO_NEEDED, level="error")


def test_side_by_side_pairs_each_result_with_the_scan(opened: Opened) -> None:
    controller, model, view = opened
    controller.tick(controller.results[0].unique_id, False)
    grid_canvas(model, (900, 500))
    controller.toggle_side_by_side(True)
    grid = compat.grid(model)
    assert (grid.enabled, grid.stride, grid.shape) == (True, -2, (2, 1))
    names = [layer.name for layer in model.layers]
    assert names[-4:] == ["scan · below poor", "poor", "scan · below good", "good"]
    assert [layer.name for layer in model.layers if layer.visible] == names[-4:]
    assert np.shares_memory(model.layers["scan · below good"].data, model.layers["scan"].data)
    model.layers["scan · below good"].contrast_limits = (-10, 20)
    assert list(model.layers["scan · below poor"].contrast_limits) == [-10, 20]
    assert view.last("set_side_by_side") == (True,)
    assert [scan.name for scan in ScanChoice(model).scans] == ["scan"]  # copies are not offered to be segmented
    assert model.layers["good"].name_overlay.visible
    controller.toggle_side_by_side(False)
    assert not grid.enabled
    assert not model.layers["good"].name_overlay.visible
    assert {layer.name for layer in model.layers} == {"scan", "poor", "good", "truth"}
    assert all(layer.visible for layer in model.layers)


def test_leaving_side_by_side_hides_again_what_was_hidden(opened: Opened) -> None:
    controller, model, _ = opened
    before = {"scan": True, "poor": False, "good": True, "truth": False}
    for name, visible in before.items():
        model.layers[name].visible = visible
    controller.toggle_side_by_side(True)
    assert all(model.layers[name].visible for name in ("poor", "good", "truth"))
    controller.tick(model.layers["truth"].unique_id, False)
    controller.toggle_side_by_side(True)  # with others
    controller.toggle_side_by_side(False)
    assert {layer.name: layer.visible for layer in model.layers} == before


def test_labels_are_compared_by_name() -> None:
    turned = labels("turned", (5, 14), names={1: "Tumour", 2: "liver", 3: "spleen"})
    turned = replace(turned, data=np.choose(GOOD.data, [0, 2, 1]).astype(np.uint8))
    one, other = with_common_values([GOOD, turned])
    assert one.data is GOOD.data
    np.testing.assert_array_equal(other.data, GOOD.data)
    assert other.names == {1: "liver", 2: "tumour", 3: "spleen"}


def test_a_new_name_gets_a_free_value() -> None:
    spleen = labels("spleen", (5, 14), names={1: "spleen"})
    _, other = with_common_values([GOOD, spleen])
    assert other.names[3] == "spleen"
    np.testing.assert_array_equal(other.data == 3, spleen.data == 1)


def test_names_that_only_repeat_the_values_are_none() -> None:
    """The window calls unnamed values of a file "label 1" and so on; they are still the values of the others."""
    unnamed = replace(GOOD, names={0: "background", **{v: f"Label {v}" for v in GOOD.values}})
    one, other = with_common_values([GOOD, unnamed])
    assert np.array_equal(one.data, other.data)
    assert {value: name for value, name in other.names.items() if value} == one.names
    back, named = with_common_values([unnamed, GOOD])
    assert np.array_equal(back.data, named.data)


def test_several_models_are_run_one_after_the_other(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    from made_layers import made_segmented, made_trace

    controller, model, view = opened
    asked = []

    def segment(request: Any, cancel: Any) -> Any:
        asked.append(request.bundle.name)
        return (yield from made_segmented(made_trace(), request))

    monkeypatch.setattr(jobs, "segment", segment)
    known = [
        KnownBundle(name, model_path, "m", channels, {1: "liver"})
        for name, model_path, channels in (
            ("a", _path("a"), ("CT",)),
            ("b", _path("b"), ("CT",)),
            ("c", _path("c"), ("T1", "T2")),
        )
    ]
    monkeypatch.setattr(type(controller._bundles), "bundles", property(lambda self: tuple(known)))
    controller.refresh()
    assert [m.refusal for m in view.last("set_models")[0]] == ["", "", "needs 2 images, 1 are open"]
    controller.run_models([0, 1])
    assert asked == ["a", "b"]
    assert {"scan · a", "scan · b"} <= {layer.name for layer in model.layers}
    controller.run_models([2])
    assert view.state.message == "c needs 2 images, 1 are open. Open them first."
    controller.run_models([])
    assert view.state.message == "Tick a model first."


def grid_canvas(model: Any, size: tuple[int, int]) -> None:
    """Give the canvas a height and a width."""
    if hasattr(model, "scene"):
        model.canvas.size = size
    else:
        model._canvas_size = size


def _path(name: str) -> Any:
    from pathlib import Path

    return Path(name)
