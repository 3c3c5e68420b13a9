from __future__ import annotations

import csv
from pathlib import Path

import pytest

from made import Run
from voxtrace.batch.ledger import Entry, Ledger


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    ledger = Ledger(tmp_path / "results")
    for name, volume in (("a", 1500.0), ("b", 0.0)):
        ledger.append(Entry(name, "started"))
        ledger.append(Entry(name, "done", volumes_ml={"Leber ä": volume}))
    return tmp_path / "results"


def test_all_cases_are_one_csv(run: Run, predictions: Path) -> None:
    told = run("table", predictions)
    assert told.code == 0
    rows = list(csv.DictReader(told.out.splitlines()))
    assert [(row["case"], row["Leber ä mL"], row["flags"]) for row in rows] == [
        ("a", "1500", ""),
        ("b", "0", "Leber ä 0 mL"),
    ]
    assert run("table", predictions / "ledger.jsonl").out == told.out


def test_it_goes_into_a_file_that_spreadsheets_read(run: Run, predictions: Path, tmp_path: Path) -> None:
    told = run("table", predictions, "--csv", tmp_path / "cases.csv")
    assert (told.code, told.out) == (0, "")
    assert "2 cases, 1 with flags" in told.err
    text = (tmp_path / "cases.csv").read_text(encoding="utf-8-sig")
    assert text.splitlines() == run("table", predictions).out.splitlines()


def test_json_has_numbers(run: Run, predictions: Path) -> None:
    assert [row["Leber ä mL"] for row in run("table", predictions, "--json").json["cases"]] == [1500.0, 0.0]


def test_a_folder_without_a_ledger_is_refused(run: Run, tmp_path: Path) -> None:
    told = run("table", tmp_path)
    assert told.code == 3
    assert "holds no ledger with a case; give the folder that `voxtrace predict --out` wrote" in told.sentence


def test_a_path_that_is_not_there_is_no_table_of_the_folder_around_it(run: Run, predictions: Path) -> None:
    told = run("table", predictions / "misspelt")
    assert told.code == 3
    assert "holds no ledger" in told.sentence
