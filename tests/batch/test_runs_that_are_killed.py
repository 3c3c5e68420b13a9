"""A case that kills the process, files of the wrong patient, names and folders that cannot be used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import made
from fakes import Nearest, bundle
from voxtrace.batch import BatchSummary, CaseEvent, CaseInput, Ledger, PredictJob, find_cases, predict_cases
from voxtrace.batch.run_lock import LOCK, run_lock
from voxtrace.errors import OutputError, UsageError
from voxtrace.inference import PredictOptions

KILLED = """
import os, signal, sys
from pathlib import Path
if sys.argv[3] != str(int(signal.SIGKILL)):
    signal.signal(int(sys.argv[3]), signal.SIG_DFL)  # nohup leaves it ignored
sys.path.insert(0, sys.argv[2])
from test_runs_that_are_killed import job_of
from voxtrace.batch import predict_cases
job = job_of(Path(sys.argv[1]), ("a",))
for event in predict_cases(job):
    if event.progress is not None and any(path.name.endswith("-a.trace") for path in job.out.iterdir()):
        os.kill(os.getpid(), int(sys.argv[3]))
"""
HELD = """
import sys, time
from pathlib import Path
from voxtrace.batch.run_lock import run_lock
with run_lock(Path(sys.argv[1])) as lock:
    lock.hold(sys.argv[2:])
    print("held", flush=True)
    time.sleep(60)
