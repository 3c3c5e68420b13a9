"""What predict prints of an answer."""

from __future__ import annotations

from voxtrace.batch.ledger import Entry
from voxtrace.cli.show_answer import answer_lines


def entry(**changes: object) -> Entry:
    return Entry("a", "done", **changes)  # type: ignore[arg-type]


def test_volumes_stand_with_their_intervals() -> None:
    found = entry(volumes_ml={"liver": 1512.3, "lesion": 0.0421, "cyst": 0.0}, intervals_ml={"liver": [1400.2, 1600.0]})
    assert answer_lines(found) == ["liver 1,512 mL (1,400 to 1,600), lesion 0.0421 mL"]


def test_a_label_that_was_not_found_stands_where_it_may_have_been_missed() -> None:
    found = entry(volumes_ml={"lesion": 0.0}, intervals_ml={"lesion": [0.0, 0.4]})
    assert answer_lines(found) == ["lesion 0 mL (0 to 0.4)"]


def test_what_was_removed_is_said() -> None:
    gone = {"liver": {"rule": "largest", "pieces": 2, "removed_ml": 0.25}, "aorta": {"pieces": 0, "removed_ml": 0.0}}
    told = answer_lines(entry(run={"post_processing": gone}))
    assert told == ["liver: 2 small pieces removed, 0.25 mL (--post-processing none keeps them)"]


def test_many_labels_are_left_to_the_ledger() -> None:
    assert answer_lines(entry(volumes_ml={str(n): 1.0 for n in range(7)})) == []
