"""Look here next: the review of places, the lines drawn on a slice, and the controller, without a window."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_layers import ImmediateRunner, Recorded
from voxtrace import palette
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.places import PlacesController
from voxtrace.plugin.layers import display, outlines
from voxtrace.plugin.models import places
from voxtrace.plugin.work import saving
from voxtrace.trace import Trace
from voxtrace.trace.disagreement import PlaceLimits, of_members, regions
from voxtrace.volume import Geometry, Volume

SHAPE = (8, 30, 32)
GEOMETRY = Geometry.from_spacing(SHAPE, (3.0, 2.0, 2.0), (-20.0, 5.0, 7.0))
NAMES = {0: "background", 1: "liver", 2: "tumour"}
LARGE = (slice(2, 4), slice(5, 12), slice(6, 14))  # 2 × 7 × 8 voxels of 0.012 mL
SMALL = (slice(5, 6), slice(20, 25), slice(20, 25))


def members() -> Trace:
    """Five seeds: two call LARGE tumour, three call SMALL tumour; the vote follows the majority."""
    liver = np.zeros(SHAPE, np.uint8)
    liver[1:7, 2:28, 2:30] = 1
    drawn = [liver.copy() for _ in range(5)]
    for k in (0, 1):
        drawn[k][LARGE] = 2
    for k in (0, 2, 3):
        drawn[k][SMALL] = 2
    vote = liver.copy()
    vote[SMALL] = 2
    seeds = {f"seed {k}": one[None] for k, one in enumerate(drawn)}
    return Trace(vote[None], {}, np.zeros((0, 6), np.int64), {}, GEOMETRY, NAMES, "step", members=seeds)


def fresh(done_ml: float = 0.0) -> places.Review:
    answers = of_members(members())
    assert answers is not None
    return places.start(regions(answers, PlaceLimits()), done_ml)


def test_the_review_goes_on_to_the_next_open_place_and_round_again() -> None:
    review = fresh()
    assert places.following(review) == 0
    review = places.decide(places.at(review, 1), "accepted")
    assert places.following(review) == 0
    assert places.following(places.decide(places.at(review, 0), "repainted")) is None
    assert places.preceding(review) == 0
    assert places.preceding(places.at(review, 0)) is None


def test_undo_takes_back_the_last_decision_and_returns_to_its_place() -> None:
    review = places.decide(places.at(fresh(), 0), "accepted")
    review = places.decide(places.at(review, 1), "replaced")
    review = places.undone(places.at(review, 0))
    assert (review.decisions, review.current) == (("accepted", "open"), 1)
    assert places.undone(places.undone(review)).decisions == ("open", "open")


def test_progress_counts_places_and_ml() -> None:
    review = fresh()
    assert places.progress(review) == "0 of 2 places · 1.64 of 1.64 mL left"
    review = places.decide(places.at(review, 0), "accepted")
    assert places.progress(review) == "1 of 2 places · 0.30 of 1.64 mL left"
    assert not review.is_done
    review = places.decide(places.at(review, 1), "accepted")
    assert places.progress(review).endswith("every place is decided: done")


def test_it_is_done_when_what_is_left_is_under_the_limit() -> None:
    found = fresh().found
    large = replace(found, places=(replace(found.places[0], ml=12.0), found.places[1]))
    review = places.start(large, done_ml=0.5)
    assert not review.is_done
    review = places.decide(places.at(review, 0), "accepted")
    assert review.is_done
    assert places.progress(review) == "1 of 2 places · 0.30 of 12.3 mL left · that is under 0.50 mL: done"


def test_without_places_there_is_nothing_to_look_at() -> None:
    found = replace(fresh().found, places=(), calm_ml=0.07, calm_count=20)
    review = places.start(found, done_ml=0.5)
    assert places.progress(review) == "Nothing to look at: 5 seeds agree, but for spots too small to matter."
    assert places.calm(found) == "20 smaller spots are left alone (0.07 mL)."
    assert review.is_done
    assert places.following(review) is None


def test_decisions_are_recorded() -> None:
    review = places.decide(places.at(fresh(), 0), "accepted")
    assert places.record(review) == {
        "compared": "5 seeds",
        "places": 2,
        "accepted": 1,
        "repainted": 0,
        "replaced": 0,
        "open": 1,
        "left_ml": 0.3,
        "sentence": "looked at 5 seeds, 2 places: 1 accepted; 0.30 of 1.64 mL left",
    }
    assert places.receipt(fresh()) == ""


def test_rows_say_what_differs() -> None:
    first, second = places.rows(fresh(), {1: (1.0, 0.0, 0.0)})
    assert (first.rank, first.ml_text, first.label, first.change) == (1, "1.34 mL", "liver", "liver ↔ tumour")
    assert first.sentence == "3 of 5 seeds say liver, 2 say tumour"
    assert first.colour == (1.0, 0.0, 0.0)
    assert second.sentence == "3 of 5 seeds say tumour, 2 say liver"


def test_undecided_labels_are_listed_and_the_rest_counted() -> None:
    found = fresh().found
    assert places.undecided(found, most=1).splitlines()[-1] == "and 1 more label"
    assert places.calm(found) == "everything else is the same in all of them."


LINE_GRID = Geometry.from_spacing((3, 5, 6), (5.0, 2.0, 1.0), (10.0, 0.0, 0.0))


def test_a_contour_follows_the_borders_of_voxels() -> None:
    labels = np.zeros((5, 6), np.uint8)
    labels[1:3, 2:5] = 1
    lines = outlines.contour(labels, outlines.SlicePosition(0, 0), LINE_GRID)
    assert len(lines.labels) == 10  # 2 × 3 and 2 × 2 borders
    low, high = lines.ends_mm.reshape(-1, 3).min(0), lines.ends_mm.reshape(-1, 3).max(0)
    assert low.tolist() == [-10.0, 1.0, 1.5]  # slice 0 is the most inferior: I = −S
    assert high.tolist() == [-10.0, 5.0, 4.5]
    np.testing.assert_allclose(np.ptp(lines.ends_mm, axis=1).sum(), 2 * 3 * 1.0 + 2 * 2 * 2.0)


def test_a_dashed_contour_has_gaps_on_every_side() -> None:
    labels = np.zeros((5, 6), np.uint8)
    labels[0:5, 0:6] = 1
    where = outlines.SlicePosition(0, 1)
    whole = np.ptp(outlines.contour(labels, where, LINE_GRID).ends_mm, axis=1).sum(0)
    dashed = np.ptp(outlines.contour(labels, where, LINE_GRID, dashed=True).ends_mm, axis=1).sum(0)
    np.testing.assert_allclose(dashed, [0, whole[1] / 2, whole[2] * 4 / 6])


def test_neighbouring_labels_each_have_their_contour() -> None:
    labels = np.array([[1, 2]], np.uint8)
    lines = outlines.contour(labels, outlines.SlicePosition(0, 0), LINE_GRID)
    assert np.bincount(lines.labels).tolist() == [0, 4, 4]


def test_inner_and_outer_contours_hold_what_all_and_any_say() -> None:
    answers = of_members(members())
    assert answers is not None
    key = outlines.SlicePosition(0, 3).key
    inner, outer = (of(answers, key, 2) for of in (outlines.inner_labels, outlines.outer_labels))
    assert not inner.any()
    expected = np.zeros(SHAPE[1:])
    expected[LARGE[1:]] = 2
    np.testing.assert_array_equal(outer, expected)
    all_agree = outlines.inner_labels(answers, key)
    assert set(np.unique(all_agree[LARGE[1:]])) == {0}
    np.testing.assert_array_equal(outlines.outer_labels(answers, key) > 0, np.asarray(members().labels)[0, 3] > 0)


def test_corners_surround_a_place_on_its_slices_only() -> None:
    box = (1, 1, 1, 2, 3, 4)
    lines = outlines.corners(box, outlines.SlicePosition(0, 1), LINE_GRID)
    ends = lines.ends_mm.reshape(-1, 3)
    assert len(lines.labels) == 8
    assert (ends.min(0).tolist(), ends.max(0).tolist()) == ([-15.0, -2.0, -2.5], [-15.0, 8.0, 6.5])
    assert not len(outlines.corners(box, outlines.SlicePosition(0, 2), LINE_GRID).labels)


def test_slices_outside_the_grid_have_no_lines() -> None:
    assert outlines.slice_at(LINE_GRID, 0, -20.0) == outlines.SlicePosition(0, 2)
    assert outlines.slice_at(LINE_GRID, 0, -10.0) == outlines.SlicePosition(0, 0)
    assert outlines.slice_at(LINE_GRID, 1, 4.0) == outlines.SlicePosition(1, 2)
    assert outlines.slice_at(LINE_GRID, 0, -30.0) is None


@pytest.fixture
def opened(model: Any, view: Recorded) -> tuple[PlacesController, Any, Recorded, list[str]]:
    data = np.zeros((1, *SHAPE), np.int16)
    for made, about, _ in display.image_layers(Volume(data, GEOMETRY, "CT", ("CT",), "scan")):
        scan = model.add_image(made, **about)
    made, about, _ = display.trace_layer(members(), "result", scan.unique_id)
    model.add_labels(made, **about)
    docks: list[str] = []
    return listing(model, view, docks), model, view, docks


def listing(model: Any, view: Recorded, docks: list[str] | None = None) -> PlacesController:
    current = CurrentResult(model)
    opened = (docks if docks is not None else []).append
    return PlacesController(
        model, view, current, EditController(model, current), ImmediateRunner(), lambda: 0.0, opened
    )


Opened = tuple[PlacesController, Any, Recorded, list[str]]


def test_the_places_of_the_current_result_are_listed(opened: Opened) -> None:
    _, _, view, _ = opened
    rows, current = view.last("set_rows")
    assert [row.label for row in rows] == ["liver", "tumour"]
    assert current is None
    assert view.last("set_sources") == (["5 seeds"], 0)
    assert view.last("show_message") == ("", "done")


def test_jumping_moves_every_slider_to_the_place_and_marks_it(opened: Opened) -> None:
    controller, model, view, _ = opened
    controller.jump(1)
    assert view.last("set_rows")[1] == 1
    place = controller.review.found.places[1]  # type: ignore[union-attr]
    assert place.voxel == (5, 22, 22)
    assert controller._current.z == 5
    assert model.dims.point[-2:] == (5.0 + 2 * 22, 7.0 + 2 * 22)
    frame = model.layers["Look here"]
    assert len(frame.data) == 8
    assert model.layers.selection.active is model.layers["result"]
    assert model.dims.nsteps[1] == SHAPE[0]  # lines do not refine the slider
    controller._current.go_slice(0)
    assert len(frame.data) == 0


def test_accepting_goes_on_and_is_recorded_with_the_layer(opened: Opened) -> None:
    controller, model, view, _ = opened
    controller.next()
    controller.accept()
    assert view.last("set_rows")[1] == 1
    assert view.last("set_progress") == ("1 of 2 places · 0.30 of 1.64 mL left", False)
    assert model.layers["result"].metadata[places.REVIEW_KEY]["accepted"] == 1


def test_decisions_go_into_the_provenance_of_a_saved_file(opened: Opened, tmp_path: Path) -> None:
    controller, model, _, _ = opened
    controller.next()
    controller.accept()
    data, attributes, _ = model.layers["result"].as_layer_data_tuple()
    saving.save(tmp_path / "liver.nii.gz", data, attributes, ())
    written = json.loads((tmp_path / "liver.provenance.json").read_text("utf-8"))
    assert written["review"]["sentence"] == "looked at 5 seeds, 2 places: 1 accepted; 0.30 of 1.64 mL left"


def test_the_other_side_is_one_edit_and_can_be_undone(opened: Opened) -> None:
    controller, model, _, _ = opened
    layer = model.layers["result"]
    controller.next()
    controller.replace()
    assert [edit.what for edit in layer.data.edits] == ["take the other side"]
    edited = np.asarray(layer.data.station(1))[::-1]
    assert (edited[LARGE] == 2).all()
    assert np.count_nonzero(edited != np.asarray(members().labels)[0]) == 2 * 7 * 8
    assert controller.review.decisions == ("replaced", "open")  # type: ignore[union-attr]
    controller.undo()
    assert layer.data.edits == ()
    assert controller.review.decisions == ("open", "open")  # type: ignore[union-attr]
    np.testing.assert_array_equal(np.asarray(layer.data.station(1))[::-1], np.asarray(members().labels)[0])


def test_a_stroke_marks_the_place_as_repainted_and_undo_takes_it_back(opened: Opened) -> None:
    controller, model, _, docks = opened
    layer = model.layers["result"]
    controller.next()
    controller.repaint()
    assert (docks, layer.selected_label, str(layer.mode)) == (["correct"], 1, "paint")
    for label in (2, 0):
        with layer.block_history():  # a stroke of two moves of the mouse is one entry of the history
            for x in (20, 21):
                where = (layer.data.stations - 1, 3, 20, x)
                layer.data_setitem(tuple(np.array([value]) for value in where), label)
    assert controller.review.decisions == ("repainted", "open")  # type: ignore[union-attr]
    assert layer.data.station(1)[3, 20, 20] == 0
    controller.undo()
    assert controller.review.decisions == ("open", "open")  # type: ignore[union-attr]
    assert layer.data.station(1)[3, 20, 20] == 1


def test_contours_are_drawn_for_the_slice_on_screen(opened: Opened) -> None:
    controller, model, view, _ = opened
    controller.jump(0)
    labels = view.last("set_contours")[0]
    assert list(labels) == ["this label", "all labels", "liver", "tumour"]
    controller.pick_contours(3)
    controller.show_contours(True)
    assert len(model.layers["All agree"].data) == 0  # no voxel is tumour in all five
    controller._current.go_slice(5)
    outer = model.layers["Any says so"]
    assert len(outer.data) > 0
    light = [0.5 + 0.5 * part for part in palette.colour(2)]
    for z in (2, 0, 3):  # through a slice without lines
        controller._current.go_slice(z)
        assert len(outer.data) == (0 if z == 0 else len(outer.edge_color))
        np.testing.assert_allclose(outer.edge_color[:, :3], np.tile(light, (len(outer.data), 1)), atol=1e-6)
    controller.show_contours(False)
    assert "Any says so" not in model.layers


def test_lines_are_hidden_in_3d(opened: Opened) -> None:
    controller, model, _, _ = opened
    controller.jump(0)
    model.dims.ndisplay = 3
    assert not model.layers["Look here"].visible
    model.dims.ndisplay = 2
    assert model.layers["Look here"].visible


def test_keys_act_on_the_canvas_while_the_list_is_open(opened: Opened) -> None:
    controller, model, _, _ = opened
    layer = model.layers["result"]
    bound = {str(key) for key in layer.keymap}
    assert bound == {"N", "Enter", "R", "O", "Z", "Backspace"}
    next(action for key, action in layer.keymap.items() if str(key) == "N")(layer)
    assert controller.review.current == 0  # type: ignore[union-attr]
    layer.mode = "polygon"
    assert "Enter" not in {str(key) for key in layer.keymap}  # it closes the polygon
    layer.mode = "paint"
    assert "Enter" in {str(key) for key in layer.keymap}
    controller.close()
    assert not layer.keymap
    assert not model.keymap
    assert "Look here" not in model.layers


def test_a_result_without_anything_to_compare_says_so(model: Any, view: Recorded) -> None:
    listing(model, view)
    assert view.last("show_message") == (places.NOTHING_OPEN, "hint")
    lonely = replace(members(), members={})
    made, about, _ = display.trace_layer(lonely, "result")
    model.add_labels(made, **about)
    controller = listing(model, view)
    assert view.last("show_message") == (places.NOT_COMPARABLE, "hint")
    for act in (controller.next, controller.accept, controller.repaint, controller.replace, controller.undo):
        act()
    assert controller.review is None


def test_the_review_is_kept_while_another_result_is_looked_at(opened: Opened) -> None:
    controller, model, view, _ = opened
    controller.next()
    controller.accept()
    made, about, _ = display.trace_layer(replace(members(), members={}), "other")
    model.add_labels(made, **about)
    assert view.last("show_message") == (places.NOT_COMPARABLE, "hint")
    model.layers.selection.active = model.layers["result"]
    assert view.last("set_progress") == ("1 of 2 places · 0.30 of 1.64 mL left", False)
    model.layers.remove(model.layers["result"])
    assert controller._reviews == {}


def test_napari_can_name_every_key_that_is_bound(opened: Opened) -> None:
    from voxtrace.plugin.npe2.viewer_state import viewer_state_of

    _, model, _, _ = opened
    viewer_state_of(model)
    bound = [*model.keymap.values(), *(action for layer in model.layers for action in layer.keymap.values())]
    assert len(bound) > 6
    assert all(hasattr(action, "__name__") for action in bound)  # else every key press on the canvas fails
