"""What a perfect network would find, drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from voxtrace.volume import Array
from voxtrace.windows import Adaptive, Windowing, coverage, covered

pytestmark = pytest.mark.numeric

WINDOW = (4, 8, 8)


def _labels(*boxes: tuple[int, slice, slice, slice], shape: tuple[int, int, int] = (8, 16, 16)) -> Array:
    labels = np.zeros(shape, np.uint8)
    for value, z, y, x in boxes:
        labels[z, y, x] = value
    return labels


def _adaptive(rule: str) -> Windowing:
    schedule = Adaptive(rule=rule)  # type: ignore[arg-type]
    return Windowing(schedule, keeps=schedule.keeps)


def test_the_even_lattice_covers_everything() -> None:
    labels = _labels((1, slice(0, 1), slice(0, 1), slice(0, 1)))
    assert coverage(Windowing(), labels, WINDOW, 0.5) == {1: 1.0}


def test_a_structure_beside_empty_centres_is_not_found() -> None:
    """Label 1 fills the middle, label 2 a corner in slices where every centre is empty."""
    labels = _labels(
        (1, slice(0, 4), slice(6, 10), slice(6, 10)),
        (2, slice(0, 4), slice(0, 2), slice(0, 2)),
        (3, slice(16, 20), slice(0, 2), slice(0, 2)),
        shape=(24, 16, 16),
    )
    assert coverage(_adaptive("paper"), labels, WINDOW, 0.5) == {1: 1.0, 2: 1.0, 3: 0.0}


def test_the_rule_of_the_code_drops_what_the_paper_keeps() -> None:
    """One voxel in a centre: fewer than 1000·256/786432 = 0.33 would be empty; of 32 times the threshold it is."""
    labels = _labels((1, slice(0, 1), slice(7, 8), slice(7, 8)))
    strict = Adaptive(empty_below=32_000.0, rule="code")
    assert coverage(Windowing(strict, keeps=strict.keeps), labels, WINDOW, 0.5) == {1: 0.0}
    loose = Adaptive(empty_below=32_000.0)
    assert coverage(Windowing(loose, keeps=loose.keeps), labels, WINDOW, 0.5) == {1: 1.0}


def test_a_grid_smaller_than_the_window_is_padded() -> None:
    labels = _labels((1, slice(0, 2), slice(0, 2), slice(0, 2)), shape=(2, 5, 6))
    assert covered(Windowing(), labels, WINDOW, 0.5).shape == (2, 5, 6)
    assert coverage(_adaptive("paper"), labels, WINDOW, 0.5) == {1: 1.0}
