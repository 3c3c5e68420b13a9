"""A file that crashes what parses it ends a command with one sentence and its exit code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import made
import planted
from made import Run
from voxtrace.io.child import guarded, readers
from voxtrace.io.child.process import SWITCH
from voxtrace.training.layouts.table import read_table


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every reading function read memory that is not there."""
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(planted.__file__).parent))
    for name in guarded.FUNCTIONS:
        monkeypatch.setitem(guarded.FUNCTIONS, name, "planted:crash")
    readers.end_readers()
    yield
    readers.end_readers()


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a process has no signal to die of")
def test_commands_say_which_file_it_was(tmp_path: Path, run: Run) -> None:
    scan, labels = made.scan(tmp_path / "scan.nii.gz"), made.labels(tmp_path / "labels.nii.gz")
    for words in (
        ("inspect", scan),
        ("export", labels, tmp_path / "labels.seg.nrrd"),
        ("predict", scan, "-m", made.bundle_folder(tmp_path / "bundle"), "-o", tmp_path / "out"),
    ):
        found = run(*words)
        assert found.code == 3, words
        assert "nii.gz cannot be read: reading it crashed (SIGSEGV)" in found.err, words
        assert "Traceback" not in found.err
    found = run("evaluate", labels, labels)
    assert found.code != 0
    assert "labels.nii.gz cannot be read: reading it crashed (SIGSEGV)" in found.err + found.out


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a process has no signal to die of")
def test_a_table_of_cases_says_nothing_of_labels_that_crash(tmp_path: Path) -> None:
    made.scan(tmp_path / "scan.nii.gz")
    made.labels(tmp_path / "labels.nii.gz")
    table = tmp_path / "cases.csv"
    table.write_text("image,label\nscan.nii.gz,labels.nii.gz\n")
    assert read_table(table).declared == (("background", 0),)
