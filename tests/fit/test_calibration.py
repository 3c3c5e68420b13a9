"""Temperature, ECE and reliability: on voxels whose probabilities are known to be right, or too sure by a factor."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from voxtrace.fit import card_text, drawings
from voxtrace.fit.calibration import (
    BINS,
    VoxelSample,
    answers,
    calibration_record,
    expected_error,
    fitted_temperature,
    near_labels,
    negative_log,
    reliability,
)
from voxtrace.fit.reliability_diagram import reliability_rows, reliability_svg


def voxels(n: int, temperature: float, labels: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log probabilities (n, K) that are right with this temperature, and labels that were drawn by them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 2.0, (n, labels))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    drawn = (true.cumsum(1) > rng.random((n, 1))).argmax(1)
    told = logits * temperature
    return told - np.log(np.exp(told).sum(1, keepdims=True)), drawn


def sample(temperature: float, seed: int, labels: int = 3) -> VoxelSample:
    """A case of 4 planes of 30 × 30 voxels, all of them near a label."""
    told, drawn = voxels(3600, temperature, labels, seed)
    found = VoxelSample(drawn.reshape(4, 30, 30), np.ones((4, 30, 30), bool))
    for z in range(4):
        found(z, np.exp(told[900 * z : 900 * (z + 1)]).T.reshape(labels, 30, 30).astype(np.float32))
    return found


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    assert fitted_temperature(*voxels(20_000, temperature)) == pytest.approx(temperature, rel=0.05)


def test_no_temperature_is_found_where_everything_is_right_or_there_is_nothing() -> None:
    told, _ = voxels(1000, 1.0)
    assert fitted_temperature(told, told.argmax(1)) is None  # the surer the better, without end
    assert fitted_temperature(told[:0], np.zeros(0, np.int64)) is None


def test_the_order_of_labels_never_depends_on_the_temperature() -> None:
    told, drawn = voxels(5000, 2.0)
    for temperature in (0.2, 1.0, 7.0):
        _, right = answers(told, drawn, temperature)
        assert np.array_equal(right, told.argmax(1) == drawn)


def test_ece_and_reliability_are_counted_as_drawn() -> None:
    """Ten voxels of 0.95, of which 7 are right; ten of 0.55, of which 6 are: (0.25 + 0.05) / 2."""
    told = np.array([0.95] * 10 + [0.55] * 10)
    right = np.array([True] * 7 + [False] * 3 + [True] * 6 + [False] * 4)
    assert expected_error(told, right) == pytest.approx(0.15)
    rows = reliability(told, right)
    assert len(rows) == BINS
    assert rows[14] == [10, 0.95, 0.7]  # 14/15 to 1
    assert rows[8] == [10, 0.55, 0.6]  # 8/15 to 9/15
    assert sum(row[0] for row in rows) == 20


def test_a_probability_of_one_lies_in_the_last_bin_and_one_on_an_edge_below_it() -> None:
    rows = reliability(np.array([1.0, 14 / 15]), np.array([True, True]))
    assert [row[0] for row in rows[13:]] == [1, 1]


def test_minus_log_p_is_that_of_softmax() -> None:
    told = np.log(np.array([[0.8, 0.2], [0.5, 0.5]]))
    assert negative_log(told, np.array([1, 0]), 1.0) == pytest.approx(-(math.log(0.2) + math.log(0.5)) / 2)
    # p^2 / Σ p^2 at a temperature of one half
    assert negative_log(told[:1], np.array([1]), 0.5) == pytest.approx(-math.log(0.04 / 0.68))


def test_the_record_lowers_the_error_of_a_model_that_is_too_sure() -> None:
    found = calibration_record([sample(2.5, seed) for seed in range(4)])
    assert found is not None
    assert found["temperature"] == pytest.approx(2.5, rel=0.05)
    assert found["ece_before"] > 0.08 > 0.02 > found["ece_after"]
    assert found["nll_after"] < found["nll_before"]
    assert (found["cases"], found["voxels"]) == (4, 14_400)
    for part in ("reliability_before", "reliability_after"):
        assert sum(row[0] for row in found[part]) == 14_400


def test_probabilities_that_do_not_add_up_to_one_are_not_calibrated() -> None:
    odd = sample(1.0, 0)
    odd(0, np.full((3, 30, 30), 0.9, np.float32))  # of regions that overlap
    assert calibration_record([odd, sample(1.0, 1)]) is None
    assert calibration_record([sample(1.0, 1)]) is None  # one case has no other half


def test_background_far_from_labels_does_not_count_unless_the_answer_labels_it() -> None:
    reference = np.zeros((1, 1, 30), np.uint8)
    reference[0, 0, 10] = 1
    near = near_labels(reference, (1.0, 1.0, 2.0))
    assert np.flatnonzero(near).tolist() == [8, 9, 10, 11, 12]  # 5 mm are two voxels of 2 mm
    found = VoxelSample(reference, near)
    probabilities = np.zeros((2, 1, 30), np.float32)
    probabilities[0] = 1.0
    probabilities[:, 0, 29] = 0.3, 0.7
    probabilities[:, 0, 9] = np.nan  # where the network did not look
    found(0, probabilities)
    assert found.labels.tolist() == [0, 1, 0, 0, 0]
    assert np.exp(found.log_probabilities[-1]) == pytest.approx([0.3, 0.7])


def test_voxels_that_nobody_annotated_do_not_count() -> None:
    found = VoxelSample(np.ones((1, 2, 2), np.uint8), np.ones((1, 2, 2), bool), np.array([[[True, False]] * 2]))
    found(0, np.full((2, 2, 2), 0.5, np.float32))
    assert len(found.labels) == 2


def test_a_large_case_gives_some_of_its_voxels() -> None:
    shape = (10, 100, 100)
    found = VoxelSample(np.ones(shape, np.uint8), np.ones(shape, bool))
    for z in range(10):
        found(z, np.full((2, 100, 100), 0.5, np.float32))
    assert len(found.labels) == pytest.approx(20_000, rel=0.03)


def test_the_diagram_is_drawn_and_written_in_rows() -> None:
    found = calibration_record([sample(2.5, seed) for seed in range(2)])
    assert found is not None
    drawing = ET.fromstring(reliability_svg(found))
    circles = [one for one in drawing.iter() if one.tag.endswith("circle")]
    filled = [row for part in ("before", "after") for row in found[f"reliability_{part}"] if row[0]]
    assert len(circles) == len(filled) + 2  # two in the legend
    assert len(reliability_rows(found)) <= BINS
    card = card_text("m", {}, {"calibration": found})
    assert "![reliability](reliability.svg)" in card
    assert list(drawings({"calibration": found})) == ["reliability.svg"]
    assert drawings({}) == {}


@pytest.mark.parametrize("labelled", [0, 1, 40 * 60 * 60])
def test_no_case_has_more_voxels_than_any_other_may_have(labelled: int) -> None:
    """An answer far beyond a small lesion, or where there is none, would outweigh all other cases."""
    reference = np.zeros(40 * 60 * 60, np.uint8)
    reference[:labelled] = 1
    found = VoxelSample(reference.reshape(40, 60, 60), near_labels(reference.reshape(40, 60, 60), (1.0, 1.0, 1.0)))
    sure = np.linspace(0.51, 0.99, 40)
    for z in range(40):
        found(z, np.stack([np.full((60, 60), 1 - sure[z]), np.full((60, 60), sure[z])]).astype(np.float32))
    assert len(found.labels) == len(found.log_probabilities) == 20_000
    told = np.exp(found.log_probabilities[:, 1])
    counts = [np.count_nonzero(np.abs(told - p) < 1e-4) for p in sure]  # every plane alike
    assert min(counts) > 400
    assert max(counts) < 600
