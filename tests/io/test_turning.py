from __future__ import annotations

import itertools

import numpy as np
import pytest

from voxtrace.io.turning import turned
from voxtrace.volume import Layout

LAYOUTS = [
    Layout(axes, flips)  # type: ignore[arg-type]
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_voxels_are_turned_as_the_layout_says(layout: Layout, depth: int) -> None:
    array = np.arange(depth * 12, dtype=np.float32).reshape(depth, 3, 4)
    expected = layout.to_canonical(array).copy()
    found = turned(array, layout)
    assert np.array_equal(found, expected)
    assert found.flags.c_contiguous


@pytest.mark.parametrize("flips", list(itertools.product((False, True), repeat=3)))
def test_axes_that_run_backwards_take_no_second_copy(flips: tuple[bool, bool, bool]) -> None:
    array = np.zeros((4, 3, 2), np.int16)
    assert turned(array, Layout((0, 1, 2), flips)) is array


def test_what_may_not_be_written_is_copied() -> None:
    array = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    array.flags.writeable = False
    assert np.array_equal(turned(array, Layout((0, 1, 2), (True, False, False))), array[::-1])


def test_double_precision_becomes_single() -> None:
    assert turned(np.ones((2, 2, 2)), Layout((0, 1, 2), (False, True, False))).dtype == np.float32
