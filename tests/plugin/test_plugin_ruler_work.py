"""What the rulers compute in threads: changes, surfaces, Dice, thumbnails; and the queue that runs it."""

from __future__ import annotations

import statistics
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxtrace.errors import Cancelled
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.plugin.models.thumbnails import colour_table, whole
from voxtrace.plugin.work.film import FilmRequest, film
from voxtrace.plugin.work.lane_counts import (
    changes,
    changes_between,
    count_changes,
    dice_of_stations,
    near_surface,
    surface_shares,
    unlike_per_slice,
)
from voxtrace.plugin.work.station_planes import edited_pair


def never() -> bool:
    return False


@pytest.fixture
def labels() -> Any:
    """Two steps in 20 planes: a cube of 1, then one of its planes becomes 2, one is lost, and one voxel is gained."""
    found = np.zeros((2, 20, 8, 8), np.uint8)
    found[0, 5:11, 2:6, 2:6] = 1
    found[1] = found[0]
    found[1, 5] = np.where(found[0, 5], 2, 0)
    found[1, 10] = 0
    found[1, 15, 7, 0] = 1
    return found


def test_changes_are_told_apart(labels: Any) -> None:
    counted = count_changes(labels, never)
    assert counted.changes.gained.tolist() == [96, 1]
    assert counted.changes.lost.tolist() == [0, 16]
    assert counted.changes.moved.tolist() == [0, 16]
    assert counted.extent == (5, 2, 0, 16, 8, 6)
    assert changes(labels[0], labels[1]) == (1, 16, 16)


def test_stations_are_read_superior_first_whatever_is_painted(labels: Any) -> None:
    stations = StepArray(labels)
    assert edited_pair(stations) is None
    stations[1, 0, 0, 0] = 2
    pair = edited_pair(stations)
    assert pair is not None
    before, now = pair
    assert (before[2:9] == labels[1, ::-1][2:9]).all()
    assert changes_between(before, now, never) == (1, 0, 0)
    with stations.held():  # while a stroke is drawn every station shows the edited labels
        assert changes_between(before, now, never) == (1, 0, 0)


def test_an_empty_trace_has_no_extent() -> None:
    assert count_changes(np.zeros((2, 3, 4, 5), np.uint8), never).extent == (0, 0, 0, 0, 0, 0)


def test_counting_stops_when_it_is_cancelled(labels: Any) -> None:
    with pytest.raises(Cancelled):
        count_changes(labels, lambda: True)


def test_near_the_surface_is_within_two_voxels_of_a_border() -> None:
    block = np.zeros((1, 1, 12), np.uint8)
    block[..., 6:] = 1
    assert near_surface(block)[0, 0].tolist() == [False] * 4 + [True] * 4 + [False] * 4


def test_a_step_like_the_last_does_not_disagree(labels: Any) -> None:
    first, last = surface_shares([labels], never)
    assert last == 0
    band = near_surface(labels[1])
    assert first == pytest.approx(np.count_nonzero((labels[0] != labels[1]) & band) / np.count_nonzero(band))
    assert first > 0


def test_rows_are_compared_with_the_first_at_the_same_step(labels: Any) -> None:
    same, other = labels.copy(), labels.copy()
    assert surface_shares([labels, same], never).tolist() == [0, 0]
    other[1, 7, 2, 2] = 0  # a corner, on the surface
    share = surface_shares([labels, same, other], never)
    assert share[0] == 0
    assert share[1] == pytest.approx(1 / np.count_nonzero(near_surface(labels[1])))


def test_slices_are_counted_where_any_other_differs(labels: Any) -> None:
    same, other = labels[0].copy(), labels[0].copy()
    other[7, 2:4, 2] = 0
    found = unlike_per_slice(labels[0], [same, other, labels[1]], never)
    assert {z: int(n) for z, n in enumerate(found) if n} == {5: 16, 7: 2, 10: 16, 15: 1}


def test_dice_is_that_of_each_station(labels: Any) -> None:
    found = dice_of_stations([labels[0], labels[1]], labels[0], never)
    assert found[1][0] == 1.0
    assert found[1][1] == pytest.approx(2 * 64 / (96 + 65))
    assert np.isnan(found[2][0])  # absent in both
    assert found[2][1] == 0.0


