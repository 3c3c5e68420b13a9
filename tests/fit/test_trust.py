"""Intervals of volumes, what is usual for a trace, and the Dice to expect: from cases that were made by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from voxtrace import bundle
from voxtrace.fit import (
    case_features,
    expected_dice,
    familiarity,
    interval_ml,
    measured_features,
    measured_intervals,
    measured_lines,
)
from voxtrace.fit.familiarity import LIKE, UNLIKE
from voxtrace.trace import Trace
from voxtrace.volume import Geometry


def intervals(errors: list[float], predicted: float = 10.0) -> dict[str, Any]:
    """Return the record of a label whose cases have such log ratios of reference to predicted volume."""
    found = measured_intervals(
        {1: [predicted] * len(errors)}, {1: [predicted * math.exp(e) for e in errors]}, {1: "liver"}
    )
    return {"intervals": found} if found else {}


def test_the_interval_takes_the_bias_out_and_leaves_one_in_ten_cases_outside() -> None:
    """39 errors 0.1 + {−0.19 … 0.19}: ⌊40·0.1⌋ = 4 outside, two on either side: ranks 2 and 38, −0.18 and 0.18."""
    record = intervals([0.1 + k / 100 for k in range(-19, 20)])
    stored = record["intervals"]["labels"]["1"]
    assert (stored["cases"], stored["level"]) == (39, 0.9)
    assert stored["bias"] == pytest.approx(math.exp(0.1), rel=1e-5)
    assert interval_ml(record, 1, 12.0) == pytest.approx(
        (12 * math.exp(0.1 - 0.18), 12 * math.exp(0.1 + 0.18)), rel=1e-5
    )


def test_with_few_cases_the_level_is_what_their_number_allows() -> None:
    assert intervals([k / 100 for k in range(10)])["intervals"]["labels"]["1"]["level"] == pytest.approx(
        9 / 11, abs=1e-4
    )


def test_below_ten_cases_there_is_no_interval() -> None:
    assert intervals([0.0] * 9) == {}
    assert interval_ml({}, 1, 10.0) is None


def test_cases_in_which_a_label_was_not_found_are_counted_apart() -> None:
    found = measured_intervals({1: [1.0] * 10 + [0.0]}, {1: [1.0] * 11}, {1: "liver"})
    assert found is not None
    assert found["labels"]["1"]["cases"] == 10
    assert found["labels"]["1"]["not_found"] == {"cases": 1, "were_there": 1}
    assert interval_ml({"intervals": found}, 1, 0.0) is None


def test_ten_cases_without_it_tell_how_much_may_have_been_missed() -> None:
    """⌈11·0.9⌉ = 10: the largest of ten."""
    missed = [0.0] * 8 + [0.2, 0.3]
    found = measured_intervals({1: [1.0] * 10 + [0.0] * 10}, {1: [1.0] * 10 + missed}, {1: "lesion"})
    assert interval_ml({"intervals": found}, 1, 0.0) == (0.0, 0.3)


def test_a_label_that_is_often_invented_has_an_interval_down_to_nothing() -> None:
    """Three of 20 found lesions are not there: more than the one below, so that the lower end is 0."""
    found = measured_intervals({1: [1.0] * 20}, {1: [0.0] * 3 + [1.0] * 17}, {1: "lesion"})
    assert interval_ml({"intervals": found}, 1, 1.2) == (0.0, 1.2)


@pytest.mark.parametrize("ml", [0.0, 6.0, 16.0])
def test_far_from_validated_volumes_there_is_no_interval(ml: float) -> None:
    assert interval_ml(intervals([0.0, 0.1] * 10), 1, ml) is None


@pytest.mark.parametrize(("cases", "holds"), [(19, 18 / 20), (40, 37 / 41), (52, 48 / 53), (12, 11 / 13)])
def test_the_interval_covers_what_it_says(cases: int, holds: float) -> None:
    """Of skewed errors with a bias: (b − a) / (n + 1) of new cases, whatever the distribution."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        record = intervals(list(0.1 + rng.gumbel(0.0, 0.1, cases)))
        low, high = interval_ml(record, 1, 10.0) or (0.0, 0.0)
        covered += [low <= 10 * math.exp(error) <= high for error in 0.1 + rng.gumbel(0.0, 0.1, 20)]
    assert np.mean(covered) == pytest.approx(holds, abs=0.02)


