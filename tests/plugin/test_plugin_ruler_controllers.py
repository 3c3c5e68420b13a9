"""The controllers of the rulers with a viewer model, recorded views and work that runs at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from made_layers import Recorded, made_volume
from made_rulers import ImmediateQueue
from made_traces import made_trace
from voxtrace import palette
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.film import FilmController
from voxtrace.plugin.controllers.first_look import FirstLook
from voxtrace.plugin.controllers.overlays import OverlaysController
from voxtrace.plugin.controllers.place_ruler import PlaceRulerController
from voxtrace.plugin.controllers.scans import shown_labels
from voxtrace.plugin.controllers.time_ruler import EMPTY, TimeRulerController
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.correction import Correction
from voxtrace.trace import Trace
from voxtrace.volume import Volume

MODEL = "made-bundle (demonstration, for made-up scans)"


@pytest.fixture
def trace() -> Trace:
    return made_trace()


@pytest.fixture
def queue() -> ImmediateQueue:
    return ImmediateQueue()


@pytest.fixture
def current(model: Any, trace: Trace) -> CurrentResult:
    data = np.arange(np.prod(trace.geometry.shape), dtype=np.int16).reshape(1, *trace.geometry.shape)
    [(pixels, about, _)] = display.image_layers(Volume(data, trace.geometry, "CT", ("CT",), "scan"))
    scan = model.add_image(pixels, **about)
    current = CurrentResult(model)
    labels, about, _ = display.trace_layer(trace, "result", scan.unique_id)
    model.add_labels(labels, **about)
    return current


def add_reference(model: Any, trace: Trace, name: str = "truth", step: int = 2) -> Any:
    from voxtrace.volume import LabelMap

    labels = np.array(trace.labels[step])
    data, about, _ = display.label_layer(LabelMap(labels, trace.geometry, {1: "liver"}, {}, name))
    return model.add_labels(data, **about)


def dice(view: Recorded) -> list[tuple[float, ...]]:
    """The values of the lane that compares with a reference, by label."""
    lane = next(lane for lane in view.last("set_lanes")[0] if lane.key == "reference")
    return [curve.values for curve in lane.curves]


class HeldQueue:
    """Keeps what takes each result, in order."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Callable[[Any], None]]] = []

    def submit(self, key: str, function: Any, on_result: Callable[[Any], None]) -> None:
        self.requests.append((key, on_result))

    def clear(self) -> None: ...


