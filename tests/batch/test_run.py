from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

import made
from fakes import Nearest, bundle
from voxtrace.batch import CaseEvent, CaseInput, Entry, Job, Ledger, Options, Tally, find_cases, predict_cases
from voxtrace.errors import Cancelled, OutputError, UsageError


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Two scans, and a method that reads its answer off the image in three steps."""
    for name in ("a", "b"):
        made.scan(tmp_path / "scans" / f"{name}.nii.gz")
    cases = find_cases([tmp_path / "scans"])
    return Job((bundle(Nearest(n_steps=3)),), cases, tmp_path / "out", Options(device="cpu", precision="float32"))


def drain(job: Job, **options: object) -> tuple[list[CaseEvent], Tally]:
    events, task = [], predict_cases(job, **options)  # type: ignore[arg-type]
    while True:
        try:
            events.append(next(task))
        except StopIteration as stop:
            return events, stop.value


def test_every_case_starts_runs_and_is_done(job: Job) -> None:
    events, tally = drain(job)
    assert [(e.case.name, e.kind) for e in events if e.kind != "running"] == [
        ("a", "started"),
        ("a", "done"),
        ("b", "started"),
        ("b", "done"),
    ]
    assert any(e.progress is not None and e.progress.stage == "segmenting" for e in events)
    assert (tuple(tally.done), tally.skipped, tally.failed) == (("a", "b"), (), ())
    assert all(entry.steps == 3 for entry in Ledger(job.out).latest().values())


def test_an_unexpected_fault_of_one_case_ends_no_other(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    read = CaseInput.read

    def faulty(case: CaseInput) -> object:
        return 1 / 0 if case.name == "a" else read(case)

    monkeypatch.setattr(CaseInput, "read", faulty)
    _, tally = drain(job)
    assert tuple(tally.done) == ("b",)
    assert tally.failed[0].error == "unexpected ZeroDivisionError: division by zero"


def test_trouble_that_every_case_would_meet_ends_the_run(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(labels: object, path: Path) -> Path:
        raise OutputError("no space left.")

    monkeypatch.setattr("voxtrace.io.write", refuse)
    with pytest.raises(OutputError):
        drain(job)
    assert {name: entry.status for name, entry in Ledger(job.out).latest().items()} == {"a": "failed"}
    assert [path.name for path in job.out.iterdir()] == ["ledger.jsonl"]


def test_cancelling_keeps_what_is_done(job: Job) -> None:
    def first_is_done() -> bool:
        return "a" in {entry.case for entry in Ledger(job.out).entries() if entry.status == "done"}

    with pytest.raises(Cancelled):
        drain(job, cancel=first_is_done)
    assert sorted(path.name for path in job.out.iterdir()) == ["a.nii.gz", "a.trace", "ledger.jsonl"]
    _, tally = drain(replace(job, resume=True))
    assert (tuple(tally.done), tally.skipped, tally.failed) == (("b",), ("a",), ())


def test_abandoning_leaves_nothing_half_written(job: Job) -> None:
    task = predict_cases(job)
    while next(task).kind != "running":
        pass
    next(task)
    task.close()
    assert [path.name for path in job.out.iterdir()] == ["ledger.jsonl"]


def test_resume_predicts_again_what_changed_since(job: Job) -> None:
    drain(job)
    later = time.time() + 10
    os.utime(job.cases[0].paths[0], (later, later))
    _, tally = drain(replace(job, resume=True))
    assert (tuple(tally.done), tally.skipped, tally.failed) == (("a",), ("b",), ())


def test_resume_replaces_what_a_killed_run_left(job: Job) -> None:
    ledger = Ledger(job.out)
    ledger.append(Entry("a", "started"))
    (job.out / "a.nii.gz").write_text("left by a kill")
    _, tally = drain(replace(job, resume=True))
    assert tuple(tally.done) == ("a", "b")


def test_what_others_wrote_is_refused_before_anything_runs(job: Job) -> None:
    job.out.mkdir()
    job.labels_path(job.cases[1]).write_text("precious")
    for resume in (False, True):
        with pytest.raises(UsageError, match="is there already"):
            drain(replace(job, resume=resume))
    assert [path.name for path in job.out.iterdir()] == ["b.nii.gz"]
    assert tuple(drain(replace(job, overwrite=True))[1].done) == ("a", "b")


def test_the_input_folder_is_no_output_folder(job: Job) -> None:
    with pytest.raises(UsageError, match="inputs lie"):
        drain(replace(job, out=job.cases[0].paths[0].parent, overwrite=True))


def test_the_next_case_is_read_while_one_is_predicted(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[str] = []
    read = CaseInput.read

    def noted(case: CaseInput) -> object:
        began.append(case.name)
        return read(case)

    monkeypatch.setattr(CaseInput, "read", noted)
    seen_at_the_end_of: dict[str, list[str]] = {}
    for event in predict_cases(job):
        if event.kind == "done":
            seen_at_the_end_of[event.case.name] = list(began)
    assert seen_at_the_end_of == {"a": ["a", "b"], "b": ["a", "b"]}


def test_a_case_that_cannot_be_read_ahead_fails_when_its_turn_comes(job: Job) -> None:
    job.cases[1].paths[0].write_bytes(b"no volume")
    _, tally = drain(job)
    assert tuple(tally.done) == ("a",)
    assert [entry.case for entry in tally.failed] == ["b"]
