"""What a list of models and a card say of one, from its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from voxtrace.bundle import card, shipped
from voxtrace.fit.card_sections import summary
from voxtrace.fit.model_facts import model_facts, step_dice


def record(rule: str, n: int = 2, **row: Any) -> dict[str, Any]:
    """Return a card of two cases with two labels, 0.6 and 0.8 without rules, as earlier versions wrote it."""
    tried = {
        name: {word: {"n": n, "dice": dice + gain, "nsd": 0.5} for word, gain in (("none", 0.0), ("largest", 0.1))}
        for name, dice in (("liver", 0.6), ("spleen", 0.8))
    }
    validation = {"cases": 2, "dice_per_step": [0.65, 0.8], "per_case": [row, row]}
    return {
        "plan": {"labels": {"0": "background", "1": "liver", "2": "spleen"}},
        "metrics": {"validation": validation},
        "post_processing": {"labels": {"liver": rule, "spleen": rule}, "tried": tried},
    }


def test_the_last_step_of_an_earlier_card_counts_without_what_rules_removed() -> None:
    assert step_dice(record("largest")) == [0.65, 0.7]
    assert step_dice(record("largest", by_rule={})) == [0.65, 0.8]  # told apart when it was measured
    now = record("largest")
    now["metrics"]["validation"]["by_rule"] = [{}, {}]
    assert step_dice(now) == [0.65, 0.8]
    assert step_dice(record("none")) == [0.65, 0.8]


def test_it_is_not_known_where_labels_are_in_other_numbers_of_cases() -> None:
    assert step_dice(record("largest", n=1)) == [0.65, None]
    assert step_dice({}) == []


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_cards_say_of_each_step_what_the_network_left(name: str) -> None:
    found = card(shipped()[name])
    steps = found["metrics"].get("validation", {}).get("dice_per_step", ())
    assert len(steps) <= 1 or step_dice(found) == pytest.approx(steps, abs=1e-4)
    assert steps or found["provenance"]["held_back"] == []


def test_a_card_says_how_many_cases_were_learned_and_whether_any_was_held_back(tmp_path: Path) -> None:
    found = record("none")
    found["method"], found["plan"]["channels"] = {"name": "cdlunet"}, ["CT"]
    found["metrics"] = {}
    found["provenance"] = {"dataset": "Opinions", "cases": 3, "cases_learned": 2, "held_back": []}
    facts = model_facts(tmp_path, found)
    assert (facts["trained on"], facts["Dice"]) == ("Opinions, 2 of 3 cases", "no case held back")
    assert "Trained on 2 of 3 cases of Opinions." in list(summary(found))
    del found["provenance"]["cases_learned"], found["provenance"]["held_back"]
    facts = model_facts(tmp_path, found)
    assert (facts["trained on"], facts["Dice"]) == ("Opinions, 3 cases", "not known")