def test_a_case_inside_the_range_is_like_those_of_validation() -> None:
    record = {"expected": measured_features([{"volume_ml": v} for v in range(1, 22)], [0.9] * 21)}
    assert record["expected"]["features"] == {"volume_ml": [2.0, 20.0]}
    like, unlike = familiarity(record, {"volume_ml": 25}), familiarity(record, {"volume_ml": 40})
    assert like is not None
    assert (like.words, like.is_like) == (LIKE, True)
    assert unlike is not None
    assert (unlike.words, unlike.feature, unlike.is_like) == (UNLIKE, "volume_ml", False)
    assert unlike.sentence == (
        "unlike them: look closely (the volume of all labels is 40 mL, in 90 % of the validation cases 2 to 20)"
    )
    assert familiarity(record, {"entropy": 1.0}) is None
    assert familiarity({}, {"volume_ml": 1.0}) is None


def test_what_the_last_step_changed_sets_no_case_apart() -> None:
    """New bundles do not record it, and that of an older one is not read."""
    features = [{"volume_ml": float(v), "last_change": 0.1} for v in range(1, 22)]
    found = measured_features(features, [0.9] * 21)
    assert found is not None
    assert set(found["features"]) == {"volume_ml"}
    older = {"expected": {"cases": 21, "features": {**found["features"], "last_change": [0.05, 0.1]}}}
    like = familiarity(older, {"volume_ml": 10.0, "last_change": 0.9})
    assert like is not None
    assert like.is_like
    assert familiarity(older, {"last_change": 0.9}) is None


@pytest.mark.parametrize("name", ["hippocampus-recyclenet", "hippocampus-e2enet", "hippocampus-diffusion"])
def test_bundles_that_recorded_what_the_last_step_changed_are_read(name: str) -> None:
    """A held-back case is like the others, and its Dice is foretold where the record says that it can be."""
    record = bundle.card(name)
    row = record["metrics"]["validation"]["per_case"][0]["features"]
    usual = familiarity(record, {**row, "last_change": 1e6})
    assert usual is not None
    assert usual.feature != "last_change"
    told = expected_dice(record, row)
    assert (told.dice is not None) == (record["predicted_dice"]["rank_correlation_ci95"][0] > 0)


def test_below_ten_cases_nothing_is_usual() -> None:
    assert measured_features([{"volume_ml": 1.0}] * 9, [0.9] * 9) is None


def trace(*steps: list[int], entropy: float = 0.1) -> Trace:
    """Return a trace over four voxels of 1 mL in a row."""
    labels = np.asarray(steps, np.uint8).reshape(len(steps), 1, 1, 4)
    return Trace(
        labels=labels,
        facts={"entropy": np.full((len(steps), 1), entropy, np.float32)},
        windows=np.array([[0, 0, 0, 1, 1, 4]]),
        units={"entropy": "nat"},
        geometry=Geometry.from_spacing((1, 1, 4), (10.0, 10.0, 10.0)),
        names={0: "background", 1: "liver"},
    )


def test_features_are_counted_as_they_are_drawn() -> None:
    """1 1 0 0 → 1 0 0 0 → 1 1 0 0: 2 mL; the last step changed one voxel of two, and one changed after the first."""
    found = case_features(trace([1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]))
    assert found == pytest.approx({"volume_ml": 2.0, "entropy": 0.2, "last_change": 0.5, "undecided": 0.5})


def test_a_single_step_has_no_features_of_steps_and_an_empty_answer_none() -> None:
    assert set(case_features(trace([1, 0, 0, 0]))) == {"volume_ml", "entropy"}
    assert case_features(trace([0, 0, 0, 0])) == {}


@pytest.mark.parametrize("name", ["hippocampus-recyclenet", "hippocampus-unet"])
def test_the_hippocampus_bundles_state_how_sure_their_volumes_are(name: str) -> None:
    record = bundle.card(name)
    for label in (1, 2):
        low, high = interval_ml(record, label, 1.7) or (0.0, 0.0)
        assert 1.2 < low < 1.7 < high < 2.2
        assert record["intervals"]["labels"][str(label)]["cases"] == 47
    card = "\n".join(measured_lines(record))
    assert "| anterior |" in card
    assert "47 validation cases" in card


def test_a_region_has_an_interval_of_its_own() -> None:
    """Ten cases of 20 mL whose true volume is 18 to 27 mL; the label has too few cases."""
    true = [18.0 + k for k in range(10)]
    found = measured_intervals(
        {1: [5.0]}, {1: [5.0]}, {1: "core"}, {"whole": ([20.0] * 10, true), "few": ([1.0], [1.0])}
    )
    assert found is not None
    assert (found["labels"], list(found["regions"])) == ({}, ["whole"])
    record = {"intervals": found}
    assert interval_ml(record, "whole", 40.0) is None  # nothing like it was validated
    assert interval_ml(record, "whole", 20.0) == pytest.approx((18.0, 27.0))
    assert interval_ml(record, "few", 1.0) is None
    assert interval_ml(record, 1, 5.0) is None
