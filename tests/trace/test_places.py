"""Facts along slices, their shares and costs, and windows in groups."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from made_traces import made_trace
from voxtrace.trace import Trace
from voxtrace.trace.places import PlaceRow, along_slices, cost_sentence, shares, window_groups
from voxtrace.volume import Geometry


def row(trace: Trace, name: str, step: int = 0) -> PlaceRow:
    (found,) = [row for row in along_slices(trace, step) if row.name == name]
    return found


def test_every_fact_of_slices_and_windows_and_every_label_has_a_row() -> None:
    rows = along_slices(made_trace(), 0)
    assert [(r.name, r.kind, r.unit) for r in rows] == [
        ("choice", "slice fact", "index"),
        ("brightest", "slice fact", "HU"),
        ("changed_voxels", "slice fact", "voxel"),
        ("changed_fraction", "window fact", "fraction"),
        ("branch", "window fact", "index"),
        ("cost_gflop", "window fact", "GFLOP"),
        ("area 1", "area", "mm²"),
        ("area 2", "area", "mm²"),
    ]
    assert [r.title for r in rows[-3:]] == ["cost gflop", "liver", "spleen"]
    assert {r.values.shape for r in rows} == {(12,)}


def test_window_facts_are_spread_over_the_slices_that_windows_cover() -> None:
    # Two windows over each half: costs 0.25 and 1.25, then 4.25 and 1.25; branches 0 and 1, then 2 and 1.
    assert row(made_trace(), "cost_gflop").values.tolist() == [0.75] * 6 + [2.75] * 6
    assert row(made_trace(), "branch").values.tolist() == [1.0] * 6 + [2.0] * 6


def test_windows_of_another_grid_cover_slices_by_their_centres() -> None:
    # Network planes 0-2 and 3-4 of 6 cover input planes 0 to 5.5 and 5.5 to 9.5 of 12: centres 0 … 5 and 6 … 9.
    windows = np.array([(0, 0, 0, 3, 1, 1), (3, 0, 0, 5, 1, 1)])
    facts = {"level": np.float32([[1, 5]])}
    trace = replace(made_trace(1), windows=windows, facts=facts, network_shape=(6, 1, 1))
    values = row(trace, "level").values
    assert values[:10].tolist() == [1] * 6 + [5] * 4
    assert np.isnan(values[10:]).all()


def test_a_window_thinner_than_a_slice_counts_for_the_nearest_one() -> None:
    windows = np.array([(n, 0, 0, n + 1, 1, 1) for n in range(36)])  # three network planes a slice
    trace = replace(
        made_trace(1), windows=windows, facts={"n": np.arange(36, dtype=np.float32)[None]}, network_shape=(36, 1, 1)
    )
    assert row(trace, "n").values.tolist() == [3 * z + 1.0 for z in range(12)]


def test_areas_are_in_square_millimetres() -> None:
    trace = made_trace()
    expected = [np.count_nonzero(plane == 1) * 4.0 for plane in np.asarray(trace.labels[2])]
    assert row(trace, "area 1", step=2).values.tolist() == expected
    assert row(trace, "area 1", step=7).values.tolist() == expected  # beyond the last step it stays


def test_of_a_trace_with_its_last_step_alone_the_last_facts_are_shown() -> None:
    whole = made_trace()
    slices = {name: values[-1:] for name, values in whole.slice_facts.items()}
    last = replace(whole, labels=whole.labels[-1:], slice_facts=slices, maps={}, extras={}, members={})
    for name in ("changed_fraction", "brightest", "area 2"):
        assert np.array_equal(row(last, name).values, row(whole, name, step=2).values, equal_nan=True)


def test_shares_count_the_slices_of_each_value() -> None:
    trace = made_trace()
    assert [(s.name, s.slices, s.fraction) for s in shares(row(trace, "choice"))] == [
        ("leave", 3, 0.25),
        ("look", 9, 0.75),
    ]
    assert shares(row(trace, "brightest")) == ()


def test_the_cost_is_compared_with_the_costliest_value_everywhere() -> None:
    trace = made_trace()
    # 0.25 + 1.25 + 4.25 + 1.25 = 7 GFLOP were spent; the large branch on four windows is 16.
    assert cost_sentence(trace, row(trace, "branch")) == "2.29 times cheaper than large everywhere"
    unmeasured = replace(trace, facts={"branch": trace.facts["branch"]})
    assert cost_sentence(unmeasured, row(unmeasured, "branch")) == "2.67 times cheaper than large everywhere"
    always = replace(trace, facts={"branch": np.full((3, 4), 2, np.float32)})
    assert cost_sentence(always, row(always, "branch")) == "as costly as large everywhere"
    assert cost_sentence(trace, row(trace, "choice")) == ""
    assert cost_sentence(trace, row(trace, "brightest")) == ""


def test_windows_are_grouped_by_value_and_by_what_became_of_them() -> None:
    groups = window_groups(made_trace())
    assert [(g.name, g.fact, g.value, len(g.boxes)) for g in groups] == [
        ("none", "branch", 0, 1),
        ("small", "branch", 1, 2),
        ("large", "branch", 2, 1),
        ("skipped", "", None, 1),
        ("discarded", "", None, 1),
    ]
    assert groups[3].boxes.tolist() == [[-0.5, -0.5, -0.5, 1.5, 15.5, 3.5]]


def test_without_an_index_fact_windows_were_visited_unless_discarded() -> None:
    groups = window_groups(replace(made_trace(), units={}))
    assert [(g.name, len(g.boxes)) for g in groups] == [("visited", 3), ("skipped", 1), ("discarded", 1)]


def test_a_large_trace_takes_milliseconds() -> None:
    # 512 × 512 × 300 with 7 steps and 20,000 windows; the labels are not read.
    shape, n_windows, n_labels = (300, 512, 512), 20_000, 6
    labels = np.broadcast_to(np.uint8(0), (7, *shape))
    rng = np.random.default_rng(0)
    corners = rng.integers(0, (268, 400, 400), (n_windows, 3))
    trace = Trace(
        labels,
        {"branch": rng.integers(0, 5, (7, n_windows)).astype(np.float32), "level": rng.random((7, n_windows))},
        np.concatenate([corners, np.add(corners, (32, 112, 112))], 1),
        {"branch": "index"},
        Geometry.from_spacing(shape, (1.0, 1.0, 1.0)),
        {k: f"label {k}" for k in range(n_labels)},
        network_shape=shape,
        areas=np.zeros((7, 300, n_labels), np.int32),
    )
    seconds = []
    for step in range(7):
        began = time.perf_counter()
        assert len(along_slices(trace, step)) == 2 + 5
        seconds.append(time.perf_counter() - began)
    assert float(np.median(seconds)) < 0.1  # 4 ms on an idle machine


@pytest.mark.parametrize("step", [0, 2])
def test_areas_are_counted_where_a_trace_does_not_hold_them(step: int) -> None:
    trace = made_trace()
    with_areas = replace(trace, areas=trace.label_areas())
    assert np.array_equal(row(trace, "area 2", step).values, row(with_areas, "area 2", step).values)
