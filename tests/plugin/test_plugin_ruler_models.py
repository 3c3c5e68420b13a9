"""Stations, lanes, thumbnails and place cells: pure functions, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from made_traces import made_trace
from voxtrace.plugin.layers.routing import NO_WORK, UNKNOWN, action_colours, amounts
from voxtrace.plugin.models import lanes, place_cells
from voxtrace.plugin.models.stations import StationAxis, film_slots, station_names
from voxtrace.plugin.models.thumbnails import around, colour_table, grey, overlaid, picture_size, whole
from voxtrace.trace.places import along_slices


def test_every_station_has_a_thumbnail_where_they_fit() -> None:
    slots = film_slots(StationAxis(7, 100, 800), 62, current=3)
    assert [slot.station for slot in slots] == list(range(7))
    assert [slot.centre for slot in slots] == [150, 250, 350, 450, 550, 650, 750]


@pytest.mark.parametrize("current", [0, 13, 49])
def test_the_current_station_has_a_thumbnail_among_many(current: int) -> None:
    slots = film_slots(StationAxis(50, 0, 400), 62, current)
    assert len(slots) == 5
    assert current in [slot.station for slot in slots]


def test_the_edited_station_stands_at_the_end() -> None:
    assert station_names(2, 3) == ("1", "2", "✎ edited")


def test_bars_leave_the_first_step_out_of_the_scale() -> None:
    counts = lanes.ChangeCounts(np.array([900, 5, 2]), np.array([0, 8, 1]), np.array([0, 1, 0]))
    lane = lanes.change_lane(counts)
    assert lane.limits == (0.0, 8.0)
    assert lane.readout(1) == "gained 5 · lost 8 · other label 1 voxels"
    assert lanes.most_changed(lane) == 1


def test_where_nothing_changed_after_the_first_step_none_changed_most() -> None:
    assert lanes.most_changed(lanes.total_change_lane((900.0, 0.0, 0.0))) is None
    assert lanes.most_changed(lanes.total_change_lane((900.0,))) is None


def test_volumes_have_a_line_for_each_label_that_occurs() -> None:
    volumes = [{1: 2.0, 2: 0.0, 3: 8.0}, {1: 4.0, 2: 0.0, 3: 8.0}]
    absolute, relative = lanes.volume_lanes({1: "liver", 2: "gone", 3: "spleen"}, {1: (1, 0, 0)}, volumes)
    assert [(c.name, c.values) for c in absolute.curves] == [("liver", (2.0, 4.0)), ("spleen", (8.0, 8.0))]
    assert [c.values for c in relative.curves] == [(-50.0, 0.0), (0.0, 0.0)]
    assert absolute.limits == (2.0, 8.0)


def test_facts_become_lanes_and_names_of_things_do_not() -> None:
    found = {lane.key: lane for lane in lanes.fact_lanes(made_trace())}
    assert set(found) == {"fact:cost_gflop", "fact:brightest"}
    assert found["fact:cost_gflop"].curves[0].values == (1.75, 1.75, 1.75)
    assert (found["fact:cost_gflop"].title, found["fact:cost_gflop"].unit) == ("Cost", "GFLOP")


def test_a_lane_gets_a_value_for_the_edited_station() -> None:
    lane = lanes.with_last(lanes.total_change_lane((3.0, 1.0)), {"changed": 7.0})
    assert lane.readout(2) == "7 voxels"
    assert lanes.with_last(lane, {}).readout(3) == "not known here"


def test_a_flat_lane_has_a_scale() -> None:
    low, high = lanes.Lane("x", "X", "", (lanes.LaneCurve("a", (1, 1, 1), (5.0, 5.0)),)).limits
    assert low < 5.0 < high
    assert lanes.Lane("x", "X", "", ()).limits == (0.0, 1.0)


def test_a_thumbnail_has_outlines_in_full_colour_and_a_light_fill() -> None:
    labels = np.zeros((9, 9), np.uint8)
    labels[2:7, 2:7] = 1
    base = grey(np.full((9, 9), 50.0), whole((9, 9)), (9, 9), (0.0, 100.0))
    picture = overlaid(base, labels, whole((9, 9)), colour_table({1: (1.0, 0.0, 0.0)}))
    assert tuple(picture[0, 0]) == (127, 127, 127)  # outside
    assert tuple(picture[2, 2]) == (255, 0, 0)  # outline
    assert tuple(picture[4, 4]) == (int(127 * 0.65 + 255 * 0.35), int(127 * 0.65), int(127 * 0.65))  # inside


def test_a_hidden_label_is_not_drawn_and_one_without_a_colour_is_magenta() -> None:
    labels = np.full((4, 4), 1, np.uint8)
    base = grey(None, whole((4, 4)), (4, 4), (0.0, 1.0))
    hidden = overlaid(base, labels, whole((4, 4)), colour_table({1: (1.0, 0.0, 0.0)}, frozenset({1})))
    assert (hidden == base[..., None]).all()
    unknown = overlaid(base, labels + 8, whole((4, 4)), colour_table({1: (1.0, 0.0, 0.0)}))
    assert unknown[1, 1, 0] > unknown[1, 1, 1]


def test_pictures_keep_the_proportions_in_mm() -> None:
    assert picture_size((40, 80), (5.0, 1.0), (60, 200)) == (60, 24)


def test_a_crop_stays_within_the_plane() -> None:
    crop = around((0, 10, 30, 20), (32, 24))
    assert (crop.top, crop.bottom, crop.left, crop.right) == (0, 32, 4, 24)
    assert around((0, 0, 0, 0), (32, 24)) == whole((32, 24))


def test_what_costs_nothing_is_grey_and_the_others_differ() -> None:
    colours = action_colours(5, (0.0, 1.0, 2.0, 3.0, 4.0))
    assert colours[0] == NO_WORK
    assert len(set(colours)) == 5
    assert NO_WORK not in action_colours(3)


def test_amounts_go_from_violet_to_yellow() -> None:
    low, high, unknown = amounts(np.array([0.0, 2.0, np.nan]), 0.0, 2.0)
    assert tuple(low) == (68, 1, 84)
    assert tuple(high) == (253, 231, 37)
    assert tuple(unknown) == tuple(int(255 * part) for part in UNKNOWN)


def test_decisions_come_first_then_changes_of_every_step() -> None:
    trace = made_trace()
    keys = [choice.key for choice in place_cells.choices(trace, along_slices(trace, 2))]
    assert keys[:3] == ["choice", "branch", "steps:brightest"]
    assert "steps:changed_voxels" in keys
    assert not [key for key in keys if key.startswith("area")]


def test_slices_are_drawn_from_superior_to_inferior() -> None:
    trace = made_trace()  # of 12 slices the lowest three are left
    cells = place_cells.cells(trace, along_slices(trace, 2), "choice")
    assert cells is not None
    superior, inferior = cells.colours[0, 0], cells.colours[0, -1]
    assert (cells.colours[0, :9] == superior).all()
    assert (cells.colours[0, 9:] == inferior).all()
    assert tuple(superior) != tuple(inferior)
    assert [entry.text for entry in cells.entries] == ["leave 3 (25 %)", "look 9 (75 %)"]
    assert cells.sentence == "of 12 slices; 12.5 s measured"


def test_the_legend_says_what_the_choices_cost() -> None:
    trace = made_trace()
    cells = place_cells.cells(trace, along_slices(trace, 2), "branch")
    assert cells is not None
    # Four windows at 4 GFLOP each would be 16; 0.25 + 1.25 + 4.25 + 1.25 = 7 were spent.
    assert cells.sentence == "of 12 slices; 2.29 times cheaper than large everywhere; 12.5 s measured"


def test_a_slice_is_told_with_its_decision_cost_and_areas() -> None:
    trace = made_trace()
    rows = along_slices(trace, 2)
    # Slice 4 counted from below is 7 on the slider; 6 × 8 voxels of 4 mm² are 1.92 cm².
    assert place_cells.slice_text(rows, 4, "branch").startswith("slice 7 · small · look · 0.75 GFLOP · liver 1.92 cm²")
    assert place_cells.slice_text(rows, 0, "brightest") == "slice 11 · leave · small · 0.75 GFLOP"


def test_every_step_has_a_row_of_cells() -> None:
    trace = made_trace()
    cells = place_cells.cells(trace, along_slices(trace, 0), "steps:changed_voxels")
    assert cells is not None
    assert cells.colours.shape == (2, 12, 3)  # the first step is compared with nothing, and left out
    assert cells.row_names == ("2", "3")
    assert cells.limits[0] == "0"


def test_areas_are_in_square_centimetres_and_only_of_labels_that_occur() -> None:
    trace = made_trace()
    lines = place_cells.areas(along_slices(trace, 2), {1: (1.0, 0.0, 0.0)})
    assert [line.name for line in lines] == ["liver", "spleen"]
    assert lines[0].values.max() == pytest.approx(1.92)
    assert lines[0].values[0] == 0.0  # the superior slice


def test_unknown_values_are_dark_and_left_out_of_the_text() -> None:
    trace = made_trace()
    row = next(row for row in along_slices(trace, 2) if row.name == "choice")
    row = replace(row, values=np.where(np.arange(12) < 6, np.nan, 1).astype(np.float32))
    cells = place_cells.index_cells(trace, row)
    assert tuple(cells.colours[0, -1]) == tuple(int(255 * part) for part in UNKNOWN)
    assert [entry.text for entry in cells.entries] == ["look 6 (100 %)"]
    assert place_cells.slice_text([row], 0) == "slice 11"
    assert math.isnan(row.values[0])
