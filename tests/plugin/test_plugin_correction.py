"""Corrections of one label: drawn masks whose result is known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from voxtrace.plugin.models import correction
from voxtrace.plugin.models.correction import Operation, correct

ISO = (1.0, 1.0, 1.0)


def ball(shape: tuple[int, int, int] = (21, 21, 21), radius: float = 6.0) -> Any:
    grids = np.meshgrid(*[np.arange(n) - n // 2 for n in shape], indexing="ij")
    return sum(g**2 for g in grids) <= radius**2


def applied(labels: Any, operation: Operation, spacing_mm: Any = ISO) -> Any:
    found = correct(labels, operation, spacing_mm)
    after = labels.copy()
    after.ravel()[found.where] = found.values
    return after


def test_growing_is_in_mm_not_in_voxels() -> None:
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[4, 4, 4] = 1
    after = applied(labels, Operation("grow", 1, 2.0), (2.0, 1.0, 4.0))
    assert np.argwhere(after).min(0).tolist() == [3, 2, 4]
    assert np.argwhere(after).max(0).tolist() == [5, 6, 4]


def test_growing_and_shrinking_a_block_gives_the_block_back() -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[6:12, 6:12, 6:12] = 2
    grown = applied(labels, Operation("grow", 2, 1.0))
    assert grown.sum() == 2 * (6**3 + 6 * 36)  # a layer on each face
    assert np.array_equal(applied(grown, Operation("shrink", 2, 1.0)), labels)


def test_the_border_of_the_scan_is_no_surface() -> None:
    labels = np.zeros((6, 8, 8), np.uint8)
    labels[:3] = 1
    after = applied(labels, Operation("shrink", 1, 1.0))
    assert [bool(plane.all()) for plane in after] == [True, True, False, False, False, False]


def test_the_largest_piece_stays_and_small_ones_go() -> None:
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[1:5, 1:5, 1:5] = 1  # 64 voxels
    labels[7, 7, 7:9] = 1  # 2 voxels
    labels[9, 0, 0] = 1
    assert np.count_nonzero(applied(labels, Operation("largest", 1))) == 64
    assert np.count_nonzero(applied(labels, Operation("islands", 1, 0.002))) == 66  # 2 mm³ = 0.002 mL
    assert np.count_nonzero(applied(labels, Operation("islands", 1, 0.0021))) == 64


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = 1
    assert correct(labels, Operation("largest", 1), ISO).where.size == 0


def test_a_hole_open_in_3d_is_filled_slice_by_slice() -> None:
    labels = np.zeros((3, 7, 7), np.uint8)
    labels[:, 1:6, 1:6] = 1
    labels[:, 3, 3] = 0  # a channel from the first to the last slice
    assert correct(labels, Operation("holes", 1), ISO).where.size == 0
    assert np.count_nonzero(applied(labels, Operation("holes", 1, in_plane=True))) == 3 * 25


def test_smoothing_removes_a_spike_and_keeps_the_volume() -> None:
    labels = ball().astype(np.uint8)
    spiked = labels.copy()
    spiked[10, 10, 16:21] = 1
    for kind, amount in (("smooth", 1.0), ("median", 2.0)):
        after = applied(spiked, Operation(kind, 1, amount))  # type: ignore[arg-type]
        assert not after[10, 10, 19:].any()
        assert after.sum() == pytest.approx(labels.sum(), rel=0.06)


@pytest.mark.parametrize("kind", ["smooth", "median"])
def test_smoothing_in_plane_leaves_a_single_slice_where_it_is(kind: Any) -> None:
    labels = np.zeros((5, 21, 21), np.uint8)
    labels[2] = ball()[10]
    after = applied(labels, Operation(kind, 1, 1.5, in_plane=True))
    assert np.flatnonzero(after.any(axis=(1, 2))).tolist() == [2]
    assert not applied(labels, Operation(kind, 1, 1.5)).any()  # in 3-D one slice is a thin part


def test_between_two_equal_shapes_the_same_shape_is_drawn() -> None:
    labels = np.zeros((9, 21, 21), np.uint8)
    labels[1] = labels[7] = ball()[10]
    after = applied(labels, Operation("between", 1))
    assert all(np.array_equal(after[z], labels[1]) for z in range(1, 8))
    assert not after[0].any()
    assert not after[8].any()


def test_between_a_large_and_a_small_disc_lies_one_between_them_even_where_they_do_not_overlap() -> None:
    labels = np.zeros((5, 40, 40), np.uint8)
    rows, columns = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")
    labels[0] = (rows - 10) ** 2 + (columns - 10) ** 2 <= 8**2
    labels[4] = (rows - 30) ** 2 + (columns - 30) ** 2 <= 4**2
    middle = applied(labels, Operation("between", 1))[2]
    assert np.argwhere(middle).mean(0) == pytest.approx([20, 20], abs=0.5)
    assert np.sqrt(middle.sum() / np.pi) == pytest.approx(6, abs=0.7)


def test_between_follows_the_axis_of_the_view() -> None:
    labels = np.zeros((21, 9, 21), np.uint8)
    labels[:, 2] = labels[:, 6] = ball()[10]
    assert np.count_nonzero(applied(labels, Operation("between", 1, axis=1)).any(axis=(0, 2))) == 5


def test_other_labels_are_protected_unless_told_otherwise() -> None:
    labels = np.zeros((5, 5, 9), np.uint8)
    labels[..., :4], labels[..., 4:] = 1, 2
    assert correct(labels, Operation("grow", 1, 2.0), ISO).where.size == 0
    after = applied(labels, Operation("grow", 1, 2.0, protect=False))
    assert np.count_nonzero(after == 1) == 25 * 6


def test_only_voxels_in_the_box_change() -> None:
    labels = np.zeros((6, 9, 9), np.uint8)
    labels[:, 4, 4] = 1
    box = (slice(2, 3), slice(None), slice(None))
    after = applied(labels, Operation("grow", 1, 1.0, box=box))
    assert [int(plane.sum()) for plane in after] == [1, 1, 5, 1, 1, 1]
    visible = (slice(0, 6), slice(0, 5), slice(0, 9))
    assert int(applied(labels, Operation("grow", 1, 1.0, box=visible))[3].sum()) == 4


def test_a_label_that_is_not_there_changes_nothing() -> None:
    for kind in correction.TOOLS:
        assert correct(np.zeros((3, 3, 3), np.uint8), Operation(kind, 1, 1.0), ISO).where.size == 0