class TestTimeRuler:
    @pytest.fixture
    def ruler(self, model: Any, current: CurrentResult, view: Recorded, queue: ImmediateQueue) -> TimeRulerController:
        return TimeRulerController(model, current, view, queue)

    def test_without_a_result_it_says_what_to_do(self, model: Any, view: Recorded, queue: ImmediateQueue) -> None:
        TimeRulerController(model, CurrentResult(model), view, queue)
        assert view.last("show_empty") == (EMPTY,)

    def test_it_has_a_station_for_each_step_and_a_row_for_each_answer(
        self, ruler: TimeRulerController, view: Recorded, current: CurrentResult
    ) -> None:
        assert view.last("set_stations") == (("1", "2", "3"), "round", current.step)
        assert view.last("set_rows") == (["answer", "draft", "seed 0", "seed 1"],)

    def test_lanes_of_volume_and_change_are_shown_at_first(self, ruler: TimeRulerController, view: Recorded) -> None:
        shown, choices = view.last("set_lanes")
        assert [lane.key for lane in shown] == ["volume", "changes"]
        keys = [key for key, _, _ in choices]
        assert keys == ["volume", "relative", "changes", "fact:brightest", "fact:cost_gflop", "surface"]
        assert [on for _, _, on in choices] == [True, False, True, False, False, False]

    def test_the_slider_and_the_ruler_are_one(
        self, ruler: TimeRulerController, view: Recorded, model: Any, current: CurrentResult
    ) -> None:
        ruler.go(0)
        assert (model.dims.point[0], view.last("set_current")) == (0, (0, "Round 1 of 3", MODEL))
        model.dims.set_current_step(0, 2)
        assert view.last("set_current") == (2, "Round 3 of 3", MODEL)
        ruler.move(-1)
        assert current.step == 1
        ruler.move(-7)
        assert current.step == 0
        ruler.go_last()
        assert current.step == 2

    def test_playing_begins_again_or_stops(
        self, ruler: TimeRulerController, view: Recorded, current: CurrentResult
    ) -> None:
        ruler.go(1)
        ruler.advance(loop=False)
        assert (current.step, view.last("set_playing")) == (2, None)
        ruler.advance(loop=False)
        assert (current.step, view.last("set_playing")) == (2, (False,))
        ruler.advance(loop=True)
        assert current.step == 0

    def test_it_goes_where_it_changed_most(self, ruler: TimeRulerController, current: CurrentResult) -> None:
        ruler.go(0)
        ruler.go_most_changed()
        assert current.step in (1, 2)

    def test_a_lane_is_counted_when_it_is_shown(
        self, ruler: TimeRulerController, view: Recorded, queue: ImmediateQueue
    ) -> None:
        assert "surface" not in queue.runs
        ruler.show_lane("surface", True)
        shown, _ = view.last("set_lanes")
        lane = next(lane for lane in shown if lane.key == "surface")
        assert lane.about == "unlike the members"
        assert all(value > 0 for value in lane.curves[0].values)  # "seed 1" is shifted by a voxel
        ruler.show_lane("surface", False)
        assert "surface" not in [lane.key for lane in view.last("set_lanes")[0]]

    def test_it_compares_with_another_labels_layer(
        self, ruler: TimeRulerController, view: Recorded, model: Any, trace: Trace
    ) -> None:
        add_reference(model, trace)
        assert view.last("set_references") == (["truth"], -1)
        ruler.compare_with(0)
        lane = next(lane for lane in view.last("set_lanes")[0] if lane.key == "reference")
        assert lane.title == "Dice with truth"
        assert [curve.values[-1] for curve in lane.curves] == [1.0, 1.0]
        assert lane.curves[0].values[0] < 1
        model.layers.remove("truth")
        assert view.last("set_references") == ([], -1)

    def test_the_reference_is_the_layer_of_the_list_that_was_shown(
        self, ruler: TimeRulerController, view: Recorded, model: Any, trace: Trace
    ) -> None:
        add_reference(model, trace)
        add_reference(model, trace, "draft", 0)
        model.layers.move(model.layers.index("truth"), len(model.layers))
        assert view.last("set_references") == (["draft", "truth"], -1)
        model.layers["draft"].name = "first try"
        ruler.compare_with(view.last("set_references")[0].index("first try"))
        lane = next(lane for lane in view.last("set_lanes")[0] if lane.key == "reference")
        assert lane.title == "Dice with first try"
        assert [curve.values[0] for curve in lane.curves] == [1.0, 1.0]
        model.layers["first try"].name = "sketch"
        assert view.last("set_references") == (["sketch", "truth"], 0)
        assert "Dice with sketch" in [lane.title for lane in view.last("set_lanes")[0]]

    @pytest.mark.parametrize(
        ("change", "is_hidden"),
        [*itertools.product(["paint", "undo", "redo"], [False, True]), ("refresh", False)],
    )
    def test_dice_is_counted_again_when_the_reference_is_edited(
        self,
        ruler: TimeRulerController,
        view: Recorded,
        model: Any,
        trace: Trace,
        queue: ImmediateQueue,
        change: str,
        is_hidden: bool,
    ) -> None:
        truth = add_reference(model, trace)
        truth.brush_size = 1
        if change in ("undo", "redo"):
            truth.paint((0, 0, 0), 1)
        if change == "redo":
            truth.undo()
        ruler.compare_with(0)
        before = dice(view)
        counted = queue.runs["reference"]
        truth.contour = 1
        model.dims.set_point(1, model.dims.range[1].start)
        model.dims.set_point(1, model.dims.range[1].stop)
        if is_hidden:
            truth.visible = False
        model.dims.set_point(0, model.dims.range[0].start)
        assert queue.runs["reference"] == counted  # the same labels, drawn anew
        if change == "paint":
            truth.paint((0, 0, 0), 1)
        elif change == "refresh":
            truth.data[0, 0, 0] = 1
            truth.refresh()
        else:
            getattr(truth, change)()
        liver, spleen = dice(view)
        wrong = int(truth.data[0, 0, 0] == 1)  # the only voxel that is not the last step's
        voxels = int(np.count_nonzero(trace.labels[2] == 1))
        assert liver[-1] == pytest.approx(2 * voxels / (2 * voxels + wrong))
        assert (liver != before[0], spleen) == (True, before[1])

    def test_the_lane_goes_with_the_reference(
        self, ruler: TimeRulerController, view: Recorded, model: Any, trace: Trace
    ) -> None:
        add_reference(model, trace)
        ruler.compare_with(0)
        assert dice(view)
        model.layers.remove("truth")
        assert "reference" not in [lane.key for lane in view.last("set_lanes")[0]]

    def test_what_was_counted_before_an_edit_of_the_reference_is_not_shown(
        self, model: Any, current: CurrentResult, view: Recorded, trace: Trace
    ) -> None:
        held = HeldQueue()
        ruler = TimeRulerController(model, current, view, held)
        truth = add_reference(model, trace)
        ruler.compare_with(0)
        truth.data_setitem(tuple(np.nonzero(truth.data)), 0)
        first, second = (one for key, one in held.requests if key == "reference")
        first({1: [0.5, 0.5, 0.5]})
        assert "reference" not in [lane.key for lane in view.last("set_lanes")[0]]
        second({1: [0.0, 0.0, 0.0]})
        assert dice(view) == [(0.0, 0.0, 0.0)]
        ruler.close()

    def test_the_only_step_that_was_kept_has_its_own_number(
        self, model: Any, current: CurrentResult, view: Recorded, queue: ImmediateQueue, trace: Trace
    ) -> None:
        bare = {"extras": {}, "members": {}, "slice_facts": {}, "maps": {}}
        last = replace(trace, labels=trace.labels[-1:], **bare)
        labels, about, _ = display.trace_layer(last, "last", "")
        model.add_labels(labels, **about)
        TimeRulerController(model, current, view, queue)
        assert view.last("set_stations")[0] == ("3",)
        assert view.last("set_current")[1] == "Round 3 of 3"
        assert current.shown_step_name == "round 3"

    def test_edits_have_a_station_of_their_own(
        self, ruler: TimeRulerController, view: Recorded, model: Any, current: CurrentResult
    ) -> None:
        stations = current.stations
        assert stations is not None
        stations[2, 5, 0, :4] = 2
        model.layers["result"].data = stations  # napari learns that there is one more
        current.announce_edit()
        assert view.last("set_stations")[0] == ("1", "2", "3", "✎ edited")
        current.go(3)
        assert view.last("set_current") == (3, "Edited", MODEL)
        lane = next(lane for lane in view.last("set_lanes")[0] if lane.key == "changes")
        assert lane.readout(3).startswith("gained 4 · lost 0")
        volume = next(lane for lane in view.last("set_lanes")[0] if lane.key == "volume")
        assert volume.curves[1].values[3] > volume.curves[1].values[2]

    def test_late_counts_of_a_closed_result_are_dropped(
        self, model: Any, current: CurrentResult, view: Recorded
    ) -> None:
        held = ImmediateQueue(held=True)
        ruler = TimeRulerController(model, current, view, held)
        model.layers.remove("result")
        held.let_go()
        assert view.last("show_empty") == (EMPTY,)
        assert held.runs == {}
        ruler.close()


