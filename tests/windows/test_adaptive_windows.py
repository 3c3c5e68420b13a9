"""The adaptive schedule: published starts, and which windows follow from what the centre shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from voxtrace.volume import Array, Shape
from voxtrace.windows import PUBLISHED_WINDOW, Adaptive, Decision, Window, regular, starts
from voxtrace.windows.adaptive import Centre

pytestmark = pytest.mark.numeric


P = PUBLISHED_WINDOW
FULL = np.ones(P, np.uint8)
Look = Callable[[Window], Array]


def visited(schedule: Adaptive, shape: Shape, look: Look = lambda _: FULL, window: Shape = P) -> list[list[Window]]:
    """Return the rows of a schedule where each window shows the labels that ``look`` gives."""
    task = schedule(shape, window, 0.5)
    rows = []
    row = next(task)
    try:
        while True:
            rows.append(list(row))
            row = task.send([Decision(w, {}, look(w)) for w in row])
    except StopIteration:
        return rows


def spots(n: int, window: Shape = P, label: int = 1) -> Array:
    """Return labels of a window with ``n`` foreground voxels."""
    labels = np.zeros(window, np.uint8)
    labels.reshape(-1)[:n] = label
    return labels


EVERY_14 = [0, 16, 31, 47, 62, 78, 93, 109, 125, 140, 156, 171, 187, 202, 218]


@pytest.mark.parametrize(
    ("shape", "z", "y", "x", "most"),
    [
        ((64, 337, 337), [0, 16, 32], [40, 104, 168], [0, 72, 145], 27),
        ((96, 337, 337), [0, 16, 32, 48, 64], [40, 104, 168], [0, 72, 145], 45),
        ((97, 337, 337), [0, 13, 26, 39, 52, 65], [72, 104, 136], [24, 72, 120], 30),
        ((250, 333, 333), EVERY_14, [70, 102, 134], [22, 70, 118], 75),
        ((100, 200, 250), [0, 14, 27, 41, 54, 68], [4, 36, 68], [0, 29, 58], 30),
    ],
)
def test_starts_are_the_published_ones(shape: Shape, z: list[int], y: list[int], x: list[int], most: int) -> None:
    windows = [w for row in visited(Adaptive(central_only=True), shape) for w in row]
    assert len(windows) == len(set(windows)) == most
    assert [sorted({w[axis] for w in windows}) for axis in range(3)] == [z, y, x]


@pytest.mark.parametrize(
    ("shape", "published", "even", "ours"),
    [((34, 337, 337), 18, 30, 30), ((64, 337, 337), 27, 45, 45), ((96, 400, 400), 45, 120, 125)],
)
def test_a_short_scan_full_of_anatomy_saves_windows_by_the_published_starts_alone(
    shape: Shape, published: int, even: int, ours: int
) -> None:
    """By default all of a wide axis is covered: the even lattice, and a centre where it has none of its own."""
    lattice = [w for row in regular(shape, P, 0.5) for w in row]
    adaptive = [
        [w for row in visited(schedule, shape) for w in row] for schedule in (Adaptive(central_only=True), Adaptive())
    ]
    assert [len(set(windows)) for windows in (adaptive[0], lattice, adaptive[1])] == [published, even, ours]
    assert set(lattice) <= {Window(*w) for w in adaptive[1]}


def test_the_centre_runs_first_and_its_neighbours_around_it() -> None:
    centre, around = visited(Adaptive(central_only=True), (32, 337, 337))
    assert centre == [Window(0, 104, 72)]
    assert isinstance(centre[0], Centre)
    ring = [(40, 0), (40, 72), (40, 145), (104, 0), (104, 145), (168, 0), (168, 72), (168, 145)]
    assert [(w.y, w.x) for w in around] == ring


def test_the_coarse_grid_is_a_centre_and_four_corners() -> None:
    centre, corners = visited(Adaptive(central_only=True), (97, 337, 337))[:2]
    assert centre == [(0, 104, 72)]
    assert corners == [(0, 72, 24), (0, 72, 120), (0, 136, 24), (0, 136, 120)]


CODE = Adaptive(rule="code")


def test_an_empty_centre_skips_its_neighbours_and_the_next_start() -> None:
    """Of z starts 0, 16, 32, 48, 64 the one at 16 is empty: 32 is never looked at, 48 is run in full."""
    rows = visited(CODE, (96, 250, 250), lambda w: spots(999) if w.z == 16 else FULL)
    assert [(row[0].z, len(row)) for row in rows] == [(0, 1), (0, 8), (16, 1), (48, 1), (48, 8), (64, 1), (64, 8)]


def test_in_an_empty_scan_every_other_centre_runs() -> None:
    rows = visited(CODE, (96, 250, 250), lambda _: spots(0))
    assert [[w.z for w in row] for row in rows] == [[0], [32], [64]]


def test_a_thousand_foreground_voxels_are_not_empty() -> None:
    assert CODE.is_empty(spots(999))
    assert not CODE.is_empty(spots(1000))


def test_the_threshold_shrinks_with_the_window() -> None:
    """A window of 16³ has 1/192 of the published voxels: 1000 / 192 = 5.2."""
    assert CODE.is_empty(spots(5, (16, 16, 16)))
    assert not CODE.is_empty(spots(6, (16, 16, 16)))


def test_zero_never_skips() -> None:
    rows = visited(Adaptive(empty_below=0, rule="code"), (96, 250, 250), lambda _: spots(0))
    assert sum(map(len, rows)) == 45


def test_only_the_answer_of_an_empty_centre_is_thrown_away() -> None:
    adaptive = CODE
    assert not adaptive.keeps(Decision(Centre(0, 0, 0), {}, spots(999)))
    assert adaptive.keeps(Decision(Centre(0, 0, 0), {}, FULL))
    assert adaptive.keeps(Decision(Window(0, 0, 0), {}, spots(999)))


def test_by_the_paper_only_a_centre_without_foreground_skips_and_only_its_neighbours() -> None:
    """Of z starts 0, 16, 32, 48, 64 the one at 16 holds one voxel and the one at 48 none."""
    rows = visited(Adaptive(), (96, 250, 250), lambda w: spots({16: 1, 48: 0}.get(w.z, 2000)))
    full = [(z, n) for z in (0, 16, 32) for n in (1, 8)]
    assert [(row[0].z, len(row)) for row in rows] == [*full, (48, 1), (64, 1), (64, 8)]
    assert Adaptive().keeps(Decision(Centre(0, 0, 0), {}, spots(0)))


def test_by_either_rule_zero_never_skips() -> None:
    rows = visited(Adaptive(empty_below=0), (96, 250, 250), lambda _: spots(0))
    assert sum(map(len, rows)) == 45


def test_equal_starts_run_once() -> None:
    """The scan is as small as the window in-plane: all nine windows would be the same."""
    assert visited(Adaptive(), (48, 128, 192)) == [[(0, 0, 0)], [(16, 0, 0)]]
    assert visited(Adaptive(), (32, 128, 250)) == [[(0, 0, 29)], [(0, 0, 0), (0, 0, 58)]]


def test_a_wide_scan_is_covered_whole_unless_told_otherwise() -> None:
    for length in (64, 97):  # fine, coarse
        windows = [w for row in visited(Adaptive(), (length, 400, 400)) for w in row]
        assert len(windows) == len(set(windows))
        covered = np.zeros((length, 400, 400), bool)
        for z, y, x in windows:
            covered[z : z + P[0], y : y + P[1], x : x + P[2]] = True
        assert covered.all()
        # the lattice, and the middle of 272: half a window apart at most, or a window apart at most, 272 / 3 = 90.7
        assert {w.y for w in windows} == ({*starts(400, 128, 0.5), 136} if length == 64 else {0, 91, 181, 272, 136})


def test_a_long_scan_up_to_two_windows_wide_gets_five_windows_a_start() -> None:
    centre, corners = visited(Adaptive(), (97, 250, 380))[:2]
    assert centre == [(0, 61, 94)]
    assert corners == [(0, 0, 0), (0, 0, 188), (0, 122, 0), (0, 122, 188)]


def test_without_the_outer_part_a_wide_scan_is_covered_in_the_middle() -> None:
    rows = visited(Adaptive(central_only=True), (64, 400, 400))
    assert {w.y for row in rows for w in row} == {72, 136, 200}  # c = 200: c − 128, c − 64, c


@pytest.mark.parametrize("length", range(8, 40))
def test_windows_lie_inside_and_run_once_whatever_the_length(length: int) -> None:
    for window in (7, 8):
        for depth in (8, 64):  # fine, coarse
            for central_only in (True, False):
                size = (8, window, window)
                labels = spots(100, size)
                rows = visited(Adaptive(central_only=central_only), (depth, length, 9), lambda _, s=labels: s, size)  # type: ignore[misc]
                windows = [w for row in rows for w in row]
                assert all(0 <= w.y <= length - window for w in windows)
                assert len(windows) == len(set(windows))


TUBES = Adaptive(tube_labels=frozenset({5, 6, 10}), central_only=True, rule="code")


def tube(front: int, back: int, label: int = 5) -> Array:
    """Return a tube in the middle that reaches the first and last y-plane with so many voxels."""
    labels = np.zeros(P, np.uint8)
    labels[:, 30:90, 80:90] = label
    labels[0, 0, :front] = label
    labels[0, -1, :back] = label
    return labels


@pytest.mark.parametrize(
    ("front", "back", "beyond"),
    [(11, 11, [40, 168]), (11, 10, [40]), (10, 11, [168]), (10, 10, [])],
)
def test_a_tube_is_followed_to_the_sides_that_it_reaches(front: int, back: int, beyond: list[int]) -> None:
    rows = visited(TUBES, (32, 337, 337), lambda _: tube(front, back))
    assert rows[0] == [(0, 104, 72)]
    assert [w for row in rows[1:] for w in row] == [(0, y, 72) for y in beyond]


@pytest.mark.parametrize(("voxels", "windows"), [(1000, 9), (999, 1)])
def test_a_tube_beside_an_organ_is_none_but_beside_too_few_voxels_it_is(voxels: int, windows: int) -> None:
    labels = tube(0, 0)
    labels[5].reshape(-1)[10_000 : 10_000 + voxels] = 1
    assert sum(map(len, visited(TUBES, (32, 337, 337), lambda _: labels))) == windows


def test_by_the_paper_a_single_voxel_beside_a_tube_is_an_organ() -> None:
    labels = tube(0, 0)
    labels[5, 5, 5] = 1
    by_paper = Adaptive(tube_labels=frozenset({5}))
    assert [by_paper.is_tube(labels), by_paper.is_tube(tube(0, 0))] == [False, True]


def test_where_nothing_is_too_few_a_single_voxel_beside_a_tube_counts() -> None:
    labels = tube(0, 0)
    labels[5, 5, 5] = 1
    exact = Adaptive(empty_below=0, tube_labels=frozenset({5}))
    assert [exact.is_tube(labels), exact.is_tube(tube(0, 0))] == [False, True]


def test_a_tube_is_not_followed_in_the_coarse_grid() -> None:
    rows = visited(TUBES, (97, 337, 337), lambda _: tube(99, 99))
    assert [len(row) for row in rows] == [1] * 6


def test_a_centre_that_shows_nothing_shows_no_tube() -> None:
    """0 never skips, with tubes or without."""
    never = Adaptive(empty_below=0, tube_labels=frozenset({5}))
    assert sum(map(len, visited(never, (32, 250, 250), lambda _: spots(0)))) == 9


def test_the_tube_rule_is_off_by_default() -> None:
    assert sum(map(len, visited(Adaptive(), (32, 250, 250), lambda _: tube(0, 0)))) == 9


def test_the_engine_leaves_background_where_the_schedule_did_not_look() -> None:
    """Two bright planes in a window that is empty by the threshold are lost; a bright end is found."""
    import fakes
    from voxtrace.inference import predict
    from voxtrace.volume import Geometry, Volume
    from voxtrace.windows import Windowing

    adaptive = Adaptive(empty_below=786_432 // 2, rule="code")  # half a window

    class Looking(fakes.Nearest):
        def windowing(self, plan: Any) -> Windowing:
            return Windowing(adaptive, keeps=adaptive.keeps)

    data = np.zeros((32, 16, 16), np.float32)
    data[9:11] = 1
    data[20:] = 1
    volume = Volume(data[None], Geometry.from_spacing(data.shape, (1.0, 1.0, 1.0)))
    result = predict(fakes.bundle(Looking(), window=(8, 16, 16)), volume)
    # starts 0, 4, 8, 12, 16, 20, 24: 0 empty, 8 empty, 16 half full, 20 and 24 full; 4 and 12 are skipped
    assert [box[0] for box in result.trace.windows] == [0, 8, 16, 20, 24]
    data[9:11] = 0
    assert np.array_equal(result.labels.data, data)
