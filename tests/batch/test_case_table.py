from __future__ import annotations

import csv
from pathlib import Path

import pytest

from voxtrace.batch.case_table import FIRST, as_csv, case_rows, flags
from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.fit.familiarity import LIKE, UNLIKE

GOOD = Entry(
    "a",
    "done",
    bundle="livers",
    steps=3,
    time_s=12.5,
    volumes_ml={"liver": 1500.25, "spleen": 180.0},
    intervals_ml={"liver": [1400.0, 1600.0]},
    usual=LIKE,
    expected_dice=0.93,
    predicted_dice={"dice": 0.93, "interval": [0.85, 1.0]},
    fit={"verdict": "fits", "reasons": []},
)
EMPTY = Entry(
    "b",
    "done",
    bundle="livers",
    volumes_ml={"liver": 0.0, "tumour": 2.0},
    demonstration=True,
    usual=f"{UNLIKE} (entropy)",
    fit={"verdict": "does not fit", "reasons": [{"sentence": "MR"}]},
)


def test_every_case_has_every_column_in_the_same_order() -> None:
    rows = case_rows([GOOD, EMPTY, Entry("c", "failed", error="no space")])
    columns = [*FIRST, "liver mL", "liver mL, low", "liver mL, high", "spleen mL", "tumour mL"]
    assert [list(row) for row in rows] == [columns] * 3
    assert rows[0]["liver mL"] == 1500.25
    assert (rows[0]["liver mL, low"], rows[0]["liver mL, high"]) == (1400.0, 1600.0)
    assert rows[0]["predicted_dice"] == 0.93
    assert (rows[0]["predicted_dice, low"], rows[0]["predicted_dice, high"]) == (0.85, 1.0)
    assert rows[1]["predicted_dice, low"] is None
    assert rows[0]["tumour mL"] is None
    assert rows[2]["error"] == "no space"


def test_what_is_implausible_is_flagged() -> None:
    assert list(flags(GOOD)) == []
    assert list(flags(EMPTY)) == ["demonstration model", "does not fit", "liver 0 mL", "unlike the validation cases"]
    assert case_rows([EMPTY])[0]["flags"].startswith("demonstration model; does not fit; liver 0 mL")


def test_a_case_without_an_answer_has_no_flags_and_a_status() -> None:
    (row,) = case_rows([Entry("c", "started", demonstration=True)])
    assert row["status"] == "interrupted"
    assert row["flags"] == ""


def test_the_csv_is_read_back_and_holds_no_formula() -> None:
    rows = case_rows([Entry('=cmd|"x",1', "done", volumes_ml={"-liver": 1.0, 'a,"b"': 2.0}), GOOD])
    lines = list(csv.reader(as_csv(rows).splitlines()))
    assert lines[0][: len(FIRST)] == list(FIRST)
    assert lines[0][len(FIRST)] == "'-liver mL"
    assert lines[1][0] == '\'=cmd|"x",1'
    assert dict(zip(lines[0], lines[2], strict=True))["liver mL"] == "1500.2"
    assert {len(line) for line in lines} == {len(lines[0])}


@pytest.mark.parametrize("ends", [[], [1.0], "ab", {"low": 1}, [None, 2.0], [1.0, 2.0, 3.0]])
def test_an_interval_that_is_none_leaves_cells_empty(ends: object, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(Entry("a", "done", volumes_ml={"liver": 1.0}, intervals_ml={"liver": ends}))  # type: ignore[dict-item]
    (row,) = case_rows(ledger.latest().values())
    assert row["liver mL, low"] is None
    assert row["liver mL, high"] is None
