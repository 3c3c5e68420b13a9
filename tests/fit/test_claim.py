"""The card's table of CLAIM claims what the card has, and the maker's file is bounded."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from voxtrace import bundle
from voxtrace.errors import InputError
from voxtrace.fit import ABOUT, card_text, check_record, claim_items, measured_lines, read_about, words_of_items

WORDS = {name: f"what is to be said of {name}" for name in ABOUT}
MEAN = {"mean": 0.8, "ci95": [0.7, 0.9], "n": 4}


def record(**changes: Any) -> dict[str, Any]:
    """A bundle's record as a training with a held-back fold writes it."""
    sides = {
        "training": [{"name": f"a{n}", "images": [f"{n:02x}"], "labels": "00"} for n in range(3)],
        "held_back": [{"name": "b", "images": ["ff"], "labels": "01"}],
    }
    found = {
        **bundle.card("hippocampus-recyclenet"),
        "failures": [{"case": "b", "dice": 0.4}],
        "about": WORDS,
        "metrics": {
            "validation": {
                "cases": 4,
                "dice": MEAN,
                "dice_per_step": [0.7, 0.8],
                "measures": {"dice": MEAN},
                "measures_per_label": {"anterior": {"dice": MEAN}},
            }
        },
    }
    found["provenance"] = {**found["provenance"], **sides}
    return copy.deepcopy({**found, **changes})


def without(path: str) -> dict[str, Any]:
    found = record()
    *parents, last = path.split(".")
    table = found
    for name in parents:
        table = table[name]
    table.pop(last)
    return found


def headings(of: dict[str, Any]) -> set[str]:
    lines = card_text("m", {}, of).splitlines()
    return {line.removeprefix("## ") for line in lines if line.startswith("## ")}


def test_all_44_items_are_told_or_left_out_with_a_reason() -> None:
    items = claim_items(record())
    assert [item.number for item in items] == list(range(1, 45))
    assert all(bool(item.where) != bool(item.why) for item in items)
    assert [item.number for item in items if not item.where] == [27, 38]
    assert not any(item.applies for item in items if not item.where)


@pytest.mark.parametrize(
    ("path", "lost"),
    [
        ("provenance.training", {19, 20}),
        ("provenance.versions", {23}),
        ("provenance.seed", {24}),
        ("provenance.iterations", {24, 25, 26}),
        ("metrics.validation", {2, 28, 29, 32, 37}),
        ("metrics.validation.measures_per_label", {28, 29, 32, 37}),
        ("failures", {39}),
        ("plan.spacing_mm", {1, 9, 10, 22, 23, 24, 25, 26, 42}),
        *((f"about.{name}", set(numbers)) for name, numbers in words_of_items().items() if name not in ("sources",)),
    ],
)
def test_what_is_absent_is_not_claimed(path: str, lost: set[int]) -> None:
    still = {7: "sources", 31: "explainability", 40: "limits"}  # told by the record, too
    before = {item.number for item in claim_items(record()) if item.where}
    items = claim_items(without(path))
    kept = {number for number, name in still.items() if path == f"about.{name}"}
    assert before - {item.number for item in items if item.where} == lost - kept


def outside(**changes: Any) -> dict[str, Any]:
    """A record without held-back cases, compared with two external ones."""
    found = record(failures=[])
    del found["failures"]
    found["external"] = {
        "reference": "labels of another network",
        "cases": [{"name": "x", "images": ["ee"], "labels": "02"}],
        "validation": found["metrics"].pop("validation"),
        "failures": [{"case": "x", "dice": 0.4, "picture": "external_1.png"}],
    }
    found["provenance"]["held_back"] = []
    return {**found, **changes}


def test_external_cases_tell_what_no_held_back_case_tells() -> None:
    items = claim_items(outside())
    assert [item.number for item in items if item.applies and not item.where] == [32]
    assert {item.where for item in items if item.number in (28, 29, 37, 39)} == {"External cases"}
    text = card_text("m", {}, outside())
    assert "against labels of another network" in text
    assert "![x](external_1.png)" in text
    assert "external cases, 1: x; no image of them is one of training" in text
    check_record(outside(), "here")


