"""Offsets with which volumes are the true ones, from voxels whose margins a person can read."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from voxtrace.errors import BundleError
from voxtrace.fit.card_record import check_record
from voxtrace.fit.card_text import measured_lines
from voxtrace.fit.volume_match import (
    MarginVolumes,
    bias_of_halves,
    is_matched,
    matched_words,
    offset_changes,
    total_bias,
    without_bias,
)

BIAS = {"mean": 0.025, "ci95": [0.01, 0.04]}
HALF = {"cases": 12, "offset": -0.1, "mean": 0.004, "ci95": [-0.01, 0.02]}
TOLD: dict[str, Any] = {
    "cases": 24,
    "seed": 3,
    "labels": {
        "liver": {
            "offset": -0.125,
            "before": BIAS,
            "halves": [HALF, None],
            "random_halves": 0.017,
            "other_cases": [-0.012, 0.013],
        }
    },
    "dice": {"before": 0.9, "after": 0.9004, "difference": 0.0004, "ci95": [-0.001, 0.002]},
}
RECORD: dict[str, Any] = {
    "format": "voxtrace-bundle/1",
    "method": {"name": "unet", "options": {}},
    "plan": {},
    "digest": "",
    "files": {},
    "provenance": {"volumes_matched": TOLD},
}


def _margins(margins: list[float], voxel_ml: float = 1.0) -> MarginVolumes:
    """Voxels of two labels: log p_1 − log p_0 is each margin, negative where the background wins."""
    p = 1.0 / (1.0 + np.exp(-np.asarray(margins)))
    found = MarginVolumes(voxel_ml)
    found(0, np.stack([1.0 - p, p])[:, None, :].astype(np.float32))
    return found


def test_an_offset_moves_the_voxels_whose_margin_it_exceeds() -> None:
    margins = _margins([-2.5, -0.501, -0.301, 0.101, 0.701, 1.501])
    up = offset_changes(margins, {1: 2.0}, 2)
    assert up[0] == 0
    assert 0.501 <= up[1] < 0.51
    down = offset_changes(margins, {1: -1.0}, 2)
    assert -0.12 < down[1] <= -0.1


def test_volumes_are_in_ml_of_cases_together() -> None:
    both = MarginVolumes.summed([_margins([-0.101], voxel_ml=0.5), _margins([-0.401], voxel_ml=2.0)])
    assert offset_changes(both, {1: 0.5}, 2)[1] == pytest.approx(0.105, abs=0.01)
    assert offset_changes(both, {1: 2.5}, 2)[1] == pytest.approx(0.405, abs=0.01)


def test_labels_beside_one_another_are_solved_together() -> None:
    # 100 voxels from 1 to 2 and 100 from 0 to 1, margins spread evenly over 1 nat
    spread = np.linspace(0.0, 1.0, 101)[:-1]
    found = MarginVolumes()
    for winner, runner in ((1, 2), (0, 1)):
        p = np.full((3, 1, 100), 1e-6, np.float32)
        p[winner, 0], p[runner, 0] = 0.5, 0.5 * np.exp(-spread)
        found(0, p)
    changes = offset_changes(found, {1: 0.0, 2: 20.0}, 3)
    # 2 takes 20 from 1, which takes as many from the background
    assert changes[1] == pytest.approx(0.2, abs=0.01)
    assert changes[2] - changes[1] == pytest.approx(0.2, abs=0.01)


def test_voxels_without_an_answer_or_annotation_do_not_count() -> None:
    plane = np.full((2, 1, 3), 0.5, np.float32)
    plane[:, 0, 0] = np.nan
    known = np.array([[[True, False, True]]])
    found = MarginVolumes(1.0, known)
    found(0, plane)
    assert sum(ml.sum() for ml in found.ml.values()) == 1.0


def test_the_bias_is_of_the_total_and_its_interval_of_cases() -> None:
    found = total_bias([2.0, 0.0, 9.0], [1.0, 0.0, 9.0], seed=0)
    assert found["mean"] == 0.1
    low, high = found["ci95"]
    assert low <= 0.0
    assert high == 1.0


def test_halves_that_agree_by_chance_do_not_hide_how_far_others_are() -> None:
    rng = np.random.default_rng(0)
    reference = np.ones(40)
    far = [bias_of_halves(1.02 + spread * rng.normal(size=40), reference, seed=1) for spread in (0.0, 0.05, 0.1)]
    assert far[0] == 0.0
    # the difference of two means of 20, each with a deviation of 0.05 / sqrt(20): sqrt(2 / pi) of it on average
    assert far[1] == pytest.approx(0.05 / 1.02 * np.sqrt(2 / 20) * np.sqrt(2 / np.pi), rel=0.3)
    assert far[2] == pytest.approx(2 * far[1], rel=0.4)


def test_the_card_tells_offsets_and_the_bias_on_halves() -> None:
    text = "\n".join(measured_lines(RECORD))
    assert "| liver | -0.1250 | +2.5 % [+1.0, +4.0] | +0.4 % [-1.0, +2.0] | – | 1.7 % | -1.2 to +1.3 % |" in text
    assert "no\nfinding" in text
    assert "+0.4 % on halves" in matched_words(TOLD)
    assert is_matched(RECORD)
    assert not is_matched({})


def test_a_record_of_other_types_is_refused() -> None:
    check_record(RECORD, "here")
    for name, value in (("offset", "x"), ("halves", [HALF] * 3), ("other_cases", [0.1])):
        record = copy.deepcopy(RECORD)
        record["provenance"]["volumes_matched"]["labels"]["liver"][name] = value
        with pytest.raises(BundleError, match="volumes_matched"):
            check_record(record, "here")


def test_intervals_lose_the_bias_alone() -> None:
    stored = {"names": {"1": "liver"}, "labels": {"1": {"bias": 1.0, "factors": [0.9, 1.1]}}}
    assert without_bias(stored) == {"names": {"1": "liver"}, "labels": {"1": {"factors": [0.9, 1.1]}}}
    assert without_bias(None) is None
