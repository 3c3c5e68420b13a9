"""Which cases a curriculum learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cases import ball, small_plan
from voxtrace.errors import DatasetError
from voxtrace.methods.cdlunet import CDLUNet
from voxtrace.plan import Plan
from voxtrace.training import train
from voxtrace.training.curriculum import cases_by_phase, learned_cases

pytestmark = pytest.mark.numeric

SCORES = {"a": {"difficulty": 0.95}, "b": {"difficulty": 0.85}, "c": {"difficulty": 0.5}, "d": {}}


def test_cases_are_told_by_phase() -> None:
    phases = CDLUNet().phases(Plan.example())
    assert cases_by_phase(phases, SCORES) == {"easy": ["a", "d"], "hard": ["a", "b", "d"]}


def test_a_card_has_the_cases_of_each_phase_those_learned_and_those_left_out() -> None:
    phases = CDLUNet().phases(Plan.example())
    assert learned_cases(phases, tuple(SCORES.values())) == {
        "cases_learned": 3,
        "cases_left_out": 1,
        "cases_per_phase": {"easy": 2, "hard": 3},
    }
    assert learned_cases(phases, [{}, {}]) == {}  # every phase learns every case


def test_a_later_phase_without_a_case_is_refused_before_the_first_learns(tmp_path: Path) -> None:
    told: list[str] = []
    m, cases = CDLUNet(hard_only=True), [replace(ball(0), scores={"difficulty": 0.95})]
    task = train(m, small_plan(window=(8, 16, 16), iterations=5), cases, out=tmp_path / "b", device="cpu")
    with pytest.raises(DatasetError, match=r"phase 'hard' has no case to learn \(cases per phase: easy: 1, hard: 0\)"):
        told.extend(progress.phase for progress in task)
    assert set(told) == {"prepare"}


def test_a_phase_without_a_case_is_refused_with_the_counts() -> None:
    phases = CDLUNet(easy_above=0.97).phases(Plan.example())
    with pytest.raises(DatasetError, match=r"phase 'easy' has no case to learn \(cases per phase: easy: 0, hard: 2\)"):
        cases_by_phase(phases, {name: SCORES[name] for name in "abc"})
