from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from voxtrace.batch import Entry, Ledger
from voxtrace.errors import OutputError


def test_entries_come_back_as_they_were(tmp_path: Path) -> None:
    entry = Entry("a", "failed", bundle="b", options={"steps": None}, error="größer als erlaubt")
    ledger = Ledger(tmp_path / "out")
    ledger.append(entry)
    assert ledger.entries() == (entry,)


def test_the_last_entry_of_a_case_counts(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for case, status in (("a", "started"), ("b", "started"), ("a", "failed"), ("a", "done")):
        ledger.append(Entry(case, status))  # type: ignore[arg-type]
    assert {name: entry.status for name, entry in ledger.latest().items()} == {"a": "done", "b": "started"}
    summary = ledger.summary()
    assert (summary["done"], summary["failed"], summary["started"]) == (1, 0, 1)


def test_a_torn_line_is_passed_over_and_spoils_no_other(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(Entry("a", "done"))
    with ledger.path.open("a") as file:
        file.write('{"case": "b", "sta')
    ledger.append(Entry("c", "done"))
    assert [entry.case for entry in ledger.entries()] == ["a", "c"]


def test_a_folder_without_a_ledger_has_no_entries(tmp_path: Path) -> None:
    assert Ledger(tmp_path).entries() == ()


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        Ledger(tmp_path / "file" / "out").append(Entry("a", "done"))


def test_entries_are_alike_when_bundle_and_options_are() -> None:
    entry = Entry("a", "done", bundle_digest="1", options={"steps": 3})
    assert entry.same_settings(replace(entry, case="b", status="started"))
    assert not entry.same_settings(replace(entry, options={"steps": 4}))
    assert not entry.same_settings(replace(entry, bundle_digest="2"))
