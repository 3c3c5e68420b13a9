"""A rule of post-processing is chosen where it helps held-back cases: on scores that were made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from voxtrace.fit.piece_choice import chosen_rule, piece_record, pooled_rules, tried_rules
from voxtrace.metrics import Scores


def scores(dice: float, nsd: float = 0.9) -> Scores:
    return Scores(1, "liver", dice, nsd, 1.0, 1.0, 10.0, 10.0, nsd)


def test_a_rule_that_raises_dice_and_keeps_nsd_is_chosen() -> None:
    cases = [{"none": scores(0.9), "largest": scores(0.92)}] * 3 + [{"none": scores(0.9)}] * 2
    tried = tried_rules(cases)
    assert tried["largest"] == {"n": 5, "dice": pytest.approx(0.912), "nsd": pytest.approx(0.9)}
    assert tried["100"]["dice"] == pytest.approx(0.9)  # a rule that removes nothing anywhere
    assert chosen_rule(tried) == "largest"


@pytest.mark.parametrize(
    ("dice", "nsd"), [(0.9, 0.9), (0.90005, 0.95), (0.89, 0.99), (0.95, 0.89)]
)  # equal, a rounding, a lower Dice, a lower NSD
def test_a_rule_that_does_not_help_is_not_chosen(dice: float, nsd: float) -> None:
    assert chosen_rule(tried_rules([{"none": scores(0.9), "largest": scores(dice, nsd)}] * 9)) == "none"


def test_the_rule_of_the_highest_dice_is_chosen() -> None:
    case = {"none": scores(0.8), "largest": scores(0.85), "100": scores(0.9), "300": scores(0.88)}
    assert chosen_rule(tried_rules([case] * 5)) == "100"


def test_with_few_cases_nothing_is_chosen() -> None:
    assert chosen_rule(tried_rules([{"none": scores(0.1), "largest": scores(0.9)}] * 4)) == "none"
    assert tried_rules([]) == {}
    assert chosen_rule({}) == "none"


def record(*dice: float) -> dict[str, Any]:
    """A fold of some cases, whose Dice by keeping the largest piece is 0.05 above or below."""
    tried = tried_rules([{"none": scores(0.8), "largest": scores(0.8 + one)} for one in dice])
    return {"post_processing": piece_record({"liver": tried})}


def test_folds_together_choose_by_the_mean_of_all_their_cases() -> None:
    helps, harms = record(*[0.05] * 6), record(*[-0.05] * 20)
    assert helps["post_processing"]["labels"] == {"liver": "largest"}
    pooled = pooled_rules([helps, harms])
    assert pooled is not None
    assert pooled["labels"] == {}
    assert pooled["tried"]["liver"]["largest"]["n"] == 26
    assert pooled["tried"]["liver"]["largest"]["dice"] == pytest.approx(0.8 + (6 * 0.05 - 20 * 0.05) / 26)
    assert pooled_rules([helps, {}]) is None  # a fold that was not measured so
    assert pooled_rules([record(*[0.05] * 3), record(*[0.05] * 3)])["labels"] == {"liver": "largest"}  # type: ignore[index]