class TestPlaceRuler:
    @pytest.fixture
    def ruler(self, current: CurrentResult, view: Recorded, queue: ImmediateQueue) -> PlaceRulerController:
        return PlaceRulerController(current, view, queue)

    def test_it_shows_what_the_method_decided(self, ruler: PlaceRulerController, view: Recorded) -> None:
        choices, chosen = view.last("set_places")
        assert (choices[chosen].key, choices[chosen].title) == ("choice", "Choice")
        cells, areas, depth = view.last("set_cells")
        assert depth == 12
        assert [entry.text for entry in cells.entries] == ["leave 3 (25 %)", "look 9 (75 %)"]
        assert [line.name for line in areas] == ["liver", "spleen"]

    def test_another_row_is_kept_when_the_step_changes(
        self, ruler: PlaceRulerController, view: Recorded, current: CurrentResult
    ) -> None:
        keys = [choice.key for choice in view.last("set_places")[0]]
        ruler.choose(keys.index("brightest"))
        assert view.last("set_cells")[0].title == "Brightest"
        assert view.last("set_cells")[0].limits == ("100", "1,100") or current.step > 0
        current.go(2)
        assert ruler.chosen == "brightest"
        assert view.last("set_cells")[0].limits == ("102", "1,102")

    def test_a_click_jumps_and_napari_moves_the_mark(
        self, ruler: PlaceRulerController, view: Recorded, model: Any, current: CurrentResult
    ) -> None:
        ruler.go(0)
        assert current.z == 11  # the superior slice is the last of the grid
        assert view.last("set_slice")[0] == 0
        assert view.last("set_slice")[1].startswith("slice 0 · look")
        current.go_slice(0)
        assert view.last("set_slice")[0] == 11

    def test_it_counts_where_members_disagree_and_what_was_changed_by_hand(
        self, ruler: PlaceRulerController, view: Recorded, current: CurrentResult
    ) -> None:
        keys = [choice.key for choice in view.last("set_places")[0]]
        assert "members disagree" in keys
        assert "changed by hand" not in keys
        stations = current.stations
        assert stations is not None
        stations[2, 0, 0, :3] = 2  # in the superior slice
        current.announce_edit()
        keys = [choice.key for choice in view.last("set_places")[0]]
        ruler.choose(keys.index("changed by hand"))
        cells = view.last("set_cells")[0]
        assert (cells.title, cells.limits) == ("Changed by hand", ("0", "3"))
        assert (cells.colours[0, 0] != cells.colours[0, 1]).any()
        current.go(1)
        assert "members disagree" in [choice.key for choice in view.last("set_places")[0]]

    def test_areas_at_the_edited_station_are_those_of_the_edited_labels(
        self, ruler: PlaceRulerController, view: Recorded, model: Any, current: CurrentResult
    ) -> None:
        current.go(2)
        edits, layer = EditController(model, current), current.layer
        assert layer is not None
        before = {line.name: line.values for line in view.last("set_cells")[1]}
        labels = layer.data.station(2)
        row = int(np.flatnonzero((labels == 1).any((1, 2)))[0])  # of slices, from the superior one
        where = np.flatnonzero((labels == 1) & (np.arange(len(labels)) == row)[:, None, None])
        edits.apply(layer, Correction(where, np.full(where.size, 2, labels.dtype)), "relabel", 2)
        assert current.is_edited
        after = {line.name: line.values for line in view.last("set_cells")[1]}
        assert after["liver"][row] == 0
        assert after["spleen"][row] == pytest.approx(before["liver"][row] + before["spleen"][row])
        assert np.delete(after["liver"], row) == pytest.approx(np.delete(before["liver"], row))
        ruler.hover(row)
        assert "liver" not in view.last("set_hover")[0]
        layer.undo()
        assert view.last("set_cells")[1][0].values == pytest.approx(before["liver"])
        layer.redo()
        current.go(2)
        assert view.last("set_cells")[1][0].values == pytest.approx(before["liver"])

    def test_hovering_tells_of_a_slice(self, ruler: PlaceRulerController, view: Recorded) -> None:
        ruler.hover(11)
        assert view.last("set_hover")[0].startswith("slice 11 · leave")
        ruler.hover(-1)
        assert view.last("set_hover") == ("",)


