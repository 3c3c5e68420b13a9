"""The Dice to expect stands in the trace, in memory and on disk, and in the ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from made import bundle_folder, volume
from voxtrace.batch.trust import trust_of
from voxtrace.bundle import Bundle, annotate, load
from voxtrace.fit import Fit, case_features
from voxtrace.inference import predict, segment
from voxtrace.trace import OTHERWISE, Trace


def foretelling(like: Trace, slope: float = -0.1) -> dict[str, Any]:
    """Return a record whose held-back cases came about like a trace."""
    features = case_features(like)
    names = list(features)
    return {
        "features": names,
        "means": [0.0] * len(names),
        "deviations": [1.0] * len(names),
        "weights": [0.0, *[slope] * (len(names) - 1)],
        "intercept": 0.9,
        "ranges": [[value * 0.5, value * 2.0] for value in features.values()],
        "half_width": 0.05,
        "level": 0.9,
        "rank_correlation": 0.6,
        "rank_correlation_ci95": [0.4, 0.75],
        "cases": 40,
    }


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle that foretells the Dice of the made-up scan."""
    plain = bundle_folder(tmp_path / "model")
    annotate(plain, {"predicted_dice": foretelling(predict(load(plain), volume(), keep="labels").trace)})
    return load(plain)


def test_the_trace_says_what_to_expect_in_memory_and_on_disk(bundle: Bundle, tmp_path: Path) -> None:
    trace = predict(bundle, volume(), keep="labels").trace
    told = trace.provenance.expected_dice
    assert told is not None
    features = case_features(trace)
    assert told.dice == pytest.approx(
        min(1.0, max(0.0, 0.9 - 0.1 * sum(v for n, v in features.items() if n != "volume_ml"))), abs=1e-3
    )
    list(segment(bundle, volume(), keep="labels", store=tmp_path / "case.trace"))
    assert Trace.load(tmp_path / "case.trace").provenance.expected_dice == told
    entry = trust_of(bundle.record, trace, Fit())
    assert (entry["expected_dice"], entry["predicted_dice"]) == (told.dice, told.to_json())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"steps": 2}, "with other options"),
        ({"keep": "last"}, "keep every step"),
        ({"settle": 0.01}, "with other options"),
    ],
)
def test_what_came_about_otherwise_than_in_validation_is_not_known(
    bundle: Bundle, changes: dict[str, Any], reason: str
) -> None:
    trace = predict(bundle, volume(), **{"keep": "labels", **changes}).trace
    told = trace.provenance.expected_dice
    assert told is not None
    assert told.dice is None
    assert reason in told.unknown
    assert trust_of(bundle.record, trace, Fit())["predicted_dice"] == {"unknown": told.unknown}


def test_of_several_models_it_is_not_known(bundle: Bundle) -> None:
    other = replace(bundle, card={**bundle.card, "name": "other"})
    for changes in ({}, {"members": True}):
        told = predict((bundle, other), volume(), keep="labels", **changes).trace.provenance.expected_dice
        assert told is not None
        assert "several answers were combined" in told.unknown


def test_volume_intervals_of_several_models_hold_for_usual_options_and_averages_alone(bundle: Bundle) -> None:
    interval = {"cases": 20, "level": 0.9, "bias": 1.0, "factors": [0.5, 2.0], "predicted_ml": [0.0, 1e6]}
    labels = {str(value): interval for value in bundle.plan.labels if value}
    other = replace(bundle, card={**bundle.card, "name": "other"})
    record = {**bundle.record, "intervals": {"names": {}, "labels": labels}}

    def told(**changes: Any) -> bool:
        trace = predict((bundle, other), volume(), keep="labels", **changes).trace
        return "intervals_ml" in trust_of(record, trace, Fit())

    assert told()
    assert not told(post_processing="none")
    assert not told(members=True)


def test_a_vote_with_other_options_says_so(bundle: Bundle) -> None:
    other = replace(bundle, card={**bundle.card, "name": "other"})
    trace = predict((bundle, other), volume(), keep="labels", members=True, post_processing="none").trace
    assert trace.provenance.expected_dice == OTHERWISE


def test_a_bundle_without_a_record_says_so(bundle: Bundle) -> None:
    plain = replace(bundle, card={name: value for name, value in bundle.card.items() if name != "predicted_dice"})
    told = predict(plain, volume(), keep="labels").trace.provenance.expected_dice
    assert told is not None
    assert "does not record" in told.unknown
