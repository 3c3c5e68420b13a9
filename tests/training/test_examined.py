"""After a phase a method looks at held-back windows; what it finds is said, written down and kept in the card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cases import ball, small_plan
from voxtrace.bundle import load
from voxtrace.methods import method
from voxtrace.training import train
from voxtrace.training.curriculum import with_places
from voxtrace.training.events import EVENTS, read_events
from voxtrace.training.examined import examine_again

CASES = [ball(seed) for seed in range(6)]
PLAN = small_plan().model_copy(update={"iterations": 6, "batch_size": 1})


def _told(out: Path, cases: Any, validate: Any) -> list[str]:
    m = method("meddanet", scale=0.25)
    progress = list(train(m, PLAN, cases, out=out, validate=validate, device="cpu"))
    return [event.message for event in progress if "worth choosing" in event.message]


def test_what_is_found_is_told_and_kept_in_events_and_card(tmp_path: Path) -> None:
    (told,) = _told(tmp_path / "b", CASES[:2], CASES[2:3])
    found = load(tmp_path / "b").card["metrics"]["examined"]
    assert found["bank"]["sentence"] == told
    assert found["bank"]["passed"] is False  # four updates teach no network anything
    assert {"skill", "skip_precision", "cost_fraction"} <= found["router"].keys()
    events = [event for event in read_events(tmp_path / "b" / EVENTS) if event["event"] == "examined"]
    assert {event["phase"]: event["found"] for event in events} == found


def test_a_measured_bundle_is_examined_as_it_decides_now(tmp_path: Path) -> None:
    """With every slice run, none is skipped; what the bank is worth stays."""
    _told(tmp_path / "b", CASES[:2], CASES[2:3])
    bundle = load(tmp_path / "b")
    before = bundle.card["metrics"]["examined"]
    assert examine_again(bundle, CASES[2:3])["examined"] == before
    now = replace(bundle, method=replace(bundle.method, decide="skip_first", skip_above=0.9999))
    found = examine_again(now, CASES[2:3])["examined"]
    assert found["bank"] == before["bank"]
    assert found["router"]["shares"]["skip"] == 0
    assert examine_again(bundle, ()) == examine_again(replace(bundle, card={}), CASES[2:3]) == {}


def test_without_validation_the_cases_that_a_phase_left_out_are_looked_at(tmp_path: Path) -> None:
    _told(tmp_path / "b", CASES, ())
    found = load(tmp_path / "b").card["metrics"]["examined"]
    assert found["bank"]["slices"] > 0
    # the decision network learned on every case, and the bank on all but those that it chose on: none tells anything
    assert found["router"]["passed"] is None


def test_with_neither_that_is_told(tmp_path: Path) -> None:
    told, again = _told(tmp_path / "b", CASES[:2], ())  # after the bank, and after choices were learned
    assert told == again
    assert told.startswith("No held-back slice shows whether M1 to M4 are worth choosing between")
    assert load(tmp_path / "b").card["metrics"]["examined"]["bank"]["passed"] is None


@pytest.mark.parametrize("n", [1, 5, 16])
def test_places_are_even_and_the_same_each_time(n: int) -> None:
    placed = with_places([{"difficulty": 0.5}] * n)
    assert sorted(case["place"] for case in placed) == pytest.approx([(i + 0.5) / n for i in range(n)])
    assert placed == with_places([{"difficulty": 0.5}] * n)
    assert all((case["cases"], case["difficulty"]) == (n, 0.5) for case in placed)
