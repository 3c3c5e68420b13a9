"""The array that a layer with steps shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from voxtrace.plugin.layers.step_array import StepArray

SHAPE = (3, 5, 6, 7)


def steps() -> Any:
    return np.random.default_rng(1).integers(0, 3, SHAPE, dtype=np.uint8)


@pytest.fixture(params=["memory", "disk"])
def array(request: pytest.FixtureRequest, tmp_path: Path) -> StepArray:
    values = steps()
    if request.param == "memory":
        return StepArray(values)
    stored = zarr.create_array(tmp_path / "labels.zarr", shape=SHAPE, chunks=(1, 2, 6, 7), dtype="uint8")
    stored[:] = values
    return StepArray(stored)


VOXELS = (np.array([0, 2, 1]), np.array([4, 0, 3]), np.array([1, 2, 3]), np.array([6, 0, 2]))


@pytest.mark.parametrize(
    "key",
    [
        0,
        (2, 4),
        (1, slice(None), 3),
        (1, slice(1, 4), slice(2, 5), 6),
        (slice(None), 2),
        (slice(0, 2), slice(None), slice(None), 1),
        (..., 3),
        (0, slice(None, None, 2), slice(None), slice(None)),
        VOXELS,
        (1, *VOXELS[1:]),
        slice(None),
        (np.int64(1), np.int64(2), np.int64(3), np.int64(4)),
    ],
    ids=str,
)
def test_it_reads_as_the_flipped_array_does(array: StepArray, key: Any) -> None:
    np.testing.assert_array_equal(array[key], steps()[:, ::-1][key])


def test_stations_beyond_the_last_give_the_last_answer(array: StepArray) -> None:
    longer = StepArray(array.steps, length=7)
    assert longer.shape == (7, *SHAPE[1:])
    np.testing.assert_array_equal(longer[6, 2], steps()[2, ::-1][2])


def test_painting_makes_an_edited_copy_and_leaves_the_steps_alone(array: StepArray) -> None:
    started: list[int] = []
    array.edit_started.connect(started.append)
    array[tuple(index[:1] for index in VOXELS)] = 9
    assert started == [0]
    assert array.shape == (4, *SHAPE[1:])
    expected = steps()[0, ::-1].copy()
    expected[4, 1, 6] = 9
    np.testing.assert_array_equal(array[3], expected)
    np.testing.assert_array_equal(array[:3], steps()[:, ::-1])


def test_voxels_of_the_edited_labels_are_counted() -> None:
    values = steps()
    counts = np.stack([np.bincount(one.ravel(), minlength=3) for one in values])
    array = StepArray(values, counts=counts)
    array[2, 1:3, 0:4, 2] = 4
    array[3, 0] = np.ones((6, 7), np.uint8)
    assert array.edited_counts is not None
    np.testing.assert_array_equal(array.edited_counts, np.bincount(array[3].ravel()))