class TestFilm:
    @pytest.fixture
    def film(self, model: Any, current: CurrentResult, view: Recorded, queue: ImmediateQueue) -> FilmController:
        return FilmController(model, current, view, queue)

    def test_it_draws_what_is_wanted_of_the_plane_at_hand(
        self, film: FilmController, view: Recorded, current: CurrentResult
    ) -> None:
        film.want(((0, 0), (0, 2), (3, 1)), (64, 96))
        current.go_slice(4)
        pictures, sentence = view.last("set_thumbnails")
        assert set(pictures) == {(0, 0), (0, 2), (3, 1)}
        assert sentence == "axial slice 7"
        assert pictures[0, 0].shape == (64, 80, 3)
        assert (pictures[0, 0] != pictures[0, 2]).any()

    def test_it_follows_the_plane_the_contrast_and_edits(
        self, film: FilmController, view: Recorded, model: Any, current: CurrentResult
    ) -> None:
        film.want(((0, 2),), (64, 96))
        model.dims.order = (0, 2, 1, 3)
        assert view.last("set_thumbnails")[1].startswith("coronal slice")
        model.dims.order = (0, 3, 1, 2)
        assert view.last("set_thumbnails")[1].startswith("sagittal slice")
        model.dims.order = (0, 1, 2, 3)
        current.go_slice(4)
        before = view.last("set_thumbnails")[0][0, 2]
        model.layers["scan"].contrast_limits = (2000, 9000)
        bright = view.last("set_thumbnails")[0][0, 2]
        assert bright.mean() < before.mean()
        assert current.stations is not None
        current.stations[2, 7, :, :] = 1
        film.want(((0, 3), (1, 3)), (64, 96))
        current.announce_edit()
        assert set(view.last("set_thumbnails")[0]) == {(0, 3)}  # the extra row has not been edited
        assert (view.last("set_thumbnails")[0][0, 3] != bright).any()

    def test_going_along_the_steps_draws_nothing_anew(
        self, film: FilmController, current: CurrentResult, queue: ImmediateQueue
    ) -> None:
        film.want(((0, 0), (0, 1), (0, 2)), (64, 96))
        before = queue.runs["film"]
        for station in (0, 1, 2):
            current.go(station)
        assert queue.runs["film"] == before
        current.go_slice(1)
        assert queue.runs["film"] == before + 1

    def test_it_shows_the_part_around_the_labels(self, film: FilmController, view: Recorded) -> None:
        film.want(((0, 0),), (60, 200))
        film.set_extent((3, 2, 2, 9, 12, 8))
        # 10 × 6 voxels and a margin of 2 on each side.
        assert view.last("set_thumbnails")[0][0, 0].shape == (60, 43, 3)

    def test_a_label_that_is_hidden_on_the_canvas_is_hidden_in_the_film(
        self, film: FilmController, view: Recorded, model: Any, current: CurrentResult
    ) -> None:
        film.want(((0, 2),), (64, 96))
        current.go_slice(4)
        before = view.last("set_thumbnails")[0][0, 2]
        colours = current.source.colours  # type: ignore[union-attr]
        model.layers["result"].colormap = palette.napari_colours(colours, {1, 2})
        after = view.last("set_thumbnails")[0][0, 2]
        assert (before != after).any()
        assert (after[..., 0] == after[..., 2]).all()  # grey everywhere

    def test_a_result_of_a_part_lies_over_that_part_of_the_scan(
        self, film: FilmController, view: Recorded, model: Any, trace: Trace
    ) -> None:
        start, shape = (1, 0, 2), tuple(n - k for n, k in zip(trace.geometry.shape, (1, 0, 2), strict=True))
        empty = np.zeros((1, *shape), np.uint8)
        part = Trace(empty, {}, np.zeros((0, 6), np.int64), {}, trace.geometry.part(start, shape), trace.names, "cycle")
        film.want(((0, 0),), (64, 96))
        index = model.layers["scan"].data.shape[0] - 1 - start[0]
        labels, about, _ = display.trace_layer(part, "part", model.layers["scan"].unique_id)
        model.add_labels(labels, **about)
        model.dims.set_point(1, model.layers["scan"].data_to_world((index, 0, 0))[0])
        film.refresh()
        picture = view.last("set_thumbnails")[0][0, 0]
        scan = np.asarray(model.layers["scan"].data)[index, :, 2:].astype(float)
        low, high = model.layers["scan"].contrast_limits
        assert picture[..., 0].mean() == pytest.approx(255 * ((scan - low) / (high - low)).clip(0, 1).mean(), abs=6)

    def test_without_its_scan_labels_are_drawn_on_grey(self, film: FilmController, view: Recorded, model: Any) -> None:
        film.want(((0, 0),), (64, 96))
        model.layers.remove("scan")
        film.refresh()
        picture = view.last("set_thumbnails")[0][0, 0]
        assert tuple(picture[0, 0]) == (26, 26, 26)


