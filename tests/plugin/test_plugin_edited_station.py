"""Drawing on steps: napari's tools change a copy, every change can be undone, and the log tells of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.trace.edits import Edit, counted, load_edits, save_edits

SHAPE = (3, 5, 12, 14)
EDIT = Edit("2026-11-27T10:02:00+00:00", "paint", 1, "liver", 0, "cycle 2")


def described(drawn: Any) -> Edit:
    return replace(EDIT, voxels=len(drawn))


def steps() -> Any:
    values = np.zeros(SHAPE, np.uint8)
    for step in range(3):
        values[step, 1:4, 3 : 6 + step, 3:9] = 1
    return values


@pytest.fixture(params=["memory", "disk"])
def array(request: pytest.FixtureRequest, tmp_path: Path) -> StepArray:
    values = steps()
    if request.param == "memory":
        return StepArray(values)
    stored = zarr.create_array(tmp_path / "labels.zarr", shape=SHAPE, chunks=(1, 2, *SHAPE[2:]), dtype="uint8")
    stored[:] = values
    return StepArray(stored)


def test_what_is_read_can_be_written_to_without_changing_a_step(array: StepArray) -> None:
    for key in (0, (1, 2), (slice(None), 2), (2, 1, 3, slice(2, 5))):
        array[key][...] = 7
    array.start_edit(2)
    array[3, 1][...] = 7
    np.testing.assert_array_equal(array[:3], steps()[:, ::-1])
    np.testing.assert_array_equal(array[3], steps()[2, ::-1])


def test_a_stroke_is_one_change_that_can_be_undone_and_redone(array: StepArray) -> None:
    before = array[1]
    array[1, 2, 0:2, 0:3] = 1
    array[1, 2, 1:3, 0:3] = 2  # over a part of it
    after = array[3]
    change = array.note(described)
    assert change is not None
    assert change.edit.voxels == 9
    array[change] = change.before
    np.testing.assert_array_equal(array[3], before)
    assert array.edits == ()
    array[change] = change.after
    np.testing.assert_array_equal(array[3], after)
    assert counted(array.edits) == "1 edit on cycle 2"


def test_many_changes_stay_in_the_log_but_not_in_memory(array: StepArray) -> None:
    for number in range(230):
        array[1, 2, 0, 0] = 1 + number % 2
        array.note(described)
    assert len(array.edits) == 230
    assert len(array.changes) == 200


def test_a_stroke_that_changes_nothing_is_no_edit(array: StepArray) -> None:
    array[1, 2, 0, 0] = 2
    array[3, 2, 0, 0] = 0
    assert array.note(described) is None
    assert array.edits == ()


def test_drawing_on_another_step_adds_to_the_edited_labels_only_what_was_drawn(array: StepArray) -> None:
    array[0, 0, 0, 0] = 2
    region = array[2, 2, 0:12, 0:14]
    region[0, 0] = 1  # what napari does: it reads a region, draws, and writes the region back
    array[2, 2, 0:12, 0:14] = region
    expected = steps()[0, ::-1].copy()
    expected[0, 0, 0], expected[2, 0, 0] = 2, 1
    np.testing.assert_array_equal(array[3], expected)


def test_while_held_every_station_reads_as_the_edited_labels(array: StepArray) -> None:
    array[0, 0, 0, 0] = 2
    with array.held():
        np.testing.assert_array_equal(array[2], array[3])
    assert not np.array_equal(array[2], array[3])


def test_a_correction_by_index_counts_voxels_of_labels() -> None:
    values = steps()
    array = StepArray(values, counts=np.stack([np.bincount(one.ravel(), minlength=2) for one in values]))
    array.start_edit(2)
    where = np.flatnonzero(array[3].ravel() == 1)[:20]
    change = array.change(where, np.full(20, 3, np.uint8), EDIT)
    assert change.edit.voxels == 20
    assert array.edited_counts is not None
    np.testing.assert_array_equal(array.edited_counts, np.bincount(array[3].ravel()))
    array[change] = change.before
    np.testing.assert_array_equal(array.edited_counts[:2], np.bincount(values[2].ravel()))


def test_only_planes_that_are_drawn_on_are_read_from_disk() -> None:
    class Counting:
        shape, dtype = SHAPE, np.dtype(np.uint8)
        planes = 0

        def __getitem__(self, key: Any) -> Any:
            found = steps()[key]
            self.planes += found.size // (SHAPE[2] * SHAPE[3])
            return found

    stored = Counting()
    array = StepArray(stored)
    array.start_edit(2)
    assert stored.planes == 0
    with array.held():
        array[2, 1, 0:4, 0:4] = 2
    assert stored.planes == 1
    np.testing.assert_array_equal(array[3][2:], steps()[2, ::-1][2:])


def test_asking_for_the_type_of_a_station_reads_nothing() -> None:
    class Unread:
        shape, dtype = SHAPE, np.dtype(np.uint8)

        def __getitem__(self, key: Any) -> Any:
            raise AssertionError("nothing should be read")

    array = StepArray(Unread())
    assert (array[0].dtype, array[0].shape, len(array[0])) == (np.uint8, SHAPE[1:], SHAPE[1])


def test_a_station_behaves_as_an_array(array: StepArray) -> None:
    expected = steps()[0, ::-1]
    np.testing.assert_array_equal(array[0] == 1, expected == 1)
    np.testing.assert_array_equal(array[-2], steps()[1, ::-1])
    assert int(array[0].sum()) == int(expected.sum())
    assert np.count_nonzero(array[0]) == np.count_nonzero(expected)


def test_edits_come_back_from_the_traces_folder(tmp_path: Path, array: StepArray) -> None:
    array[1, 2, 0:2, 0:3] = 2
    array.note(described)
    edited = array.edited
    assert edited is not None
    save_edits(tmp_path / "a.trace", edited[::-1], array.edits, 1)
    back = load_edits(tmp_path / "a.trace")
    assert back is not None
    fresh = StepArray(steps())
    fresh.restore(np.asarray(back.labels[:]), back.edits, back.began)
    np.testing.assert_array_equal(fresh[3], edited)
    assert fresh.edits == array.edits
    assert load_edits(tmp_path) is None
