from __future__ import annotations

import errno
import os
import time
import weakref
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

import awkward_dicom as dicom
import made
from fakes import Nearest, bundle
from voxtrace.atomic import output_error
from voxtrace.batch import (
    BatchSummary,
    CaseEvent,
    CaseInput,
    Entry,
    Ledger,
    PredictJob,
    find_cases,
    predict_batch,
    predict_cases,
)
from voxtrace.errors import Cancelled, OutputError, UsageError
from voxtrace.inference import PredictOptions
from voxtrace.io import verification


@pytest.fixture
def job(tmp_path: Path) -> PredictJob:
    """Two scans, and a method that reads its answer off the image in three steps."""
    for name in ("a", "b"):
        made.scan(tmp_path / "scans" / f"{name}.nii.gz")
    cases = find_cases([tmp_path / "scans"])
    return PredictJob(
        (bundle(Nearest(n_steps=3)),),
        cases,
        tmp_path / "out",
        PredictOptions(keep="labels", device="cpu", precision="float32"),
    )


def drain(job: PredictJob, **options: object) -> tuple[list[CaseEvent], BatchSummary]:
    events, task = [], predict_cases(job, **options)  # type: ignore[arg-type]
    while True:
        try:
            events.append(next(task))
        except StopIteration as stop:
            return events, stop.value


def test_results_inside_the_input_folder_are_no_input(job: PredictJob, tmp_path: Path) -> None:
    for name, out in (("cohort", "cohort/results"), ("cohort/one", "cohort/one/out")):
        dicom.save(tmp_path / "cohort" / "one", dicom.images(dicom.place()))
        task = replace(job, out=tmp_path / out, suffix=".seg.dcm", resume=True)
        first, again = (drain(replace(task, cases=find_cases([tmp_path / name])))[1] for _ in range(2))
        assert (list(first.done), first.failed) == (["one"], ())
        assert again.skipped == ("one",)
        whole = drain(replace(task, cases=find_cases([tmp_path / name]), overwrite=True, resume=False))[1]
        assert (list(whole.done), whole.failed) == (["one"], ())


def test_every_case_starts_runs_and_is_done(job: PredictJob) -> None:
    events, summary = drain(job)
    assert [(e.case.name, e.kind) for e in events if e.kind != "running"] == [
        ("a", "started"),
        ("a", "done"),
        ("b", "started"),
        ("b", "done"),
    ]
    assert any(e.progress is not None and e.progress.stage == "segmenting" for e in events)
    assert (tuple(summary.done), summary.skipped, summary.failed) == (("a", "b"), (), ())
    entries = Ledger(job.out).latest().values()
    assert all(entry.steps == 3 for entry in entries)
    assert {name for entry in entries for name in entry.features} == {
        "entropy",
        "changed_fraction",
        "entropy_per_found",
    }


def test_an_unexpected_fault_of_one_case_ends_no_other(job: PredictJob, monkeypatch: pytest.MonkeyPatch) -> None:
    read = CaseInput.read

    def faulty(case: CaseInput) -> object:
        return 1 / 0 if case.name == "a" else read(case)

    monkeypatch.setattr(CaseInput, "read", faulty)
    _, summary = drain(job)
    assert tuple(summary.done) == ("b",)
    assert summary.failed[0].error == "unexpected ZeroDivisionError: division by zero"


