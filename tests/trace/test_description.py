"""What a trace tells beside its numbers, in memory and on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from made_traces import made_trace, node_chart
from voxtrace.errors import GeometryError
from voxtrace.trace import NodeChart, Provenance, Trace


def test_everything_is_stored_and_loaded(tmp_path: Path) -> None:
    trace = made_trace()
    loaded = Trace.load(trace.save(tmp_path / "case.trace"))
    assert loaded.value_names == trace.value_names
    assert loaded.value_costs == trace.value_costs
    assert loaded.provenance == trace.provenance
    assert loaded.window_sets.keys() == trace.window_sets.keys()
    for name, boxes in trace.window_sets.items():
        assert np.array_equal(loaded.window_sets[name], boxes)
    (chart,), (kept,) = trace.charts, loaded.charts
    assert (kept.title, kept.unit, kept.rows, kept.columns, kept.series) == (
        chart.title,
        chart.unit,
        chart.rows,
        chart.columns,
        chart.series,
    )
    assert np.array_equal(kept.values, chart.values, equal_nan=True)
    assert np.array_equal(loaded.label_areas(), trace.label_areas())
    assert list(loaded.members) == ["seed 0", "seed 1"]
    for name, member in trace.members.items():
        assert np.array_equal(loaded.members[name][:], member)
    assert np.array_equal(loaded.extras["draft"][:], trace.extras["draft"])
    assert np.array_equal(loaded.maps["heat"][:], trace.maps["heat"], equal_nan=True)


def test_a_trace_of_an_earlier_version_loads_without_them(tmp_path: Path) -> None:
    trace = made_trace()
    folder = trace.save(tmp_path / "case.trace")
    record = json.loads((folder / "trace.json").read_text())
    for name in ("value_names", "value_costs", "members", "charts", "window_sets", "provenance"):
        del record[name]
    (folder / "trace.json").write_text(json.dumps(record))
    (folder / "areas.zarr").rename(tmp_path / "areas.zarr")
    loaded = Trace.load(folder)
    assert (loaded.value_names, loaded.members, loaded.charts, loaded.window_sets) == ({}, {}, (), {})
    assert loaded.provenance == Provenance()
    assert np.array_equal(loaded.label_areas(), trace.label_areas())


def test_rows_are_the_answer_then_extras_then_members() -> None:
    trace = made_trace()
    assert [(row.name, row.kind) for row in trace.rows] == [
        ("answer", "answer"),
        ("draft", "extra"),
        ("seed 0", "member"),
        ("seed 1", "member"),
    ]
    assert trace.rows[0].labels is trace.labels
    assert trace.rows[3].labels is trace.members["seed 1"]


def test_names_that_no_file_may_have_are_stored_all_the_same(tmp_path: Path) -> None:
    trace = made_trace()
    names = ["noisy · liver/spleen", 'a:b*"c"', "100%"]
    renamed = Trace(
        trace.labels, {}, trace.windows, {}, trace.geometry, trace.names, members=dict.fromkeys(names, trace.labels)
    )
    assert list(Trace.load(renamed.save(tmp_path / "case.trace")).members) == names


def test_a_member_of_another_shape_is_refused() -> None:
    trace = made_trace()
    with pytest.raises(GeometryError, match="member seed 3 has shape"):
        Trace(trace.labels, {}, trace.windows, {}, trace.geometry, trace.names, members={"seed 3": trace.labels[:1]})


def test_a_chart_needs_a_number_for_each_name() -> None:
    chart = node_chart()
    with pytest.raises(GeometryError, match=r"expected \(2, 2, 1\)"):
        NodeChart(chart.title, chart.unit, chart.rows, chart.columns, ("same",), chart.values)
