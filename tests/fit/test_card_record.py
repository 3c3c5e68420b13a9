"""A stranger's record is refused where what is worked out from it would fail or be no number."""

from __future__ import annotations

from typing import Any

import pytest

from voxtrace.errors import BundleError
from voxtrace.fit.card_record import check_pooled, check_record

WHOLE: dict[str, Any] = {"format": "f", "method": {"name": "m", "options": {}}, "plan": {}, "digest": "d", "files": {}}
ROW = {"n": 5, "dice": 0.8, "nsd": 0.9}
DICE: dict[str, Any] = {
    "features": ["entropy"],
    "means": [0.1],
    "deviations": [0.1],
    "weights": [-0.1],
    "ranges": [[0.0, 1.0]],
    "intercept": 0.8,
    "half_width": 0.1,
    "level": 0.9,
    "rank_correlation": 0.6,
    "cases": 30,
    "rank_correlation_ci95": [0.4, 0.8],
}
BINS = [[1, 0.5, 0.5]]
CALIBRATION: dict[str, Any] = {
    "temperature": 1.1,
    "cases": 2,
    "voxels": 1,
    "ece_before": 0.1,
    "ece_after": 0.1,
    "reliability_before": BINS,
    "reliability_after": BINS,
}


@pytest.mark.parametrize(
    "tried",
    [
        {"largest": ROW},  # what it was without a rule is missing
        {"none": {**ROW, "n": 0}},  # of no case: a mean over folds has no weight
        {"none": ROW, "smooth": ROW},  # no rule
    ],
)
def test_post_processing_that_folds_could_not_be_pooled_from_is_refused(tried: dict[str, Any]) -> None:
    found = {"post_processing": {"labels": {}, "tried": {"liver": tried}}}
    for check in (check_pooled, check_record):
        with pytest.raises(BundleError, match="tried no known rules for liver"):
            check({**WHOLE, **found}, "bundle.json")
    check_record({**WHOLE, "post_processing": {"labels": {}, "tried": {"liver": {"none": ROW}}}}, "bundle.json")


@pytest.mark.parametrize(
    "change", [{"weights": [1e300]}, {"deviations": [1e-300]}, {"means": [-1e300]}, {"intercept": 1e300}]
)
def test_a_regression_whose_answer_may_be_no_number_is_refused(change: dict[str, Any]) -> None:
    check_record({**WHOLE, "predicted_dice": DICE}, "bundle.json")
    with pytest.raises(BundleError, match="predicted_dice"):
        check_record({**WHOLE, "predicted_dice": {**DICE, **change}}, "bundle.json")


def test_bins_before_and_after_are_of_one_number() -> None:
    check_record({**WHOLE, "calibration": CALIBRATION}, "bundle.json")
    with pytest.raises(BundleError, match="bins of different number"):
        check_record({**WHOLE, "calibration": {**CALIBRATION, "reliability_after": BINS * 2}}, "bundle.json")
