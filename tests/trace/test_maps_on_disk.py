"""Maps and facts per slice of a trace: stored, loaded and summarised."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxtrace.errors import GeometryError, ReadError
from voxtrace.trace import Recorder, Trace
from voxtrace.trace.plane_writer import chunk_depth
from voxtrace.volume import Array, Geometry

NAMES = {0: "background", 1: "liver"}
NAN = float("nan")


def drawn() -> Trace:
    """Two steps over 2 × 1 × 3 voxels, a map in degrees, and two numbers per slice."""
    labels = np.array([[[[1, 1, 0]], [[0, 0, 0]]], [[[1, 0, 0]], [[0, 0, 1]]]], np.uint8)
    heat = np.array([[[[1, 2, NAN]], [[3, 4, 5]]], [[[NAN] * 3], [[-1, 0, NAN]]]], np.float32)
    return Trace(
        labels=labels,
        facts={"entropy": np.array([[1.0], [2.0]], np.float32)},
        windows=np.array([[0, 0, 0, 2, 1, 3]]),
        units={"entropy": "nat", "heat": "degree", "cost": "GFLOP", "action": "index"},
        geometry=Geometry.from_spacing((2, 1, 3), (1.0, 1.0, 1.0)),
        names=NAMES,
        slice_facts={
            "cost": np.array([[1, NAN], [2, 4]], np.float32),
            "action": np.array([[0, 1], [1, 3]], np.float32),
        },
        maps={"heat": heat},
    )


def values(array: object) -> Array:
    return np.asarray(array[:])  # type: ignore[index]


def test_the_range_of_a_map_leaves_out_what_is_not_a_number() -> None:
    assert drawn().map_ranges()["heat"].tolist() == [[1, 5], [-1, 0]]
    empty = replace(drawn(), maps={"heat": np.full((2, 2, 1, 3), NAN, np.float32)})
    assert np.isnan(empty.map_ranges()["heat"]).all()
    assert empty.summary()[0]["maps"] == {"heat": [None, None]}


def test_a_summary_tells_means_over_slices_and_ranges_of_maps() -> None:
    rows = drawn().summary()
    assert [row["slice_facts"] for row in rows] == [{"cost": 1.0}, {"cost": 3.0}]  # an action is not averaged
    assert [row["maps"] for row in rows] == [{"heat": [1.0, 5.0]}, {"heat": [-1.0, 0.0]}]


def test_maps_and_slice_facts_come_back_as_they_were_saved(tmp_path: Path) -> None:
    trace = drawn()
    folder = trace.save(tmp_path / "case.trace")
    back = Trace.load(folder)
    assert np.array_equal(values(back.maps["heat"]), trace.maps["heat"], equal_nan=True)
    assert back.maps["heat"].dtype == np.float32
    for name, expected in trace.slice_facts.items():
        assert np.array_equal(back.slice_facts[name], expected, equal_nan=True)
    assert back.units == trace.units
    assert back.summary() == trace.summary()
    assert (folder / "maps" / "heat.zarr").is_dir()
    again = Trace.load(back.save(tmp_path / "copy.trace"))
    assert np.array_equal(values(again.maps["heat"]), trace.maps["heat"], equal_nan=True)


@pytest.mark.parametrize("stored", [False, True])
def test_recording_plane_by_plane_gives_the_same_maps(tmp_path: Path, stored: bool) -> None:
    whole = drawn()
    recorder = Recorder(2, whole.geometry, NAMES, tmp_path if stored else None, maps=["heat"])
    for z in range(2):
        recorder.add(whole.labels[:, z : z + 1], values(whole.maps["heat"])[:, None, z : z + 1])
    trace = recorder.finish(
        whole.facts, whole.windows, whole.units, "step", (2, 1, 3), {"cost": whole.slice_facts["cost"]}
    )
    assert np.array_equal(values(trace.maps["heat"]), whole.maps["heat"], equal_nan=True)
    assert trace.map_ranges()["heat"].tolist() == [[1, 5], [-1, 0]]
    assert trace.slice_facts["changed_voxels"].tolist() == [[2, 0], [1, 1]]
    assert trace.units["changed_voxels"] == "voxel"
    assert [row["changed_voxels"] for row in trace.summary()] == [2, 2]


def test_changed_voxels_are_unknown_where_only_the_last_step_was_kept() -> None:
    whole = drawn()
    recorder = Recorder(1, whole.geometry, NAMES)
    recorder.add(whole.labels[-1:])
    trace = recorder.finish(whole.facts, whole.windows, {"entropy": "nat"}, "step", (2, 1, 3))
    assert (trace.n_steps, trace.slice_facts, trace.units) == (2, {}, {"entropy": "nat"})


def test_maps_are_stored_in_chunks_of_planes(tmp_path: Path) -> None:
    shape = (9, 300, 400)
    geometry = Geometry.from_spacing(shape, (1.0, 1.0, 1.0))
    recorder = Recorder(1, geometry, NAMES, tmp_path, maps=["heat"])
    planes = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for z in range(9):
        recorder.add(np.zeros((1, 1, *shape[1:]), np.uint8), planes[None, None, z : z + 1])
    trace = recorder.finish({}, np.zeros((0, 6), int), {"heat": "degree"}, "step", shape)
    depth = chunk_depth(shape, itemsize=4)
    assert (depth, trace.maps["heat"].chunks) == (4, (1, 4, 300, 400))  # 480 kB a plane, 2 MB a chunk
    assert np.array_equal(values(trace.maps["heat"])[0], planes)


def test_traces_of_earlier_versions_load(tmp_path: Path) -> None:
    folder = replace(drawn(), maps={}, slice_facts={}).save(tmp_path / "case.trace")
    record = json.loads((folder / "trace.json").read_text())
    for name in ("maps", "slice_facts"):
        del record[name]
    (folder / "trace.json").write_text(json.dumps(record))
    back = Trace.load(folder)
    assert (back.maps, back.slice_facts, back.map_ranges()) == ({}, {}, {})
    assert [set(row) & {"maps", "slice_facts"} for row in back.summary()] == [set(), set()]
    assert np.array_equal(values(back.labels), drawn().labels)


def test_a_missing_map_is_a_damaged_trace(tmp_path: Path) -> None:
    folder = drawn().save(tmp_path / "case.trace")
    (folder / "maps" / "heat.zarr").rename(tmp_path / "gone")
    with pytest.raises(ReadError, match="damaged"):
        Trace.load(folder)


def test_maps_and_slice_facts_must_fit_the_labels() -> None:
    with pytest.raises(GeometryError, match=r"map heat has shape \(1, 2, 1, 3\); expected \(2, 2, 1, 3\)"):
        replace(drawn(), maps={"heat": np.zeros((1, 2, 1, 3), np.float32)})
    with pytest.raises(GeometryError, match=r"slice fact cost has shape \(2, 3\); expected \(2, 2\)"):
        replace(drawn(), slice_facts={"cost": np.zeros((2, 3), np.float32)})