"""


def job_of(folder: Path, names: tuple[str, ...] = ("a", "b", "c"), out: str = "out") -> PredictJob:
    for name in names:
        if not (folder / "scans" / f"{name}.nii.gz").exists():
            made.scan(folder / "scans" / f"{name}.nii.gz")
    options = PredictOptions(keep="labels", device="cpu", precision="float32")
    return PredictJob((bundle(Nearest(n_steps=2)),), find_cases([folder / "scans"]), folder / out, options)


def drain(job: PredictJob) -> tuple[list[CaseEvent], BatchSummary]:
    events, task = [], predict_cases(job)
    while True:
        try:
            events.append(next(task))
        except StopIteration as stop:
            return events, stop.value


def killed_while_holding(out: Path, *cases: str) -> None:
    """Leave what a run leaves that is killed while it has these cases in hand."""
    process = subprocess.Popen([sys.executable, "-c", HELD, str(out), *cases], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert (out / LOCK).exists()


def order(events: list[CaseEvent]) -> list[str]:
    return [event.case.name for event in events if event.kind in ("done", "failed", "skipped")]


def test_cases_that_a_killed_run_had_in_hand_come_last_and_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path)
    killed_while_holding(job.out, "a", "b")
    read, held = CaseInput.read, {}

    def noted(case: CaseInput) -> object:
        held[case.name] = set(json.loads((job.out / LOCK).read_bytes())["cases"].items())
        return read(case)

    monkeypatch.setattr(CaseInput, "read", noted)
    events, summary = drain(replace(job, resume=True))
    assert order(events) == ["c", "a", "b"]
    assert tuple(summary.done) == ("a", "b", "c")
    # what the next run would learn, had reading the case killed this one
    assert held == {"c": {("a", 1), ("b", 1), ("c", 1)}, "a": {("a", 2), ("b", 1)}, "b": {("b", 2)}}
    assert not (job.out / LOCK).exists()


def test_a_case_that_kills_run_after_run_is_given_up_until_it_is_asked_for(tmp_path: Path) -> None:
    job = replace(job_of(tmp_path), resume=True)
    for _ in range(3):
        killed_while_holding(job.out, "b")
    for _ in range(2):  # the ledger remembers it for later runs
        _, summary = drain(job)
        [given_up] = summary.failed
        assert given_up.case == "b"
        assert "3 runs were killed" in given_up.error
        assert "--overwrite" in given_up.error
    assert tuple(drain(replace(job, overwrite=True))[1].done) == ("b",)
    assert drain(job)[1].skipped == ("a", "b", "c")


def test_a_run_that_is_refused_forgets_no_killed_case(tmp_path: Path) -> None:
    job = job_of(tmp_path)
    drain(job)
    killed_while_holding(job.out, "b")
    with pytest.raises(UsageError, match="exists already"):
        drain(job)
    assert json.loads((job.out / LOCK).read_bytes())["cases"] == {"b": 1}


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    job = job_of(tmp_path, ("a",))
    with run_lock(job.out), pytest.raises(OutputError, match="another run"):
        drain(job)
    assert not job.out.exists()
    assert tuple(drain(job)[1].done) == ("a",)


def test_what_a_killed_run_left_half_written_goes_and_nothing_else(tmp_path: Path) -> None:
    job = job_of(tmp_path, ("a",))
    for name in (".0123abcd-a.trace/labels.zarr", ".0123abcd-other.trace", ".hidden", ".git"):
        (job.out / name).mkdir(parents=True)
    (job.out / ".89abcdef-a.nii.gz").write_bytes(b"half")
    drain(job)
    kept = {".0123abcd-other.trace", ".hidden", ".git", "a.nii.gz", "a.trace", "ledger.jsonl"}
    assert {path.name for path in job.out.iterdir()} == kept


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGHUP"])
def test_hidden_folders_of_a_killed_run_are_removed_by_the_next(name: str, tmp_path: Path) -> None:
    job, number = job_of(tmp_path, ("a",)), getattr(signal, name)
    tests = Path(__file__).parent
    words = [sys.executable, "-c", KILLED, str(tmp_path), str(tests), str(int(number))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(tests)])}
    assert subprocess.run(words, env=environment, check=False, timeout=120).returncode == -number
    left = {path.name for path in job.out.iterdir()}
    assert any(path.startswith(".") and path.endswith("-a.trace") for path in left)
    assert tuple(drain(replace(job, resume=True))[1].done) == ("a",)
    assert {path.name for path in job.out.iterdir()} == {"a.nii.gz", "a.trace", "ledger.jsonl"}


def test_names_as_long_as_the_disk_allows_are_written_and_longer_ones_fail_alone(tmp_path: Path) -> None:
    long, longer = "ä" * 121, "x" * 250
    job = job_of(tmp_path, ("a", long))
    too_long = replace(job.cases[0], name=longer)
    _, summary = drain(replace(job, cases=(too_long, *job.cases)))
    assert set(summary.done) == {"a", long}
    assert summary.failed[0].case == longer
    assert "shorter name" in summary.failed[0].error


def test_resume_looks_at_the_files_and_not_at_their_names(tmp_path: Path) -> None:
    job = replace(job_of(tmp_path, ("a", "b")), resume=True)
    drain(job)
    assert drain(job)[1].skipped == ("a", "b")
    scan = job.cases[0].paths[0]
    before, content = scan.stat(), bytearray(scan.read_bytes())
    made.scan(scan, seed=7)
    os.utime(scan, ns=(before.st_atime_ns, before.st_mtime_ns))  # as `cp -p` does
    assert scan.read_bytes() != content
    assert tuple(drain(job)[1].done) == ("a",)


def test_resume_refuses_the_scan_of_another_patient_of_the_same_name(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    job = job_of(one, ("ct",))
    drain(job)
    elsewhere = replace(job_of(other, ("ct",)), out=job.out, resume=True)
    with pytest.raises(UsageError, match="was made from"):
        drain(elsewhere)
    assert tuple(drain(replace(elsewhere, overwrite=True))[1].done) == ("ct",)


def test_resume_looks_at_every_file_of_a_case(tmp_path: Path) -> None:
    from voxtrace.batch.sources import describe_sources, same_sources

    (tmp_path / "a.mhd").write_text("ElementDataFile = voxels.raw\n")
    (tmp_path / "voxels.raw").write_bytes(b"12")
    (tmp_path / "study" / "below").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "study" / "below" / str(number)).write_bytes(bytes(128) + b"DICM" + bytes([number]))
    for path, part in (("a.mhd", "voxels.raw"), ("study", "study/below/1")):
        case = CaseInput("a", (tmp_path / path,))
        recorded = json.loads(json.dumps(describe_sources(case)))
        assert same_sources(recorded, case)
        content = (tmp_path / part).read_bytes()
        (tmp_path / part).write_bytes(content[:-1] + b"3")
        assert not same_sources(recorded, case)
        (tmp_path / part).write_bytes(content)
        assert same_sources(recorded, case)
        (tmp_path / "study" / "case.nii.gz").write_bytes(b"a result")
        assert same_sources(recorded, case)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"case": 3, "status": "done"}',
        '{"case": "b", "status": "done", "inputs": 3}',
        '{"case": "b", "status": "done", "inputs": [3]}',
        '{"case": "b", "status": "done", "time_s": 1' + "0" * 4000 + "}",
        '{"case": "b", "status": "done", "passport": ["x"]}',
        '{"case": "b", "status": "done", "fit": {"reasons": [1]}}',
        '{"case": "b", "status": "done", "volumes_ml": {"liver": "much"}}',
        '{"case": "b", "status": "perhaps"}',
        "null",
        "\x00\udcff",
    ],
    ids=lambda line: line[:50].encode("ascii", "replace").decode().replace("\x00", "0"),
)
def test_a_bad_line_of_a_ledger_is_passed_over(line: str, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(replace(job_entry(), case="a"))
    with ledger.path.open("ab") as file:
        file.write(line.encode("utf-8", "surrogateescape") + b"\n")
    ledger.append(replace(job_entry(), case="c"))
    assert [entry.case for entry in ledger.entries()] == ["a", "c"]
    assert [case["case"] for case in ledger.summary()["cases"]] == ["a", "c"]


def test_a_name_that_is_no_text_comes_back_from_the_ledger(tmp_path: Path) -> None:
    name = os.fsdecode(b"gr\xf6\xdfe \xe2\x80\xa8 1")
    Ledger(tmp_path).append(replace(job_entry(), case=name))
    assert [entry.case for entry in Ledger(tmp_path).entries()] == [name]


def job_entry():  # type: ignore[no-untyped-def]
    from voxtrace.batch import Entry

    return Entry("", "done")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_folder_and_a_file_that_cannot_be_read_are_cases_that_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, ("a",))
    closed = tmp_path / "scans" / "closed"
    closed.mkdir()
    (tmp_path / "scans" / "gone.nii.gz").symlink_to(tmp_path / "nowhere.nii.gz")
    iterdir = Path.iterdir

    def refusing(folder: Path) -> object:
        if folder.name == "closed":  # the superuser may look into every folder
            raise PermissionError(13, "Permission denied", str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refusing)
    cases = find_cases([tmp_path / "scans"])
    assert sorted(case.name for case in cases) == ["a", "closed", "gone"]
    _, summary = drain(replace(job, cases=cases))
    assert tuple(summary.done) == ("a",)
    assert [entry.case for entry in summary.failed] == ["gone", "closed"]
