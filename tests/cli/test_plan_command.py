"""``voxtrace plan``: the list of faults, its exit codes, the plan's file, and the copy without faults."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cases import ball_dataset
from faulty_dataset import plant_faults
from made import Run
from voxtrace.bundle import load
from voxtrace.io import read_labels, write

SMALL = ("--iterations", 2, "--batch-size", 2, "--device", "cpu", "--precision", "float32")


@pytest.fixture
def balls(tmp_path: Path) -> Path:
    """Ten balls."""
    return ball_dataset(tmp_path / "balls", 10)


def test_faults_end_with_one_and_the_copy_without_them_with_zero(run: Run, balls: Path, tmp_path: Path) -> None:
    planted = plant_faults(balls)
    listed = run("plan", balls, "--device", "cpu", "--json")
    assert listed.code == 1
    assert set(planted) <= {fault["kind"] for fault in listed.json["faults"]}
    assert planted["damaged"][0] in listed.json["left_out"]
    fixed = run("plan", balls, "--device", "cpu", "--fix", tmp_path / "copy", "--json")
    assert fixed.code == 0
    assert fixed.json["fix"]["folder"] == str(tmp_path / "copy")
    again = run("plan", tmp_path / "copy", "--device", "cpu", "--json")
    assert (again.code, [fault for fault in again.json["faults"] if fault["level"] == "fault"]) == (0, [])
    assert again.json["fingerprint"]["cases"] == again.json["cases"]
    trained = run("train", tmp_path / "copy", "-o", tmp_path / "b", "--method", "unet", "--fold", 0, *SMALL)
    assert trained.code == 0


def test_values_without_a_name_become_background_in_a_copy_where_that_is_asked_for(
    run: Run, balls: Path, tmp_path: Path
) -> None:
    """Eight voxels of one case have the value 9; --fix alone leaves the case out."""
    file = balls / "labelsTr" / "ball_003.nii.gz"
    labels = read_labels(file)
    data = labels.data.copy()
    data[:2, :2, :2] = 9
    write(replace(labels, data=data, names={}), file)
    words = ("plan", balls, "--device", "cpu", "--json")
    assert run(*words, "--fix", tmp_path / "without").json["fix"]["left_out"] == ["ball_003"]
    cleaned = run(*words, "--fix", tmp_path / "copy", "--unnamed", "background")
    assert (cleaned.code, cleaned.json["fix"]["left_out"]) == (0, [])
    (told,) = [fault for fault in cleaned.json["faults"] if fault["kind"] == "label values"]
    assert (told["case"], told["mending"]) == ("ball_003", "re-map labels")
    assert "holds 9 (8 voxels), which dataset.json does not name." in told["what"]
    assert told["remedy"] == "Re-map the values: 9 becomes 0 background."
    assert json.loads((tmp_path / "copy" / "fix.json").read_text()) == [told]
    again = read_labels(tmp_path / "copy" / "labelsTr" / "ball_003.nii.gz")
    assert np.array_equal(again.data, np.where(data == 9, 0, data))


def test_values_become_background_in_a_copy_alone(run: Run, balls: Path) -> None:
    outcome = run("plan", balls, "--unnamed", "background")
    assert outcome.code == 2
    assert "give --fix NEW as well" in outcome.err


def test_each_fault_is_a_line_with_its_remedy(run: Run, balls: Path) -> None:
    planted = plant_faults(balls)
    out = run("plan", balls, "--device", "cpu").out
    for kind, (case, mending) in planted.items():
        line = next(line for line in out.splitlines() if f"  {kind} " in line and case in line)
        assert "→" in line
        assert f"[--fix: {mending}]" in line
    assert "voxtrace plan DATASET --fix OUT" in out


def test_a_dataset_without_a_usable_case_ends_with_three(run: Run, balls: Path) -> None:
    for file in (balls / "labelsTr").iterdir():
        file.unlink()
    outcome = run("plan", balls, "--device", "cpu", "--json")
    assert outcome.code == 3
    assert outcome.json["plan"] is None
    assert len(outcome.json["faults"]) == 10


def test_folds_trained_by_one_plan_can_be_averaged(run: Run, balls: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    assert run("plan", balls, "--device", "cpu", "--window", "8x8x8", "--out", plan).code == 0
    assert json.loads(plan.read_text())["plan"]["window"] == [8, 8, 8]
    folds = [tmp_path / "fold_0", tmp_path / "fold_1"]
    for number, out in enumerate(folds):
        train = run("train", balls, "--plan", plan, "--fold", number, "-o", out, "--method", "unet", *SMALL)
        assert train.code == 0, train.err
    assert load(folds[0]).plan == load(folds[1]).plan
    scan = balls / "imagesTr" / "ball_000_0000.nii.gz"
    models = ("-m", folds[0], "-m", folds[1])
    assert run("predict", scan, *models, "-o", tmp_path / "answer", "--device", "cpu").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--window", "8x8"), "--window '8x8' is no window; expected whole voxels ZxYxX"),
        (("--window", "0x8x8"), "is no window"),
        (("--spacing", "1xax1"), "--spacing '1xax1' is no spacing; expected mm ZxYxX"),
        (("--spacing", "0"), "is no spacing"),
        (("--fix", "a", "--out", "b"), "--out does not go with --fix"),
    ],
)
def test_words_that_make_no_plan_are_refused(run: Run, balls: Path, words: tuple[str, ...], said: str) -> None:
    outcome = run("plan", balls, "--device", "cpu", *words)
    assert outcome.code == 2
    assert said in outcome.err


def test_the_plan_is_kept_unless_another_is_asked_for(run: Run, balls: Path) -> None:
    first = run("plan", balls, "--device", "cpu", "--json").json["plan"]
    assert run("plan", balls, "--device", "cpu", "--spacing", "2", "--json").json["plan"]["spacing_mm"] == [2, 2, 2]
    assert run("plan", balls, "--device", "cpu", "--json").json["plan"] == first


@pytest.mark.parametrize("method", ["unet", "meddanet"])
def test_a_dataset_with_voxels_that_nobody_annotated_is_trained_and_validated(
    run: Run, balls: Path, tmp_path: Path, method: str
) -> None:
    for file in (balls / "labelsTr").iterdir():
        labels = read_labels(file)
        data = labels.data.copy()
        data[8:] = 2
        write(replace(labels, data=data), file)
    record = json.loads((balls / "dataset.json").read_text())
    record["labels"]["ignore"] = 2
    (balls / "dataset.json").write_text(json.dumps(record))
    assert run("plan", balls, "--device", "cpu").code == 0
    trained = run("train", balls, "-o", tmp_path / "b", "--method", method, "--fold", 0, *SMALL)
    assert trained.code == 0, trained.err
    bundle = load(tmp_path / "b")
    assert (bundle.plan.labels, bundle.plan.ignore) == ({0: "background", 1: "ball"}, True)
    scored = bundle.card["metrics"]["validation"]["per_case"]
    drawn = sum((read_labels(file).data == 1).sum() for file in (balls / "labelsTr").glob(f"{scored[0]['name']}*"))
    assert scored[0]["reference_ml"]["ball"] == pytest.approx(drawn / 1000, abs=1e-3)
