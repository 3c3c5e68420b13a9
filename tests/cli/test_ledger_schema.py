"""docs/ledger.schema.json says what is in a ledger: it is current, and what a run writes keeps to it."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import made
from made import Run
from voxtrace.batch.ledger import Entry

ROOT = Path(__file__).resolve().parents[2]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "ledger.schema.json").read_text(encoding="utf-8"))


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ledger_schema", ROOT / "scripts" / "ledger_schema.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_schema_is_that_of_the_class_that_writes_the_ledger() -> None:
    assert _script().schema() == SCHEMA, "an entry of the ledger changed: run scripts/ledger_schema.py"
    assert list(SCHEMA["properties"]) == [field.name for field in fields(Entry)]
    assert all(one["description"] for one in SCHEMA["properties"].values())


def test_what_a_run_writes_keeps_to_the_schema(run: Run, bundle: Path, tmp_path: Path) -> None:
    good, bad = made.scan(tmp_path / "a.nii.gz"), tmp_path / "b.nii.gz"
    bad.write_bytes(b"no scan")
    assert run("predict", good, bad, "-m", bundle, "-o", tmp_path / "out").code == 1
    lines = [json.loads(line) for line in (tmp_path / "out" / "ledger.jsonl").read_text("utf-8").splitlines()]
    assert sorted(line["status"] for line in lines) == ["done", "failed", "started", "started"]
    validator = Draft202012Validator(SCHEMA)
    for line in lines:
        validator.validate(line)
        assert line.keys() <= SCHEMA["properties"].keys()


@pytest.mark.parametrize("line", [{"case": "a"}, {"case": 1, "status": "done"}, {"case": "a", "status": "gone"}])
def test_what_is_no_entry_does_not_keep_to_it(line: dict[str, Any]) -> None:
    assert list(Draft202012Validator(SCHEMA).iter_errors(line))
