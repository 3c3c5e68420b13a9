"""The Dice to expect of a case: fitted on made-up held-back cases whose Dice is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy

from voxtrace.errors import BundleError
from voxtrace.fit import check_record, expected_dice, measured_dice_prediction, measured_lines
from voxtrace.fit.predicted_dice import LEVEL, rank_correlation, rank_correlation_interval

Features = list[dict[str, float]]


def held_back(n: int, noise: float, seed: int = 0) -> tuple[Features, list[float]]:
    """Return n cases whose Dice falls with what the last step changed, and does not depend on their volume."""
    rng = np.random.default_rng(seed)
    features = [{"volume_ml": float(rng.uniform(2, 8)), "last_change": float(rng.uniform(0, 0.2))} for _ in range(n)]
    return features, [0.95 - one["last_change"] + float(rng.normal(0, noise)) for one in features]


def record(n: int = 60, noise: float = 0.01) -> dict[str, Any]:
    return {"predicted_dice": measured_dice_prediction(*held_back(n, noise))}


def test_the_dice_is_foretold_with_an_interval_and_how_sure_that_is() -> None:
    told = expected_dice(record(), {"volume_ml": 4.0, "last_change": 0.1})
    assert told.dice == pytest.approx(0.85, abs=0.01)
    assert told.interval is not None
    assert told.interval[0] < told.dice < told.interval[1]
    assert (told.level, told.cases) == (LEVEL, 60)
    assert told.rank_correlation > 0.9
    assert told.sentence.startswith("Dice 0.85 expected, 0.8")


def test_the_interval_holds_nine_of_ten_new_cases() -> None:
    found = record(noise=0.03)
    inside = []
    for one, truth in zip(*held_back(1000, 0.03, seed=1), strict=True):
        told = expected_dice(found, one)
        if told.interval is not None:
            inside.append(told.interval[0] <= truth <= told.interval[1])
    assert len(inside) > 950
    assert 0.83 < np.mean(inside) < 0.97


def test_the_stated_rank_correlation_is_that_of_new_cases() -> None:
    """Fitted and judged on the same cases it would be too high: of pure noise, too."""
    found = record(n=40, noise=0.06)
    fresh, truth = held_back(2000, 0.06, seed=2)
    reached = scipy.stats.spearmanr([one["last_change"] for one in fresh], truth).statistic
    low, high = found["predicted_dice"]["rank_correlation_ci95"]
    assert low < -reached < high
    of_noise = [measured_dice_prediction(held_back(30, 0.0, s)[0], noise(30, s)) for s in range(30)]
    assert np.mean([one["rank_correlation"] for one in of_noise if one]) < 0.1


def noise(n: int, seed: int) -> list[float]:
    return np.random.default_rng(100 + seed).uniform(0.8, 0.9, n).tolist()


def test_where_the_features_foretell_nothing_no_dice_is_told() -> None:
    found = {"predicted_dice": measured_dice_prediction(held_back(40, 0.0)[0], noise(40, 0))}
    told = expected_dice(found, {"volume_ml": 4.0, "last_change": 0.1})
    assert told.dice is None
    assert "on 40 held-back cases it did not foretell the Dice (rank correlation" in told.unknown
    assert told.to_json() == {"unknown": told.unknown}


@pytest.mark.parametrize(
    ("features", "verdict", "reason"),
    [
        ({"volume_ml": 40.0, "last_change": 0.1}, "fits", "the volume of all labels is 40 mL, that of the held-back"),
        ({"volume_ml": 4.0, "last_change": 0.9}, "fits", "what the last step changed is 0.9"),
        ({"volume_ml": 4.0}, "fits", "what the last step changed is not known; keep every step"),
        ({}, "fits", "nothing was found in the scan"),
        ({"volume_ml": 4.0, "last_change": 0.1}, "check: slices are 10 mm apart", "(check: slices are 10 mm apart)"),
        ({"volume_ml": 4.0, "last_change": 0.1}, "does not fit: a CT", "(does not fit: a CT)"),
    ],
)
def test_outside_of_what_was_validated_it_is_not_known_and_the_reason_is_told(
    features: dict[str, float], verdict: str, reason: str
) -> None:
    told = expected_dice(record(), features, verdict)
    assert told.dice is None
    assert reason in told.unknown
    assert told.sentence == f"expected Dice not known: {told.unknown}"


def test_a_model_without_such_a_record_says_so() -> None:
    assert expected_dice({}, {"volume_ml": 4.0}).unknown == (
        "the model does not record how its held-back cases came about"
    )


def test_few_cases_or_features_that_are_all_alike_give_no_record() -> None:
    assert measured_dice_prediction(*held_back(19, 0.01)) is None
    assert measured_dice_prediction([{"volume_ml": 3.0}] * 30, noise(30, 0)) is None
    assert measured_dice_prediction([], []) is None


def test_cases_without_features_or_dice_are_left_out() -> None:
    features, dice = held_back(30, 0.01)
    found = measured_dice_prediction([*features, {}, {"volume_ml": 3.0}], [*dice, 0.5, math.nan])
    assert found == measured_dice_prediction(features, dice)


def test_a_feature_that_some_cases_lack_is_not_used() -> None:
    features, dice = held_back(30, 0.01)
    found = measured_dice_prediction([{**features[0]}, *({**one, "entropy": 0.1} for one in features[1:])], dice)
    assert found is not None
    assert found["features"] == ["volume_ml", "last_change"]


def test_the_rank_correlation_is_that_of_scipy_with_equal_values_too() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 6, 50).astype(float), rng.integers(0, 6, 50).astype(float)
    assert rank_correlation(one, other) == pytest.approx(scipy.stats.spearmanr(one, other).statistic)
    assert rank_correlation(np.ones(5), np.arange(5.0)) == 0.0


def test_the_interval_of_a_rank_correlation_is_that_of_bonett_and_wright() -> None:
    """0.5 and 28 cases: atanh 0.5 = 0.5493, standard error √(1.125 / 25) = 0.2121."""
    assert rank_correlation_interval(0.5, 28) == pytest.approx((math.tanh(0.1335), math.tanh(0.9651)), abs=1e-3)


def test_the_card_says_it_and_a_record_of_unequal_lengths_is_refused() -> None:
    found = record()
    assert "## Dice to expect of a case" in measured_lines(found)
    whole = {"format": "f", "method": {"name": "m", "options": {}}, "plan": {}, "digest": "d", "files": {}, **found}
    check_record(whole, "bundle.json")
    stored = {**found["predicted_dice"], "weights": [1.0]}
    with pytest.raises(BundleError, match="features and weights of different number"):
        check_record({**whole, "predicted_dice": stored}, "bundle.json")
    stored = {**found["predicted_dice"], "deviations": [0.0, 1.0]}
    with pytest.raises(BundleError, match="deviations"):
        check_record({**whole, "predicted_dice": stored}, "bundle.json")
