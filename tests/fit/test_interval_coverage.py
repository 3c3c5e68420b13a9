"""How often intervals hold the true volume: on volumes whose coverage is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from voxtrace.fit import coverage_record
from voxtrace.fit.interval_coverage import (
    FoldVolumes,
    IntervalCoverage,
    halves_coverage,
    left_out_coverage,
    volumes_of,
)


def folds(cases: int, number: int = 5, seed: int = 0) -> list[FoldVolumes]:
    """Folds of one distribution: skewed, biased, one case in ten an outlier."""
    rng = np.random.default_rng(seed)
    found = []
    for fold in range(number):
        predicted = np.exp(rng.normal(1.0, 0.5, cases))
        outlier = (rng.random(cases) < 0.1) * rng.normal(0.0, 0.6, cases)
        found.append(FoldVolumes(fold, predicted, predicted * np.exp(rng.normal(0.07, 0.15, cases) + outlier)))
    return found


@pytest.mark.parametrize("cases", [40, 52])
def test_cases_of_other_folds_cover_nine_in_ten(cases: int) -> None:
    found = [left_out_coverage(folds(cases, seed=seed)) for seed in range(20)]
    assert all(0.86 <= one.fraction <= 0.94 for one in found)
    assert np.mean([one.fraction for one in found]) == pytest.approx(0.9, abs=0.01)
    assert {one.cases + one.without for one in found} == {5 * cases}


def test_another_level_is_covered_as_often_as_asked() -> None:
    assert left_out_coverage(folds(60), level=0.7).fraction == pytest.approx(0.7, abs=0.04)


def test_a_fold_of_another_bias_is_not_covered() -> None:
    """Intervals hold for cases like those that they came from; here one fold's volumes are half of the truth."""
    found = folds(40)
    odd = FoldVolumes(4, found[4].predicted_ml, 2.0 * found[4].reference_ml)
    assert left_out_coverage([*found[:4], odd]).fraction < 0.8


def test_halves_of_a_fold_cover_what_their_number_says() -> None:
    """Of 40 cases, 20 known: 2 of 21 outside."""
    found = [halves_coverage(folds(40, seed=seed), repeats=20) for seed in range(10)]
    assert np.mean([one for one in found if one is not None]) == pytest.approx(19 / 21, abs=0.012)
    assert halves_coverage(folds(19)) is None  # half of it is less than ten


def test_the_interval_of_a_fraction_is_wilsons() -> None:
    """45 of 50: (0.9 + 1.9208/50 ± 1.96·√(0.09/50 + 0.9604/2500)) / (1 + 3.8415/50)."""
    low, high = IntervalCoverage(45, 0, (1.0,) * 50).ci95
    assert (low, high) == pytest.approx((0.7864, 0.9565), abs=1e-4)


def test_cases_without_an_interval_are_counted_apart() -> None:
    known = FoldVolumes(0, np.full(20, 1.0), np.full(20, 1.0))
    odd = FoldVolumes(1, np.array([0.0, 1.0, 9.0]), np.array([1.0, 1.0, 9.0]))  # not found, like them, far larger
    found = left_out_coverage([known, odd])
    assert (found.covered, found.cases, found.without) == (1, 1, 22)  # three cases make no interval for the others


def record(number: int, cases: int) -> dict[str, Any]:
    volumes = folds(cases)[number]
    rows = [
        {"predicted_ml": {"liver": float(v)}, "reference_ml": {"liver": float(w)}}
        for v, w in zip(volumes.predicted_ml, volumes.reference_ml, strict=True)
    ]
    return {"plan": {"labels": {"0": "background", "1": "liver"}}, "metrics": {"validation": {"per_case": rows}}}


def test_the_record_has_labels_and_all_together() -> None:
    found = coverage_record({number: record(number, 40) for number in range(5)})
    assert found is not None
    one = found["labels"]["liver"]["left_out"]
    assert one == found["all"]["left_out"]
    assert (one["n"] + one["without_interval"], found["level"]) == (200, 0.9)
    assert one["ci95"][0] < one["coverage"] < one["ci95"][1]
    assert one["median_width"] > 0.3


def test_without_volumes_there_is_no_record() -> None:
    assert coverage_record({0: {"plan": {"labels": {"0": "background", "1": "liver"}}}}) is None
    assert coverage_record({0: record(0, 40)}) is None  # no other fold


def test_a_case_that_two_folds_held_back_is_not_behind_the_interval_that_tests_it() -> None:
    """Its hashes tell which it is: made-up names are counted anew in each fold."""

    def fold(cases: dict[str, str]) -> dict[str, Any]:
        held_back = [
            {"name": name, "images": [f"{case}-image"], "labels": f"{case}-labels"} for name, case in cases.items()
        ]
        rows = [{"name": name, "predicted_ml": {"a": 2.0}, "reference_ml": {"a": 3.0}} for name in cases]
        provenance = {"held_back": held_back}
        return {
            "plan": {"labels": {"0": "background", "1": "a"}},
            "provenance": provenance,
            "metrics": {"validation": {"per_case": rows}},
        }

    first, second = {"case_0001": "x", "case_0002": "y"}, {"case_0001": "z", "case_0002": "x"}
    found = volumes_of({0: fold(first), 1: fold(second)})["a"]
    assert [(one.fold, len(one.predicted_ml)) for one in found] == [(0, 2), (1, 1)]
