"""Two predictions against a reference, on labels drawn by hand."""

from __future__ import annotations

import math

import pytest

from voxtrace.batch.against import against_reference
from voxtrace.batch.evaluation import Scored, with_absent
from voxtrace.metrics import Scores


def scored(case: str, **dice: float) -> Scored:
    """Scores of labels ``l1``, ``l2`` … with a Dice."""
    values = {int(name[1:]): value for name, value in dice.items()}
    return Scored(case, {k: Scores(k, f"label {k}", v, v, 1.0, 1.0, 2.0, 3.0, v) for k, v in values.items()})


def test_the_worst_cases_and_labels_come_first() -> None:
    pairs = [
        (scored("better", l1=0.5, l2=0.5), scored("better", l1=0.75, l2=0.5)),
        (scored("worst", l1=0.75, l2=0.875), scored("worst", l1=0.75, l2=0.125)),
    ]
    found = against_reference(pairs, {2: "spleen"})
    assert [case["case"] for case in found["cases"]] == ["worst", "better"]
    assert found["cases"][0]["difference"] == pytest.approx(0.375)
    assert found["cases"][0]["labels"]["2"] == {"one": 0.875, "other": 0.125, "difference": 0.75}
    assert list(found["labels"]) == ["2", "1"]
    assert found["labels"]["2"]["name"] == "spleen"
    assert found["labels"]["2"]["mean"] == pytest.approx(0.375)
    assert found["labels"]["1"]["mean"] == pytest.approx(-0.125)
    assert found["difference"]["dice"]["mean"] == pytest.approx(found["one"]["dice"] - found["other"]["dice"])


def test_a_label_that_only_one_invents_counts_against_it() -> None:
    found = against_reference([(scored("a", l1=0.5), scored("a", l1=0.5, l2=0.0))], {})
    assert found["cases"][0]["labels"]["2"] == {"one": 1.0, "other": 0.0, "difference": 1.0}
    assert (found["one"]["dice"], found["other"]["dice"]) == (0.75, 0.25)
    assert found["labels"]["2"]["n"] == 1


def test_a_case_that_is_rightly_empty_and_wrongly_filled_is_not_left_out() -> None:
    found = against_reference([(scored("a"), scored("a", l1=0.0))], {})
    assert found["difference"]["dice"]["mean"] == 1.0
    assert found["difference"]["dice"]["n"] == 1


def test_a_case_without_labels_has_no_difference_and_comes_last() -> None:
    pairs = [(scored("empty"), scored("empty")), (scored("b", l1=0.5), scored("b", l1=0.75))]
    found = against_reference(pairs, {})
    assert [case["case"] for case in found["cases"]] == ["b", "empty"]
    assert math.isnan(found["cases"][1]["difference"])
    assert found["difference"]["dice"]["n"] == 1


def test_absent_labels_count_as_found_where_asked_for() -> None:
    failed = Scored("bad", error="unreadable")
    one, other, kept = with_absent([scored("a", l1=0.5), scored("b", l2=0.0), failed], {3: "kidney"})
    assert {k: s.dice for k, s in one.labels.items()} == {1: 0.5, 2: 1.0, 3: 1.0}
    assert {k: s.dice for k, s in other.labels.items()} == {1: 1.0, 2: 0.0, 3: 1.0}
    assert (other.labels[3].name, other.labels[3].hd95_mm, other.labels[3].volume_error_ml) == ("kidney", 0.0, 0.0)
    assert kept is failed
