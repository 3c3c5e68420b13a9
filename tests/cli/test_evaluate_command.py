from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import made
from made import Run
from voxtrace.io import write
from voxtrace.volume import Geometry, LabelMap

# A block of 3³ inside one of 4³: Dice 2·27 / (27 + 64); label 2 agrees.
SMALLER = 2 * 27 / (27 + 64)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    made.labels(tmp_path / "made" / "a.nii.gz", block=4)
    made.labels(tmp_path / "made" / "b.nii.gz", block=3)
    for case in ("a", "b", "c"):
        made.labels(tmp_path / "true" / f"{case}.nii.gz", block=4)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "liver": 1, "spleen": 2}}))
    return tmp_path / "made", tmp_path / "true"


def test_the_mean_is_over_cases_of_the_mean_over_labels(run: Run, folders: tuple[Path, Path]) -> None:
    outcome = run("evaluate", *folders, "--json")
    assert outcome.code == 0
    document = outcome.json
    assert [case["dice"] for case in document["cases"]] == pytest.approx([1.0, (SMALLER + 1) / 2])
    assert document["mean"]["dice"] == pytest.approx((1.0 + (SMALLER + 1) / 2) / 2)
    low, high = document["mean"]["dice_ci95"]
    assert low <= document["mean"]["dice"] <= high
    assert document["n"] == 2
    assert document["labels"]["1"]["name"] == "liver"
    assert document["labels"]["1"]["dice"] == pytest.approx((1 + SMALLER) / 2)


def test_references_without_prediction_are_named_and_take_no_part(run: Run, folders: tuple[Path, Path]) -> None:
    outcome = run("evaluate", *folders, "--json")
    assert outcome.json["missing"] == ["c"]
    assert "1 references have no prediction" in outcome.err


def test_a_label_in_neither_map_takes_no_part(run: Run, tmp_path: Path) -> None:
    for side in ("made", "true"):
        made.labels(tmp_path / side / "a.nii.gz", block=0)
    document = run("evaluate", tmp_path / "made", tmp_path / "true", "--json").json
    assert list(document["labels"]) == ["2"]
    assert document["mean"]["dice"] == 1.0


def test_a_pair_on_different_grids_fails_alone(run: Run, folders: tuple[Path, Path]) -> None:
    made.labels(folders[0] / "c.nii.gz", shape=(8, 18, 20))
    outcome = run("evaluate", *folders, "--json")
    assert outcome.code == 1
    assert outcome.json["failed"][0]["case"] == "c"
    assert outcome.json["n"] == 2


def test_the_table_is_readable(run: Run, folders: tuple[Path, Path]) -> None:
    lines = run("evaluate", *folders).out.splitlines()
    assert lines[0].split() == ["label", "n", "Dice", "[95", "%]", "NSD", "[95", "%]", "HD95", "mm", "[95", "%]"]
    assert lines[-1].startswith("mean")


def test_two_files_can_be_compared(run: Run, folders: tuple[Path, Path]) -> None:
    document = run("evaluate", folders[0] / "b.nii.gz", folders[1] / "a.nii.gz", "--json").json
    assert document["labels"]["1"]["dice"] == pytest.approx(SMALLER)


def test_folders_that_share_no_case_are_refused(run: Run, tmp_path: Path) -> None:
    made.labels(tmp_path / "made" / "a.nii.gz")
    made.labels(tmp_path / "true" / "b.nii.gz")
    assert run("evaluate", tmp_path / "made", tmp_path / "true").code == 3
    assert run("evaluate", tmp_path / "made", tmp_path / "nowhere").code == 2


def test_names_that_are_none_are_refused(run: Run, folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text("[1, 2]")
    outcome = run("evaluate", *folders, "--names", tmp_path / "names.json")
    assert outcome.code == 3
    assert "names no labels" in outcome.sentence


def test_voxels_that_the_reference_ignores_are_left_out(run: Run, tmp_path: Path) -> None:
    reference, prediction = np.zeros(made.SHAPE, np.uint8), np.zeros(made.SHAPE, np.uint8)
    reference[:, :, :3], reference[:, :, 3:] = 1, 2
    prediction[:] = 1
    for kind, data in (("reference", reference), ("prediction", prediction)):
        write(LabelMap(data, Geometry.from_spacing(made.SHAPE, (1.0, 1.0, 1.0))), tmp_path / kind / "a.nii.gz")
    folders = ("evaluate", tmp_path / "prediction", tmp_path / "reference", "--json")
    labels = {"background": 0, "liver": 1}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {**labels, "ignore": 2}}))
    document = run(*folders).json
    assert document["mean"]["dice"] == 1.0
    assert list(document["labels"]) == ["1"]
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert run(*folders).json["mean"]["dice"] < 0.5
