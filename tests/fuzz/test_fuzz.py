"""A round of damaged files of every format, and those that were found before, each read in a child with limits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import fuzz_child
import fuzz_inputs
import pytest

from voxtrace.errors import ReadError

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).with_name("corpus")
COUNT = 500


@pytest.mark.timeout(1800)  # half a minute on a machine that does nothing else
def test_every_damaged_file_is_answered_or_refused_in_our_words(tmp_path: Path) -> None:
    command = [
        sys.executable,
        ROOT / "scripts" / "fuzz.py",
        "--count",
        str(COUNT),
        "--corpus",
        CORPUS,
        "--out",
        tmp_path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    results = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text("utf-8").splitlines()]
    assert [one for one in results if one["outcome"] not in fuzz_child.GOOD] == []
    assert len(results) == COUNT + len(fuzz_inputs.kept(CORPUS))
    # what is damaged must not all be answered, nor all refused
    outcomes = Counter((one["kind"], one["outcome"]) for one in results)
    assert sum(outcomes[kind, "error"] for kind in {kind for kind, _ in outcomes}) > COUNT / 5
    assert sum(outcomes[kind, "answer"] for kind in {kind for kind, _ in outcomes}) > COUNT / 5
    assert all(
        outcomes[kind, "error"] for kind in ("bundle", "dataset", "dicom", "metaimage", "nifti", "nrrd", "trace")
    )


def test_a_number_names_the_same_input_each_time() -> None:
    among = [
        fuzz_inputs.Base("dataset", "a", {"dataset.json": b'{"labels": {"a": 1}}', "b.nii": bytes(400)}),
        fuzz_inputs.Base("nrrd", "b", {"a.nrrd": b"NRRD0005\ntype: short\nsizes: 2 3 4\n\n" + bytes(48)}),
    ]
    one, other = ([fuzz_inputs.drawn(number, among) for number in range(50)] for _ in range(2))
    assert one == other
    assert len({str(made.changed) for made in one}) > 40


def _crash() -> None:
    import ctypes

    ctypes.string_at(0)


def _spin() -> None:
    while True:
        pass


def _take_all() -> None:
    bytearray(8 << 30)


def _refuse() -> None:
    raise ReadError("no")


def _refuse_at_length() -> None:
    raise ReadError("x" * 10_000)


def _refuse_for_memory() -> None:
    try:
        _take_all()
    except MemoryError as error:
        raise ReadError("damaged") from error


def _read_elsewhere() -> None:
    Path("/etc/passwd").read_bytes()


@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        (_crash, "crash"),
        (_spin, "hang"),
        (_take_all, "memory"),
        (_refuse, "error"),
        (_refuse_at_length, "fault"),
        (_refuse_for_memory, "memory"),
        (_read_elsewhere, "outside"),
        (lambda: 1 / 0, "fault"),
        (lambda: sys.exit(3), "fault"),
        (lambda: None, "answer"),
    ],
)
def test_each_kind_of_harm_is_told_from_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: Any, outcome: str
) -> None:
    monkeypatch.setattr(fuzz_child, "SECONDS", 1)
    made, _ = fuzz_child.run(tmp_path, lambda: [("step", step)])
    assert made.outcome == outcome


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_files_made_on_purpose_are_refused_in_time_and_memory(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "scripts" / "fuzz.py", "--hostile", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) > 20, done.stderr
    assert [one for one in results if one["outcome"] != "error"] == []
