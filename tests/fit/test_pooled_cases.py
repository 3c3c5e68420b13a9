"""What a cross-validation measures of its folds' cases is what a prediction with all of them gives."""

from __future__ import annotations

from typing import Any

import pytest

from voxtrace.fit import coverage_record
from voxtrace.fit.interval_coverage import volumes_of
from voxtrace.fit.pooled_cases import by_pooled_rules, with_own_rules

TRIED = {word: {"n": 6, "dice": dice, "nsd": 0.9} for word, dice in (("none", 0.8), ("largest", 0.9))}
BEFORE = {"none": {"n": 5, "dice": 0.9, "nsd": 0.9}, "largest": {"n": 5, "dice": 0.9, "nsd": 0.9}}


def case(name: str, ml: float, by_rule: Any = None, **more: Any) -> dict[str, Any]:
    """A case whose reference has 10 mL of liver."""
    row = {"name": name, "dice": {"liver": 0.8}, "predicted_ml": {"liver": ml}, "reference_ml": {"liver": 10.0}}
    return {**row, "measures": {"liver": {"nsd": 0.7}}, **({} if by_rule is None else {"by_rule": by_rule}), **more}


def entries(ml: float, removed: float) -> list[dict[str, Any]]:
    """What the rules make of a case: ``largest`` removes so many mL, and so does 10 mm³; others remove nothing."""
    return [
        {"rules": ["none"], "dice": 0.8, "predicted_ml": ml, "measures": {"nsd": 0.7}},
        {"rules": ["largest", "10"], "dice": 0.95, "predicted_ml": ml - removed, "measures": {"nsd": 0.9}},
    ]


def record(rows: list[dict[str, Any]], rules: dict[str, str], tried: Any, **plan: Any) -> dict[str, Any]:
    """The record of a fold."""
    told = [row["by_rule"] for row in rows if "by_rule" in row]
    plain = [{name: value for name, value in row.items() if name != "by_rule"} for row in rows]
    return {
        "plan": {"labels": {"0": "background", "1": "liver"}, **plan},
        "post_processing": {"labels": rules, "tried": {"liver": tried}},
        "metrics": {"validation": {"cases": len(rows), "per_case": plain, **({"by_rule": told} if told else {})}},
    }


def rows_of(found: Any) -> list[Any]:
    return list(found["metrics"]["validation"]["per_case"])


def test_a_fold_that_kept_every_piece_counts_with_the_rule_of_all_folds() -> None:
    folds = {
        0: record([case("a", 9.0, {"liver": entries(12.0, 3.0)})], {"liver": "largest"}, TRIED),
        1: record([case("b", 12.0, {"liver": entries(12.0, 2.0)}), case("c", 11.0, {})], {}, BEFORE),
    }
    first, second = by_pooled_rules(folds).values()
    assert first == folds[0]  # it had that rule
    b, c = rows_of(second)
    assert (b["predicted_ml"], b["dice"], b["measures"]) == ({"liver": 10.0}, {"liver": 0.95}, {"liver": {"nsd": 0.9}})
    assert c == case("c", 11.0)  # no rule removes anything there
    assert {fold.fold: fold.predicted_ml.tolist() for fold in volumes_of(folds)["liver"]} == {0: [9.0], 1: [10.0, 11.0]}
    assert rows_of(folds[1])[0]["predicted_ml"] == {"liver": 12.0}  # what was given stays


def test_a_fold_that_removed_pieces_counts_without_where_all_folds_keep_them() -> None:
    worse = {"none": {"n": 50, "dice": 0.9, "nsd": 0.9}, "largest": {"n": 50, "dice": 0.5, "nsd": 0.9}}
    folds = {
        0: record([case("a", 9.0, {"liver": entries(12.0, 3.0)})], {"liver": "largest"}, TRIED),
        1: record([case("b", 12.0, {})], {}, worse),
    }
    assert rows_of(by_pooled_rules(folds)[0])[0]["predicted_ml"] == {"liver": 12.0}


def test_a_rule_that_is_not_listed_for_a_case_removes_nothing_there() -> None:
    tried = {**TRIED, "30": {"n": 6, "dice": 0.99, "nsd": 0.9}}
    folds = {0: record([case("a", 12.0, {"liver": entries(12.0, 3.0)})], {}, tried)}
    assert rows_of(by_pooled_rules(folds)[0])[0]["predicted_ml"] == {"liver": 12.0}


def test_a_label_that_is_gone_with_the_rule_has_no_measures() -> None:
    gone = [entries(1.0, 0.0)[0], {"rules": ["largest"], "dice": None, "predicted_ml": 0.0, "measures": {}}]
    folds = {0: record([case("a", 1.0, {"liver": gone})], {}, TRIED)}
    [row] = rows_of(by_pooled_rules(folds)[0])
    assert (row["dice"], row["predicted_ml"], row["measures"]) == ({"liver": None}, {"liver": 0.0}, {})


def test_cards_of_earlier_versions_count_with_their_own_rule_and_are_named() -> None:
    """They do not tell what other rules would have made of a case."""
    folds = {
        0: record([case("a", 9.0)], {"liver": "largest"}, TRIED),
        1: record([case("b", 12.0)], {}, BEFORE),
    }
    first, second = by_pooled_rules(folds).values()
    assert (rows_of(first), rows_of(second)) == ([case("a", 9.0)], [case("b", 12.0)])
    assert with_own_rules(folds) == {"liver": [1]}
    told = {**folds, 1: record([case("b", 12.0, {})], {}, BEFORE)}
    assert with_own_rules(told) == {}


def test_records_without_rules_stay_as_they_are() -> None:
    plain = {0: {**record([case("a", 9.0)], {}, TRIED), "post_processing": None}}
    assert by_pooled_rules(plain) == plain
    assert by_pooled_rules({}) == {}


def test_coverage_is_that_of_the_volumes_with_the_pooled_rule() -> None:
    """With the rule every volume is right; without, those of fold 1 are far too large."""
    right = [case(f"a{n}", 10.0, {"liver": entries(60.0, 50.0)}) for n in range(20)]
    wrong = [case(f"b{n}", 60.0, {"liver": entries(60.0, 50.0)}) for n in range(20)]
    folds = {0: record(right, {"liver": "largest"}, TRIED), 1: record(wrong, {}, BEFORE)}
    found = coverage_record(folds)
    assert found is not None
    assert found["labels"]["liver"]["left_out"]["coverage"] == pytest.approx(1.0)


def test_regions_are_counted_like_labels() -> None:
    volumes = {"predicted_ml": {"liver": 9.0, "organ": 20.0}, "reference_ml": {"liver": 10.0, "organ": 22.0}}
    rows = [case("a", 9.0) | volumes]
    plain = {0: record(rows, {}, TRIED, regions=[{"name": "organ"}, {"name": "liver"}]) | {"post_processing": None}}
    assert {name: found[0].predicted_ml.tolist() for name, found in volumes_of(plain).items()} == {
        "liver": [9.0],
        "organ": [20.0],
    }