class TestOverlays:
    @pytest.fixture
    def overlays(self, model: Any, current: CurrentResult, view: Recorded, queue: ImmediateQueue) -> OverlaysController:
        return OverlaysController(model, current, view, queue)

    def shown(self, view: Recorded) -> list[str]:
        return [key for key, _, on in view.last("set_overlays")[0] if on]

    def test_it_offers_what_the_trace_has(self, overlays: OverlaysController, view: Recorded) -> None:
        assert [(key, title) for key, title, _ in view.last("set_overlays")[0]] == [
            ("settled", "Settled at which round"),
            ("settled contours", "Settled at which round, as contours"),
            ("slices:branch", "Slices by branch"),
            ("windows:branch", "Windows by branch"),
            ("slices:choice", "Slices by choice"),
            ("windows", "Boxes of windows"),
        ]
        assert self.shown(view) == []

    def test_a_tint_lies_between_scan_and_labels_and_is_no_result(
        self, overlays: OverlaysController, view: Recorded, model: Any, current: CurrentResult
    ) -> None:
        overlays.show("slices:choice", True)
        assert [layer.name for layer in model.layers] == ["scan", "result · slices by choice", "result"]
        tint = model.layers[1]
        assert tint.visible
        assert np.unique(tint.data).tolist() == [1, 2]
        assert current.layer is model.layers["result"]
        assert model.layers.selection.active is model.layers["result"]
        assert self.shown(view) == ["slices:choice"]
        overlays.show("slices:choice", False)
        assert not tint.visible
        overlays.show("slices:choice", True)
        assert len(model.layers) == 3

    def test_the_labels_are_named_under_the_boxes_of_windows(self, overlays: OverlaysController, model: Any) -> None:
        overlays.show("windows", True)
        assert model.layers[-1].name == "result · boxes of windows"
        model.layers.selection.active = model.layers["scan"]
        assert shown_labels(model) is model.layers["result"]
        model.layers.selection.active = model.layers["result · boxes of windows"]
        assert shown_labels(model) is model.layers["result · boxes of windows"]

    def test_labels_are_hidden_while_the_settled_map_is_shown(
        self, overlays: OverlaysController, view: Recorded, model: Any
    ) -> None:
        overlays.show("settled", True)
        settled, result = model.layers["result · settled at which round"], model.layers["result"]
        assert (settled.visible, result.visible, settled.contour) == (True, False, 0)
        assert len(view.last("set_ramp")[0]) == 3
        overlays.show("settled contours", True)
        assert (settled.visible, result.visible, settled.contour) == (True, False, 1)
        assert self.shown(view) == ["settled contours"]
        overlays.show("settled contours", False)
        assert (settled.visible, result.visible) == (False, True)
        assert view.last("set_ramp")[0] == ()
        settled.visible = True  # by the eye in the layer list
        assert not result.visible
        settled.visible = False
        assert result.visible

    def test_closing_the_settled_map_brings_the_labels_back(self, overlays: OverlaysController, model: Any) -> None:
        overlays.show("settled", True)
        model.layers.remove("result · settled at which round")
        assert model.layers["result"].visible

    def test_overlays_of_another_result_are_hidden(
        self, overlays: OverlaysController, view: Recorded, model: Any, trace: Trace
    ) -> None:
        overlays.show("settled", True)
        labels, about, _ = display.trace_layer(made_trace(), "other", "")
        model.add_labels(labels, **about)
        assert not model.layers["result · settled at which round"].visible
        assert self.shown(view) == []
        model.layers.selection.active = model.layers["result"]
        assert model.layers["result"].visible

    def test_a_layer_that_was_closed_meanwhile_gets_no_overlay(
        self, model: Any, current: CurrentResult, view: Recorded
    ) -> None:
        held = ImmediateQueue(held=True)
        overlays = OverlaysController(model, current, view, held)
        overlays.show("windows", True)
        model.layers.remove("result")
        held.let_go()
        assert [layer.name for layer in model.layers] == ["scan"]


def test_controllers_leave_the_viewer_when_they_are_closed(
    model: Any, current: CurrentResult, view: Recorded, queue: ImmediateQueue
) -> None:
    parts = (
        TimeRulerController(model, current, view, queue),
        PlaceRulerController(current, view, queue),
        FilmController(model, current, view, queue),
        OverlaysController(model, current, view, queue),
    )
    for part in parts:
        part.close()
    before = len(view.calls)
    current.go(0)
    current.go_slice(0)
    for data, about, _ in display.image_layers(made_volume()):
        model.add_image(data, **about)
    model.layers.remove("result")
    assert len(view.calls) == before


def test_a_new_result_is_shown_with_its_answer(model: Any, current: CurrentResult) -> None:
    opened: list[str] = []
    first_look = FirstLook(current, lambda: opened.append("rulers"))
    for name, steps in (("five", 5), ("two", 2)):
        labels, about, _ = display.trace_layer(made_trace(steps), name, "")
        model.add_labels(labels, **about)
        assert (current.layer.name, current.step) == (name, steps - 1)  # type: ignore[union-attr]
    current.go(0)
    model.layers.selection.active = model.layers["five"]
    assert current.step == 0  # it was seen before
    assert opened == ["rulers"]
    first_look.close()
