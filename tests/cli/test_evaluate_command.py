from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import made
from made import Run
from made_traces import made_trace
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


def test_an_absent_label_counts_1_where_asked_for(run: Run, tmp_path: Path) -> None:
    for side in ("made", "true"):
        made.labels(tmp_path / side / "a.nii.gz", block=0)
    made.labels(tmp_path / "made" / "b.nii.gz", block=3)
    made.labels(tmp_path / "true" / "b.nii.gz", block=4)
    command = ("evaluate", tmp_path / "made", tmp_path / "true", "--json", "--absent")
    left_out, counted = run(*command, "nan").json, run(*command, "one").json
    assert (left_out["labels"]["1"]["dice_n"], left_out["labels"]["1"]["dice"]) == (1, pytest.approx(SMALLER))
    assert (counted["labels"]["1"]["dice_n"], counted["labels"]["1"]["dice"]) == (2, pytest.approx((1 + SMALLER) / 2))
    assert (left_out["absent"], counted["absent"]) == ("nan", "one")
    assert run(*command[:-1]).json == left_out


def test_volumes_and_the_wider_surface_dice_are_told(run: Run, folders: tuple[Path, Path]) -> None:
    document = run("evaluate", *folders, "--json").json
    voxel_ml = document["cases"][0]["labels"]["1"]["reference_ml"] / 64
    liver = document["labels"]["1"]
    assert liver["volume_bias_ml"] == pytest.approx(-(64 - 27) * voxel_ml / 2)
    assert liver["volume_error_ml"] == pytest.approx((64 - 27) * voxel_ml / 2)
    assert liver["nsd"] < liver["nsd_2mm"] <= 1.0
    lines = run("evaluate", *folders).out.splitlines()
    assert any("NSD 2 mm" in line and "bias mL" in line for line in lines)


def test_the_table_tells_how_many_cases_a_mean_has(run: Run, folders: tuple[Path, Path]) -> None:
    made.labels(folders[0] / "c.nii.gz", block=0)
    liver = run("evaluate", *folders).out.splitlines()[1]
    assert liver.split()[:3] == ["1", "liver", "3"]
    assert liver.endswith("n 2")  # no HD95 where the label was missed


def test_a_trace_is_scored_step_by_step(run: Run, tmp_path: Path) -> None:
    trace = made_trace(steps=3)
    trace.save(tmp_path / "trace")
    write(
        LabelMap(np.asarray(trace.labels[2]), trace.geometry, {1: "liver", 2: "spleen", 3: "kidney"}),
        tmp_path / "t.nii.gz",
    )
    command = ("evaluate", tmp_path / "trace", tmp_path / "t.nii.gz")
    document = run(*command, "--json").json
    assert [step["step"] for step in document["steps"]] == [1, 2, 3]
    first, last = document["steps"][0], document["steps"][-1]
    assert last["dice"] == last["labels"]["1"] == 1.0
    counts = [int((trace.labels[step] == 1).sum()) for step in (0, 2)]  # the first step lies within the last
    assert first["labels"]["1"] == pytest.approx(2 * counts[0] / sum(counts))
    assert first["dice"] == pytest.approx((first["labels"]["1"] + first["labels"]["2"]) / 2)
    assert len(run(*command).out.splitlines()) == 4
    assert run("evaluate", tmp_path / "trace", tmp_path).code == 2