def test_trouble_that_every_case_would_meet_ends_the_run(job: PredictJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        error = OSError(errno.ENOSPC, "No space left on device")
        raise output_error(job.out / "a.nii.gz", error) from error

    monkeypatch.setattr("voxtrace.io.export.export_all", refuse)
    with pytest.raises(OutputError, match="no space left"):
        drain(job)
    assert {name: entry.status for name, entry in Ledger(job.out).latest().items()} == {"a": "failed"}
    assert [path.name for path in job.out.iterdir()] == ["ledger.jsonl"]


def test_the_scan_is_gone_when_its_labels_are_written(job: PredictJob, monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = CaseInput.read, predict_batch._write_labels
    scans: list[weakref.ref[object]] = []
    alive: list[bool] = []

    def noted(case: CaseInput) -> object:
        volume = read(case)
        scans.append(weakref.ref(volume))
        return volume

    def looked_at(*arguments: object) -> None:
        alive.append(scans[0]() is not None)
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(CaseInput, "read", noted)
    monkeypatch.setattr(predict_batch, "_write_labels", looked_at)
    drain(replace(job, cases=job.cases[:1]))
    assert alive == [False]


def test_what_is_read_back_wrong_is_one_case_that_fails(job: PredictJob, monkeypatch: pytest.MonkeyPatch) -> None:
    read_back = verification._nifti

    def unreadable(path: Path) -> object:
        if path.name.endswith("-a.nii.gz"):
            raise OSError(errno.EIO, "Input/output error")
        return read_back(path)

    monkeypatch.setattr(verification, "_nifti", unreadable)
    _, summary = drain(job)
    assert tuple(summary.done) == ("b",)
    assert "cannot be read back" in summary.failed[0].error
    assert sorted(path.name for path in job.out.iterdir()) == ["b.nii.gz", "b.trace", "ledger.jsonl"]


def test_a_dicom_segmentation_says_what_computed_it(job: PredictJob, tmp_path: Path) -> None:
    dicom.save(tmp_path / "ct", dicom.images(dicom.place()), seed=1)
    cases = find_cases([tmp_path / "ct", job.cases[0].paths[0]])
    _, summary = drain(replace(job, cases=cases, suffix=".seg.dcm"))
    assert tuple(summary.done) == ("ct",)
    assert [entry.case for entry in summary.failed] == ["a"]  # NIfTI has no images to refer to
    assert "does not know the DICOM images" in summary.failed[0].error
    written = pydicom.dcmread(job.out / "ct.seg.dcm")
    algorithm = written.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == job.bundle_name
    assert "method=Nearest label" in algorithm.AlgorithmParameters
    assert "steps=3" in algorithm.AlgorithmParameters


def test_cancelling_keeps_what_is_done(job: PredictJob) -> None:
    def first_is_done() -> bool:
        return "a" in {entry.case for entry in Ledger(job.out).entries() if entry.status == "done"}

    with pytest.raises(Cancelled):
        drain(job, cancel=first_is_done)
    assert sorted(path.name for path in job.out.iterdir()) == ["a.nii.gz", "a.trace", "ledger.jsonl"]
    _, summary = drain(replace(job, resume=True))
    assert (tuple(summary.done), summary.skipped, summary.failed) == (("b",), ("a",), ())


def test_abandoning_leaves_nothing_half_written(job: PredictJob) -> None:
    task = predict_cases(job)
    while next(task).kind != "running":
        pass
    next(task)
    task.close()
    assert [path.name for path in job.out.iterdir()] == ["ledger.jsonl"]


def test_resume_looks_at_contents_and_not_at_times(job: PredictJob, tmp_path: Path) -> None:
    study = CaseInput("study", (dicom.save(tmp_path / "study", dicom.images(dicom.place())),))
    job = replace(job, cases=(*job.cases, study))
    drain(job)
    (study.paths[0] / ".DS_Store").write_text("what macOS notes")
    later = time.time() + 1000
    for path in (job.cases[0].paths[0], *study.paths):
        os.utime(path, (later, later))
    assert drain(replace(job, resume=True))[1].skipped == ("a", "b", "study")
    made.scan(job.cases[1].paths[0], seed=7)
    _, summary = drain(replace(job, resume=True))
    assert (tuple(summary.done), summary.skipped, summary.failed) == (("b",), ("a", "study"), ())


def test_resume_of_an_entry_without_files_goes_by_times(job: PredictJob) -> None:
    drain(job)
    for entry in Ledger(job.out).latest().values():
        Ledger(job.out).append(replace(entry, files=()))
    assert drain(replace(job, resume=True))[1].skipped == ("a", "b")
    later = time.time() + 10
    os.utime(job.cases[0].paths[0], (later, later))
    _, summary = drain(replace(job, resume=True))
    assert (tuple(summary.done), summary.skipped, summary.failed) == (("a",), ("b",), ())


def test_resume_replaces_what_a_killed_run_left(job: PredictJob) -> None:
    ledger = Ledger(job.out)
    ledger.append(Entry("a", "started"))
    (job.out / "a.nii.gz").write_text("left by a kill")
    _, summary = drain(replace(job, resume=True))
    assert tuple(summary.done) == ("a", "b")


def test_what_others_wrote_is_refused_before_anything_runs(job: PredictJob) -> None:
    job.out.mkdir()
    job.labels_path(job.cases[1]).write_text("precious")
    for resume in (False, True):
        with pytest.raises(UsageError, match="exists already"):
            drain(replace(job, resume=resume))
    assert [path.name for path in job.out.iterdir()] == ["b.nii.gz"]
    assert tuple(drain(replace(job, overwrite=True))[1].done) == ("a", "b")


def test_the_input_folder_is_no_output_folder(job: PredictJob) -> None:
    with pytest.raises(UsageError, match="holds inputs"):
        drain(replace(job, out=job.cases[0].paths[0].parent, overwrite=True))


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_folder_of_links_to_the_inputs_is_no_output_folder(job: PredictJob, tmp_path: Path) -> None:
    """Label maps would take the place of the links."""
    links = tmp_path / "links"
    links.mkdir()
    for case in job.cases:
        (links / case.paths[0].name).symlink_to(case.paths[0])
    with pytest.raises(UsageError, match="holds inputs"):
        drain(replace(job, cases=find_cases([links]), out=links, overwrite=True))
    assert all(path.is_symlink() for path in links.iterdir())


def test_the_next_case_is_read_while_one_is_predicted(job: PredictJob, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_case_that_cannot_be_read_ahead_fails_when_its_turn_comes(job: PredictJob) -> None:
    job.cases[1].paths[0].write_bytes(b"no volume")
    _, summary = drain(job)
    assert tuple(summary.done) == ("a",)
    assert [entry.case for entry in summary.failed] == ["b"]
