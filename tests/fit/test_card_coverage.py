"""The card says in per cent what windows that are skipped by decisions reach, and what followed from it."""

from __future__ import annotations

from typing import Any

import pytest

from voxtrace.bundle import card
from voxtrace.errors import BundleError
from voxtrace.fit import card_text, check_record

SEEN: dict[str, Any] = {"labels": {"liver": 0.9912, "aorta": 1.0}, "least": 0.875, "cases": 3}


def _windows(coverage: dict[str, Any] | None, asked: dict[str, Any], **options: Any) -> str:
    """The section of a card with this coverage, options and values that were asked for; "" where there is none."""
    record = {"method": {"options": options}, "provenance": {"chosen_after_training": asked}, "coverage": coverage}
    _, _, section = card_text("m", {}, record).partition("## Windows\n")
    return " ".join(section.partition("\n## ")[0].split())


def test_each_label_the_least_and_the_cases_are_told() -> None:
    told = _windows({**SEEN, "chosen": {"windows": "regular"}}, {"windows": "adaptive"}, windows="regular")
    assert "of 3 training cases" in told
    assert "the least of any label of any case is 87.50 %" in told
    assert "- liver: 99.12 % - aorta: 100.00 %" in told
    assert told.endswith("so that windows=regular was chosen; training was asked for windows=adaptive.")


def test_what_was_set_since_is_not_told_as_chosen() -> None:
    told = _windows({**SEEN, "chosen": {"windows": "regular"}}, {"rule": "paper"}, windows="adaptive", rule="code")
    assert "windows=regular was chosen; training was asked for windows=adaptive. " in told
    assert told.endswith("Predictions use windows=adaptive, which was set since.")
    assert "rule" not in told


@pytest.mark.parametrize(
    ("least", "shown", "followed"),
    [
        (1.0, "100.00 %", "They reach all of it, so that no option had to change."),
        (0.99996, "just below 100 %", "What lies outside them is background in an answer with these windows."),
    ],
)
def test_less_than_all_is_never_told_as_all(least: float, shown: str, followed: str) -> None:
    told = _windows({**SEEN, "least": least}, {})
    assert f"any case is {shown})" in told
    assert told.endswith(followed)


def test_a_record_without_coverage_has_no_such_section() -> None:
    assert _windows(None, {}) == ""


@pytest.mark.parametrize("change", [{"least": 1.5}, {"cases": "3"}, {"labels": {"liver": "all"}}, {"chosen": [1]}])
def test_coverage_that_is_none_is_refused(change: dict[str, Any]) -> None:
    whole = card("hippocampus-unet")
    check_record({**whole, "coverage": SEEN}, "bundle.json")
    with pytest.raises(BundleError, match="coverage"):
        check_record({**whole, "coverage": {**SEEN, **change}}, "bundle.json")
