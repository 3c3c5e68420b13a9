"""Files that crash, hang, take all memory or reach elsewhere are failed cases; the others of the batch are done."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import made
import planted
from cases import drain
from fakes import Nearest, bundle
from voxtrace.batch import PredictJob, find_cases, predict_cases
from voxtrace.inference import PredictOptions
from voxtrace.io.child import guarded, readers
from voxtrace.io.child.process import SWITCH

REASONS = {
    "abort": r"crashed \(SIGABRT\)",
    "crash": r"crashed \(SIGSEGV\)",
    "elsewhere": "Permission denied",
    "hang": "took longer than 5 s",
    "hoard": "GiB of memory",
}


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let files with certain names do harm when they are read."""
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(planted.__file__).parent))
    monkeypatch.setitem(guarded.FUNCTIONS, "read", "planted:read")
    allowed_for = readers.allowed_for
    monkeypatch.setattr(readers, "allowed_for", lambda paths: replace(allowed_for(paths), seconds=5.0))
    readers.end_readers()
    yield
    readers.end_readers()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory and files of a process")
def test_each_is_one_failed_case_with_a_sentence_and_the_others_are_done(tmp_path: Path) -> None:
    for name in ("a", *REASONS, "z"):
        made.scan(tmp_path / "scans" / f"{name}.nii.gz")
    made.scan(tmp_path / "secret.nii.gz")
    options = PredictOptions(keep="labels", device="cpu", precision="float32")
    job = PredictJob((bundle(Nearest(n_steps=2)),), find_cases([tmp_path / "scans"]), tmp_path / "out", options)
    summary = drain(predict_cases(job))
    assert tuple(summary.done) == ("a", "z")
    failed = {entry.case: entry.error for entry in summary.failed}
    assert failed.keys() == REASONS.keys()
    for name, reason in REASONS.items():
        assert "cannot be read: " in failed[name]
        assert re.search(reason, failed[name]), failed[name]
