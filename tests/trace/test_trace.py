"""Traces: summarise, settle, store and load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxtrace.errors import GeometryError, OutputError, ReadError
from voxtrace.passport import Finding, Passport
from voxtrace.trace import Recorder, Trace
from voxtrace.volume import Geometry, Grid

NAMES = {0: "background", 1: "liver", 2: "spleen"}
STORED = Grid((3, 1, 2), (1.0, 10.0, 100.0), (-4.5, 0.1, 7.0), (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0))


def drawn() -> Trace:
    """Three steps over 2 × 1 × 3 voxels of 1 mL."""
    steps = [
        [[[1, 1, 0]], [[0, 0, 0]]],
        [[[1, 2, 0]], [[0, 0, 1]]],
        [[[1, 2, 0]], [[0, 0, 2]]],
    ]
    plain = Geometry.from_spacing((2, 1, 3), (10.0, 10.0, 10.0))
    facts = {"entropy": np.array([[3, 1], [2, np.nan], [1, 0]], np.float32)}
    return Trace(
        labels=np.array(steps, np.uint8),
        facts=facts,
        windows=np.array([[0, 0, 0, 2, 1, 2], [0, 0, 1, 2, 1, 3]]),
        units={"entropy": "nat"},
        geometry=Geometry(plain.shape, plain.affine, STORED),
        names=NAMES,
        step_word="cycle",
        network_shape=(2, 1, 3),
        passport=Passport((Finding("units", "corrected", "metres", "converted to mm"),)),
    )


def test_settled_at_is_the_last_step_that_changed_a_voxel() -> None:
    assert drawn().settled_at().tolist() == [[[0, 1, 0]], [[0, 0, 2]]]


def test_the_first_step_is_compared_with_background() -> None:
    assert [row["changed_voxels"] for row in drawn().summary()] == [2, 2, 1]


def test_summary_gives_volumes_in_ml_and_mean_facts() -> None:
    rows = drawn().summary()
    volumes = [row["volume_ml"] for row in rows]
    assert volumes == [pytest.approx(v) for v in ({1: 2.0, 2: 0.0}, {1: 2.0, 2: 1.0}, {1: 1.0, 2: 2.0})]
    assert [row["entropy"] for row in rows] == [2.0, 2.0, 0.5]  # NaN does not count
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert rows[2]["changed_fraction"] == pytest.approx(1 / 6)


def test_entropy_is_told_for_each_labelled_voxel_of_a_step_that_was_kept() -> None:
    """6 voxels of which 2, 3 and 3 have a label, and mean entropies of 2, 2 and 0.5."""
    trace = drawn()
    assert [row["entropy_per_found"] for row in trace.summary()] == pytest.approx([6.0, 4.0, 1.0])
    last = replace(trace, labels=trace.labels[-1:], settled=None, step_counts=None)
    assert ["entropy_per_found" in row for row in last.summary()] == [False, False, True]
    empty = replace(trace, labels=np.zeros_like(trace.labels), settled=None, step_counts=None)
    assert all("entropy_per_found" not in row for row in empty.summary())


def test_a_number_that_names_something_is_not_averaged() -> None:
    trace = drawn()
    named = replace(trace, units={**trace.units, "entropy": "index"})
    assert "entropy" not in named.summary()[0]


def test_boxes_lie_on_the_borders_of_input_voxels() -> None:
    assert drawn().boxes()[0].tolist() == [-0.5, -0.5, -0.5, 1.5, 0.5, 1.5]


def test_a_trace_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    trace = drawn()
    back = Trace.load(trace.save(tmp_path / "case.trace"))
    assert np.array_equal(back.labels[:], trace.labels)
    assert back.labels.dtype == np.uint8
    assert (back.geometry, back.geometry.stored) == (trace.geometry, STORED)
    assert (back.names, back.units, back.step_word) == (trace.names, trace.units, trace.step_word)
    assert back.network_shape == trace.network_shape
    assert back.passport == trace.passport
    assert np.array_equal(back.facts["entropy"], trace.facts["entropy"], equal_nan=True)
    assert np.array_equal(back.windows, trace.windows)
    assert back.summary() == trace.summary()
    assert np.array_equal(back.settled_at(), trace.settled_at())


def test_saving_over_a_trace_replaces_it_whole(tmp_path: Path) -> None:
    folder = tmp_path / "case.trace"
    (folder / "old").mkdir(parents=True)
    drawn().save(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["areas.zarr", "labels.zarr", "settled.zarr", "trace.json"]
    assert Trace.load(folder).save(folder) == folder


def test_a_loaded_trace_can_be_saved_elsewhere(tmp_path: Path) -> None:
    back = Trace.load(drawn().save(tmp_path / "a"))
    assert np.array_equal(Trace.load(back.save(tmp_path / "b")).labels[:], drawn().labels)


def test_nothing_is_left_where_saving_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        drawn().save(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("missing", ["trace.json", "labels.zarr", "settled.zarr"])
def test_an_incomplete_folder_is_not_a_trace(tmp_path: Path, missing: str) -> None:
    folder = drawn().save(tmp_path / "case.trace")
    (folder / missing).rename(tmp_path / "gone")
    with pytest.raises(ReadError, match=missing):
        Trace.load(folder)


@pytest.mark.parametrize("text", ["", "{}", '{"format": "something else"}'])
def test_a_damaged_record_is_refused(tmp_path: Path, text: str) -> None:
    folder = drawn().save(tmp_path / "case.trace")
    (folder / "trace.json").write_text(text)
    with pytest.raises(ReadError, match="damaged"):
        Trace.load(folder)


def test_labels_must_fit_the_geometry() -> None:
    with pytest.raises(GeometryError, match="expected"):
        Trace(np.zeros((2, 1, 3), np.uint8), {}, np.zeros((0, 6)), {}, drawn().geometry, NAMES)


@pytest.mark.parametrize("stored", [False, True])
def test_recording_plane_by_plane_gives_the_same_trace(tmp_path: Path, stored: bool) -> None:
    whole = drawn()
    recorder = Recorder(3, whole.geometry, NAMES, tmp_path if stored else None)
    for z in range(2):
        recorder.add(whole.labels[:, z : z + 1])
    trace = recorder.finish(whole.facts, whole.windows, whole.units, "cycle", (2, 1, 3))
    assert np.array_equal(trace.labels[:], whole.labels)
    assert np.array_equal(recorder.answer, whole.labels[-1])
    assert np.array_equal(trace.settled_at(), whole.settled_at())
    assert trace.summary() == whole.summary()


@pytest.mark.parametrize(("steps", "kind"), [(256, np.uint8), (300, np.uint16)])
@pytest.mark.parametrize("stored", [False, True])
def test_any_number_of_steps_is_kept(tmp_path: Path, stored: bool, steps: int, kind: type) -> None:
    """Of three voxels one changes at the first step, one at the last, and one where the answer is replaced."""
    geometry = Geometry.from_spacing((1, 1, 3), (1.0, 1.0, 1.0))
    planes = np.ones((steps, 1, 1, 3), np.uint8)
    planes[:-1, 0, 0, 1] = 2
    recorder = Recorder(steps, geometry, NAMES, tmp_path / "a" if stored else None)
    recorder.add(planes)
    recorder.replace_answer(np.array([[[1, 1, 0]]], np.uint8))
    trace = recorder.finish({}, np.zeros((0, 6), np.int64), {}, "step", (1, 1, 3))
    for one in (trace, Trace.load(trace.save(tmp_path / "b"))):
        assert one.settled_at().tolist() == [[[0, steps - 1, steps - 1]]]
        assert one.settled_at().dtype == kind
        assert np.array_equal(replace(one, settled=None).settled_at(), one.settled_at())


def test_the_last_step_alone_still_tells_of_every_step() -> None:
    whole = drawn()
    last = Trace(whole.labels[-1:], whole.facts, whole.windows, whole.units, whole.geometry, NAMES)
    assert (last.n_steps, last.complete) == (3, False)
    rows = last.summary()
    assert [row["entropy"] for row in rows] == [2.0, 2.0, 0.5]
    assert ["volume_ml" in row for row in rows] == [False, False, True]