def request(rows: list[StepArray], axis: int, index: int, scan: Any, wanted: Any = ((0, 0),)) -> FilmRequest:
    shape = [n for a, n in enumerate(rows[0].shape[1:]) if a != axis]
    table = colour_table({1: (1.0, 0.0, 0.0), 2: (0.0, 1.0, 0.0)})
    crop = whole((shape[0], shape[1]))
    return FilmRequest(rows, wanted, axis, index, scan, (0.0, 100.0), crop, (1.0, 1.0), (64, 64), table)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thumbnails_show_the_plane_that_the_viewer_shows(labels: Any, axis: int) -> None:
    stations = StepArray(labels)
    index = 12 if axis == 0 else 3
    picture = film(request([stations], axis, index, None, ((0, 1),)), never)[0, 1]
    plane = stations[1].take(index, axis)  # display space: superior first
    height, width = picture.shape[:2]
    drawn = (picture.astype(int).max(-1) - picture.astype(int).min(-1)) > 20
    rows = ((np.arange(height) + 0.5) * plane.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * plane.shape[1] / width).astype(int)
    assert (drawn == (plane[np.ix_(rows, columns)] > 0)).all()


def test_seven_thumbnails_of_a_large_trace_on_disk_take_less_than_33_ms(tmp_path: Path) -> None:
    import zarr

    shape, depth = (7, 24, 512, 512), 8  # 24 of the 300 planes: a chunk is as large, and the rest is not read
    stored = zarr.create_array(tmp_path / "labels", shape=shape, chunks=(1, depth, 512, 512), dtype=np.uint8)
    block = np.zeros(shape[1:], np.uint8)
    block[:, 100:400, 120:420] = 1
    block[:, 200:300, 200:300] = 2
    for step in range(shape[0]):
        stored[step] = np.roll(block, step, axis=2)
    scan = np.zeros(shape[1:], np.int16)
    wanted = tuple((0, k) for k in range(shape[0]))
    times = []
    for index in range(shape[1]):
        start = time.perf_counter()
        assert len(film(request([StepArray(stored)], 0, index, scan, wanted), never)) == 7
        times.append(time.perf_counter() - start)
    # They are drawn in a thread, so the window does not wait; twice the aim allows for a busy machine.
    assert statistics.median(times) < 2 * 0.033, f"{1000 * statistics.median(times):.1f} ms"


def test_the_queue_runs_only_the_latest_of_each_kind(qtbot: Any) -> None:
    from voxtrace.plugin.work.latest_queue import LatestQueue

    queue, go, seen = LatestQueue(), threading.Event(), []
    queue.submit("film", lambda cancel: go.wait(5) and "first", seen.append)
    for number in range(5):
        queue.submit("film", lambda cancel, n=number: n, seen.append)
    go.set()
    qtbot.waitUntil(lambda: len(seen) == 2, timeout=5_000)
    assert seen == ["first", 4]
    qtbot.waitUntil(lambda: not queue.busy, timeout=5_000)
    assert not [t for t in threading.enumerate() if t.name == "voxtrace-rulers"]


def test_results_of_an_earlier_layer_are_dropped(qtbot: Any) -> None:
    from voxtrace.plugin.work.latest_queue import LatestQueue

    queue, go, seen = LatestQueue(), threading.Event(), []
    queue.submit("rows", lambda cancel: go.wait(5), lambda result: seen.append("old"))
    queue.clear()
    go.set()
    queue.submit("rows", lambda cancel: None, lambda result: seen.append("new"))
    qtbot.waitUntil(lambda: bool(seen), timeout=5_000)
    qtbot.wait(50)
    assert seen == ["new"]


def test_a_failure_is_logged_and_the_queue_goes_on(qtbot: Any, caplog: pytest.LogCaptureFixture) -> None:
    from voxtrace.plugin.work.latest_queue import LatestQueue

    queue, seen = LatestQueue(), []

    def broken(cancel: Any) -> None:
        raise ValueError("a damaged chunk")

    queue.submit("film", broken, seen.append)
    queue.submit("other", lambda cancel: "fine", seen.append)
    qtbot.waitUntil(lambda: seen == ["fine"], timeout=5_000)
    assert "could not compute" in caplog.text
