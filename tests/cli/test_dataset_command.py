from __future__ import annotations

from pathlib import Path

from cases import ball_dataset
from made import Run
from voxtrace.training.layouts import find_dataset


def test_two_folders_become_a_dataset_that_is_read(run: Run, tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls")
    (folder / "labelsTr" / "ball_004.nii.gz").unlink()
    told = run("dataset", folder / "imagesTr", folder / "labelsTr", "--out", tmp_path / "cases.csv")
    assert told.code == 0
    assert "4 cases; next: voxtrace plan" in told.out
    assert "left out, it has no partner" in told.err
    assert "ball_004_0000.nii.gz" in told.err
    found = find_dataset(tmp_path / "cases.csv")
    assert [case.name for case in found.cases] == ["ball_000", "ball_001", "ball_002", "ball_003"]
    again = run("dataset", folder / "imagesTr", folder / "labelsTr", "--out", tmp_path / "cases.csv")
    assert (again.code, "exists already" in again.sentence) == (3, True)


def test_a_missing_folder_and_another_ending_are_refused(run: Run, tmp_path: Path) -> None:
    assert "is no folder" in run("dataset", tmp_path / "no", tmp_path, "--out", tmp_path / "a.csv").sentence
    assert "ends in .csv" in run("dataset", tmp_path, tmp_path, "--out", tmp_path / "a.txt").sentence
