"""The ranges of training scans are those of the cases that a phase learned, in training and when measured again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cases import ball, drain, small_plan
from voxtrace.bundle import Bundle
from voxtrace.methods import method
from voxtrace.training import train
from voxtrace.training.measuring import measure
from voxtrace.volume import Case

pytestmark = pytest.mark.numeric

LEARNED = replace(ball(0), scores={"difficulty": 0.95})
DROPPED = replace(ball(1, 32), scores={"difficulty": 0.5})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    out = tmp_path_factory.mktemp("learned") / "light"
    plan = method("cdlunet").adapt(small_plan(window=(8, 16, 16), iterations=2))
    made: Bundle = drain(train(method("cdlunet"), plan, [DROPPED, LEARNED], out=out, device="cpu"))
    return made


def _measured(bundle: Bundle, cases: list[Case]) -> dict[str, Any]:
    entries = drain(measure(bundle, cases, [], "cpu", lambda: False))
    found: dict[str, Any] = entries["training_scans"]
    return found


def test_a_case_that_no_phase_learns_widens_no_range(bundle: Bundle) -> None:
    scans = bundle.card["training_scans"]
    assert scans["cases"] == 1
    assert scans["size_mm"] == [list(map(float, LEARNED.labels.data.shape))] * 2
    assert (bundle.card["provenance"]["cases"], bundle.card["provenance"]["cases_learned"]) == (2, 1)


def test_measuring_counts_those_that_training_counted_whatever_scores_they_have_since(bundle: Bundle) -> None:
    unscored = [replace(case, scores={}) for case in (LEARNED, DROPPED)]
    for cases in ([DROPPED, LEARNED], unscored):
        assert _measured(bundle, cases) == bundle.card["training_scans"]
    assert _measured(bundle, [LEARNED, ball(2)])["cases"] == 2  # a case that the bundle does not list as left out


def test_a_bundle_that_lists_no_cases_counts_by_the_scores_of_the_cases(bundle: Bundle) -> None:
    made = {name: value for name, value in bundle.card["provenance"].items() if name != "training"}
    older = replace(bundle, card={**bundle.card, "provenance": made})
    assert _measured(older, [DROPPED, LEARNED]) == bundle.card["training_scans"]
    assert _measured(older, [replace(DROPPED, scores={}), LEARNED])["cases"] == 2
