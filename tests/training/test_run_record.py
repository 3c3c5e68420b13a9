"""run.json: what resuming goes on with, and the sentence that says what is another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from voxtrace.errors import InputError
from voxtrace.training.identity import CaseIdentity
from voxtrace.training.run_record import (
    RUN,
    TrainingRecord,
    differences,
    in_words,
    load_record,
    open_record,
    save_record,
)

ASKED: dict[str, Any] = {
    "method": {"name": "unet", "options": {}},
    "plan": {"iterations": 40, "window": [16, 16, 16]},
    "seed": 0,
    "average": 0.0,
    "cases": 2,
    "dataset": "Balls",
    "fold": 0,
    "label_folder": None,
    "initial": "",
    "training": ["a", "b"],
    "held_back": ["c"],
}


def case(name: str, image: str = "", labels: str = "1") -> CaseIdentity:
    return CaseIdentity(name, (image or f"image of {name}",), labels)


DAMAGED = ['{"method": 3}', '{"method": {"options": 3}}', '{"plan": []}', '{"training": 5}', '{"held_back": [{}]}']
DAMAGED += ['{"known": {"training": [1]}}', '{"known": []}', '{"stretches": [3]}', '{"changed": 3}']


@pytest.mark.parametrize("content", ["{", "[]", *DAMAGED])
def test_a_record_that_describes_no_run_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / RUN).write_text(content)
    with pytest.raises(InputError, match="does not describe a run"):
        open_record(tmp_path, {"seed": 0}, {})


def test_a_record_of_the_first_version_is_compared_by_what_it_says(tmp_path: Path) -> None:
    (tmp_path / RUN).write_text('{"method": {"name": "unet", "options": {}}, "seed": 0, "cases": 2, "initial": ""}')
    open_record(tmp_path, ASKED, {})
    (tmp_path / RUN).write_text('{"seed": 0, "cases": 4}')
    with pytest.raises(InputError, match=r"had another cases \(4, now 5\); resume with the same"):
        open_record(tmp_path, {"seed": 0, "cases": 5}, {})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"fold": 1}, "fold (0, now 1)"),
        ({"fold": None}, "fold (0, now none)"),
        ({"dataset": "Blocks"}, "dataset (Balls, now Blocks)"),
        ({"seed": 3}, "seed (0, now 3)"),
        ({"average": 0.9}, "average (0.0, now 0.9)"),
        ({"label_folder": "labelsChosen"}, "label folder (none, now labelsChosen)"),
        ({"training": ["a", "d"]}, "training cases (d new; b missing)"),
        ({"training": ["b", "a"]}, "training cases (in another order)"),
        ({"held_back": []}, "held-back cases (c missing)"),
        ({"plan": {"iterations": 60, "window": [16, 16, 16]}}, "iterations (40, now 60)"),
        ({"method": {"name": "recyclenet", "options": {"cycles": 7}}}, "method (unet, now recyclenet)"),
        ({"initial": "ab" * 32}, "initial bundle (none, now abababab …)"),
    ],
    ids=str,
)
def test_the_sentence_says_what_is_another(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    open_record(tmp_path, ASKED, {})
    with pytest.raises(InputError) as refused:
        open_record(tmp_path, {**ASKED, **changes}, {})
    assert f"had another {told}; resume with the same, or choose another output." in str(refused.value)


def test_an_option_of_the_method_is_named_with_both_values() -> None:
    before, now = ({"method": {"name": "unet", "options": {"cycles": n}}} for n in (3, 5))
    assert differences(before, now) == ["cycles (3, now 5)"]


def test_many_differences_are_counted() -> None:
    now = {**ASKED, "dataset": "Blocks", "fold": 1, "seed": 2, "held_back": []}
    assert in_words(differences(ASKED, now)).endswith("another seed (0, now 2); and 1 more")


def test_what_was_read_returns_from_the_file(tmp_path: Path) -> None:
    record = open_record(tmp_path, ASKED, {"precision": "float32"})
    scored = CaseIdentity("a", ("x",), "y", {"reliability": 0.5})
    record, told = record.took([scored], [case("c")], 0)
    assert told == ""
    save_record(tmp_path, record)
    assert load_record(tmp_path) == record
    again = open_record(tmp_path, ASKED, {"precision": "bfloat16"})
    assert [stretch["precision"] for stretch in again.stretches] == ["float32", "bfloat16"]
    assert again.training == (scored,)


def test_a_corrected_label_file_is_told_and_written_down() -> None:
    record, _ = TrainingRecord(ASKED).took([case("a"), case("b")], [case("c")], 0)
    record, told = record.took([case("a", labels="2"), case("b")], [case("c")], 25)
    assert "labels of a; prepared anew, training goes on with them from iteration 25" in told
    assert list(record.changed) == [{"name": "a", "what": ["labels"], "after_iterations": 25}]
    _, told = record.took([case("a", labels="2"), case("b")], [case("c")], 30)
    assert told == ""


def test_changed_scores_count_as_a_change() -> None:
    record, _ = TrainingRecord(ASKED).took([case("a"), case("b")], [], 0)
    _, told = record.took([case("a"), CaseIdentity("b", ("image of b",), "1", {"reliability": 0.1})], [], 5)
    assert "scores of b" in told


def test_the_images_of_another_dataset_under_the_same_names_are_refused() -> None:
    record, _ = TrainingRecord(ASKED).took([case("a"), case("b")], [], 0)
    with pytest.raises(InputError, match="all 2 training images are others"):
        record.took([case("a", "x"), case("b", "y")], [], 5)
    _, told = record.took([case("a", "x"), case("b")], [], 5)
    assert "image of a" in told
