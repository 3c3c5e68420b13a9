from __future__ import annotations

import sys
from pathlib import Path

import pytest

from made import Run

# Stands in for an interpreter with nnU-Net: tells versions, and answers with background alone, which is not our answer.
FAKE = """#!{python}
import json, sys
if sys.argv[1] == "-c":
    print(json.dumps({{"torch": "2.13.0", "nnunetv2": "2.8.1"}}))
else:
    import SimpleITK as sitk
    script, model, image, output, threads, bits = sys.argv[1:]
    sitk.WriteImage(sitk.Cast(sitk.ReadImage(image) * 0, sitk.sitkUInt8), output)
"""


@pytest.fixture
def fake_peer(tmp_path: Path) -> Path:
    """A program that is called like the peer's interpreter."""
    program = tmp_path / "python"
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(0o755)
    return program


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_bench_runs_end_to_end_on_tiny_inputs(run: Run, tmp_path: Path, fake_peer: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- bench ct300: begin -->\n<!-- bench ct300: end -->\n")
    words = ("--quick", "--repeats", 2, "--only", "ct300", "--peer", fake_peer, "--work", tmp_path / "work")
    document = run("bench", *words, "--table", page, "--json").json
    work = document["works"]["ct300"]
    assert set(work["runs"]) == {"nnU-Net", "MONAI", "voxtrace", "voxtrace, adaptive windows"}
    assert all(len(runs["seconds"]) == 2 and min(runs["peak_mb"]) > 0 for runs in work["runs"].values())
    rows = {(row["quantity"], row["ours"], row["against"]): row for row in work["comparisons"]}
    different = rows["time", "voxtrace", "nnU-Net"]
    assert different["ratio"] is None
    assert "labels agree in" in different["withheld"]
    adaptive = rows["time", "voxtrace, adaptive windows", "nnU-Net"]  # it loses nothing against an empty answer
    runs = work["runs"]
    measured = runs["nnU-Net"]["median_seconds"] / runs["voxtrace, adaptive windows"]["median_seconds"]
    assert adaptive["ratio"]["of_medians"] == pytest.approx(measured, rel=1e-2)
    assert 0 < work["facts"]["network_share"]["voxtrace"] < 1
    assert document["peer_versions"]["nnunetv2"] == "2.8.1"
    assert "nothing here is a measurement" in page.read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_cost_grows_from_measured_processes(run: Run, tmp_path: Path) -> None:
    words = ("cost", "--quick", "--repeats", 1, "--side", 32, "--work", tmp_path)
    points = run("bench", *words, "--json").json["points"]
    assert [(point["varies"], point["value"]) for point in points] == [
        *(("slices", 16), ("slices", 32)),
        *(("labels", 2), ("labels", 4)),
        *(("steps", 1), ("steps", 2)),
    ]
    assert all(min(point["seconds"]) > 0 for point in points)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_our_own_ways_are_compared_without_a_peer(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOXTRACE_REAL_DATA", raising=False)
    words = ("--quick", "--repeats", 1, "--only", "routing,settling,sparsity", "--work", tmp_path, "--json")
    works = run("bench", *words).json["works"]
    cost = next(row for row in works["routing"]["comparisons"] if row["quantity"] == "cost")
    assert cost["ratio"]["of_medians"] == pytest.approx(cost["against_median"] / cost["ours_median"], rel=1e-3)
    assert cost["ratio"]["of_medians"] > 1
    assert works["sparsity"]["facts"]["equal_voxels"]["S = 0.9"] > 0.99
    assert set(works["settling"]["runs"]) == {"7 cycles, settling", "1 cycle", "7 cycles"}


def test_what_needs_nnunet_or_real_scans_is_said_to_be_left_out(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VOXTRACE_REAL_DATA", raising=False)
    words = ("--quick", "--only", "imported,routing-real", "--work", tmp_path, "--json")
    outcome = run("bench", *words)
    left_out = [text for work in outcome.json["works"].values() for text in work["left_out"]]
    assert left_out == [
        "Imported labels need nnU-Net; give --peer.",
        "The real glioma was left out: there are no real scans.",
    ]


def test_an_unknown_work_is_refused(run: Run, tmp_path: Path) -> None:
    outcome = run("bench", "--only", "ct301", "--work", tmp_path)
    assert outcome.code == 2
    assert "scenario 'ct301' is unknown; choose among ct300," in outcome.sentence


def test_an_interpreter_without_nnunet_is_refused(run: Run, tmp_path: Path) -> None:
    outcome = run("bench", "--quick", "--peer", tmp_path / "nowhere", "--work", tmp_path)
    assert outcome.code == 3
    assert "is no Python interpreter with nnU-Net v2" in outcome.sentence


def test_too_little_memory_is_told_before_anything_runs(
    run: Run, tmp_path: Path, fake_peer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxtrace.bench.suite.NEEDED_GB", 1e6)
    outcome = run("bench", "--only", "ct300", "--peer", fake_peer, "--work", tmp_path / "work")
    assert outcome.code == 3
    assert "GB of memory are available, and nnU-Net takes up to" in outcome.sentence
    assert not (tmp_path / "work").exists()


def test_more_cores_than_there_are_cannot_be_used(run: Run, tmp_path: Path) -> None:
    outcome = run("bench", "--quick", "--cores", 100_000, "--work", tmp_path)
    assert outcome.code == 2
    assert "100000 cores were asked for" in outcome.sentence