def test_an_external_case_that_was_learned_is_not_called_apart() -> None:
    learned = outside()
    learned["external"]["cases"][0]["images"] = ["01"]
    assert {19, 20} - {item.number for item in claim_items(learned) if item.where} == {20}
    assert "external cases, 1: x\n" in card_text("m", {}, learned)


def test_cases_that_a_score_left_out_were_not_trained_on() -> None:
    some = record()
    some["provenance"] |= {"cases_left_out": 1, "cases_learned": 2}
    assert "- prepared for training, 2 of them learned, 3: a0, a1, a2" in measured_lines(some)
    assert "- trained on, 3: a0, a1, a2" in measured_lines(record())


def test_a_start_is_told_in_words_and_with_what_it_took() -> None:
    begun = record()
    begun["provenance"]["initial"] = {
        "name": "bank1",
        "digest": "98a6884802835b900f8f",
        "told": ["begins anew, as asked: router"],
        "trained": {"iterations": 3300, "seconds": 4080.0},
    }
    begun["provenance"]["initialised_anew"] = ["router.a", "router.b"]
    (start,) = [line for line in measured_lines(begun) if line.startswith("- start")]
    assert "the bundle bank1 (98a6884802835b90…); 2 tensors begin anew; begins anew, as asked: router; then" in start
    assert "{" not in start
    assert any("that it began from: 3300 updates" in line for line in measured_lines(begun))
    assert "router.a" not in card_text("m", {}, begun)


def test_every_section_that_is_named_stands_in_the_card() -> None:
    paths = ("about", "failures", "training_scans", "provenance", "metrics", "plan", "method", "cost")
    for one in (record(), outside(), *map(without, paths), {}, bundle.card("abdomen-phantom-recyclenet")):
        there = headings(one)
        assert {item.where for item in claim_items(one) if item.where} <= there


def test_cases_on_both_sides_are_not_called_disjoint() -> None:
    mixed = record()
    mixed["provenance"]["held_back"][0]["images"] = ["01"]
    assert claim_items(mixed)[19].why == "not recorded (disjoint)"
    assert not any("no image of a held-back case" in line for line in measured_lines(mixed))
    assert any("no image of a held-back case" in line for line in measured_lines(record()))


@pytest.mark.parametrize(("rule", "said"), [("largest", True), ("none", False)])
def test_a_row_of_steps_says_that_the_last_one_lost_its_pieces(rule: str, said: bool) -> None:
    text = card_text("m", {}, record(post_processing={"labels": {"anterior": rule}, "tried": {}}))
    assert ("is not counted here" in text) == said


def test_what_a_demonstration_has_no_patients_for_does_not_apply() -> None:
    items = claim_items(bundle.card("abdomen-phantom-recyclenet"))
    assert {item.number for item in items if not item.applies} >= {5, 8, 11, 13, 14, 16, 36}
    assert all("made-up" in item.why for item in items if item.number in (11, 36))


def test_a_strange_record_makes_a_card() -> None:
    strange: Any = record(plan={"labels": [1], "topology": 3, "spacing_mm": "x", "normalisation": 1, "channels": 2})
    strange["provenance"] = {"training": 3, "held_back": [1], "prediction": [1], "dataset": {"a": 1}, "versions": 1}
    check_record(strange, "here")
    assert "## CLAIM" in card_text("m", {}, strange)


def test_a_makers_words_are_read_from_toml_and_json(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('funding = "none"\npopulation = """two\n## CLAIM\nlines"""\n', encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps({"funding": "none", "ethics": " "}), encoding="utf-8")
    assert read_about(tmp_path / "a.toml") == {"population": "two ## CLAIM lines", "funding": "none"}
    assert read_about(tmp_path / "a.json") == {"funding": "none"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("funds = 'x'", "'funds', which no card tells"),
        ("funding = 3", "expected a text in quotes"),
        ("funding = [[", "cannot be read"),
        (f"funding = '{'x' * 5000}'", "at most 4,000"),
        (f"funding = '{'x' * 300_000}'", "larger than 256 KiB"),
    ],
)
def test_a_makers_file_that_is_wrong_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_about(tmp_path / "a.toml")
