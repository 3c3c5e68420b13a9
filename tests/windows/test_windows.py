"""Windows over a grid, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from voxtrace.windows import Window, count_windows, gaussian, regular, starts


@pytest.mark.parametrize(
    ("length", "window", "overlap", "expected"),
    [
        (4, 4, 0.5, (0,)),
        (3, 4, 0.5, (0,)),
        (5, 4, 0.5, (0, 1)),
        (11, 4, 0.5, (0, 2, 4, 5, 7)),
        (8, 4, 0.0, (0, 4)),
        (9, 4, 0.0, (0, 2, 5)),
        (110, 64, 0.5, (0, 23, 46)),
        (3, 1, 0.5, (0, 1, 2)),
    ],
)
def test_starts_are_even_and_touch_both_borders(
    length: int, window: int, overlap: float, expected: tuple[int, ...]
) -> None:
    assert starts(length, window, overlap) == expected


def test_every_voxel_is_covered() -> None:
    for length in range(4, 40):
        covered = np.zeros(length, bool)
        for start in starts(length, 4, 0.25):
            covered[start : start + 4] = True
        assert covered.all()


def test_rows_ascend_in_z_and_hold_one_z_each() -> None:
    rows = list(regular((8, 4, 6), (4, 4, 4), 0.5))
    assert rows[0] == [Window(0, 0, 0), Window(0, 0, 2)]
    assert [row[0].z for row in rows] == [0, 2, 4]
    assert sum(map(len, rows)) == count_windows((8, 4, 6), (4, 4, 4), 0.5) == 6


def test_gaussian_is_one_in_the_middle_and_falls_by_sigma() -> None:
    weights = gaussian((16, 16, 16))
    assert weights[8, 8, 8] == weights.max() == 1.0
    assert weights[8, 8, 10] == pytest.approx(np.exp(-0.5))  # σ = 16/8 = 2 voxels
    assert weights.min() > 0


def test_a_slice_is_a_window_one_voxel_thick() -> None:
    assert np.array_equal(gaussian((1, 16, 16))[0], gaussian((16, 16, 16))[8])
