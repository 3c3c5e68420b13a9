from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import made
from made import Run
from voxtrace import io
from voxtrace.bundle import card

# A block of 3³ inside one of 4³ has Dice 2·27 / (27 + 64); label 2 agrees, so the mean over labels is:
CLOSE = (2 * 27 / (27 + 64) + 1) / 2


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two scans without reference labels, and three folders of label maps: 4³, 3³, 4³ in case a, alike in case b."""
    for case in ("a", "b"):
        made.scan(tmp_path / "set" / "imagesTr" / f"{case}_0000.nii.gz")
        for folder, block in (("x", 4), ("y", 3 if case == "a" else 4), ("z", 4)):
            made.labels(tmp_path / folder / f"{case}.nii.gz", block=block)
    labels = {"background": 0, "liver": 1, "spleen": 2}
    record = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz"}
    (tmp_path / "set" / "dataset.json").write_text(json.dumps(record))
    return tmp_path / "set"


def _folders(dataset: Path) -> list[Path]:
    return [dataset.parent / name for name in "xyz"]


def test_scores_are_printed_and_written(run: Run, dataset: Path) -> None:
    x, y, z = _folders(dataset)
    outcome = run("score", dataset, "--labels", y, x, z, "--json")
    assert outcome.code == 0
    case = outcome.json["cases"]["a"]
    assert case["chosen"] == 1
    assert case["reliability"] == case["difficulty"] == pytest.approx((CLOSE + 1) / 2)
    assert case["difficulty_min"] == pytest.approx(CLOSE)
    assert case["reliabilities"] == pytest.approx([CLOSE, (CLOSE + 1) / 2, (CLOSE + 1) / 2])
    assert outcome.json["cases"]["b"]["difficulty"] == 1
    assert json.loads((dataset / "scores.json").read_text())["cases"] == outcome.json["cases"]
    assert sorted(f.name for f in (dataset / "labelsChosen").iterdir()) == ["a.nii.gz", "b.nii.gz"]


def test_each_folder_may_have_a_flag_of_its_own(run: Run, dataset: Path) -> None:
    x, y, z = _folders(dataset)
    apart = run("score", "--labels", x, "--labels", y, "--with-background", f"--labels={z}", "--json", dataset)
    together = run("score", dataset, "--labels", x, y, z, "--with-background", "--json")
    assert apart.code == together.code == 0
    assert apart.json == together.json
    assert apart.json["background"] is True
    assert apart.json["cases"]["a"]["difficulty_min"] > CLOSE


def test_the_table_names_the_kept_folder(run: Run, dataset: Path) -> None:
    lines = run("score", dataset, "--labels", *_folders(dataset)).out.splitlines()
    assert lines[0].split() == ["case", "kept", "difficulty", "smallest", "Dice", "voxels"]
    row = lines[1].split()
    assert row[:-1] == ["a", str(dataset.parent / "x"), "0.8984", "0.7967"]
    assert int(row[-1]) > 0
    assert lines[-1].startswith("1 easy (difficulty above 0.9), 1 hard (above 0.8), 0 left out of a curriculum")


def test_a_case_whose_kept_map_is_empty_is_named(run: Run, dataset: Path) -> None:
    """All three maps of case b show nothing."""
    for folder in "xyz":
        file = dataset.parent / folder / "b.nii.gz"
        drawn = io.read_labels(file)
        io.write(replace(drawn, data=np.zeros_like(drawn.data)), file)
    printed = run("score", dataset, "--labels", *_folders(dataset))
    assert printed.code == 0
    assert "1 kept label maps are empty, and a curriculum never learns them: b." in printed.err
    outcome = run("score", dataset, "--labels", *_folders(dataset), "--json")
    assert outcome.json["empty"] == ["b"]
    assert outcome.json["curriculum"]["without_foreground"] == 1
    assert outcome.json["cases"]["b"]["foreground_voxels"] == 0


def test_four_opinions_on_real_scans_agree_half_agree_or_fail(run: Run, real_data: Path, tmp_path: Path) -> None:
    """The two CRLM scans are those on which the opinions agree, TS_trunk half, FNNDSC one on which they fail."""
    opinions = real_data / "Dataset201_CTAbdomenOpinions"
    if not opinions.is_dir():
        pytest.skip(f"{opinions} is missing")
    for part in ("dataset.json", "imagesTr"):  # what is scored is written beside them
        (tmp_path / part).symlink_to(opinions / part)
    outcome = run("score", tmp_path, "--labels", *(opinions / f"labels_opinion{n}" for n in (1, 2, 3, 4)), "--json")
    assert outcome.code == 0
    scores = {name: case["difficulty"] for name, case in outcome.json["cases"].items()}
    assert scores["CRLM_1004"] > 0.8
    assert scores["CRLM_1006"] > 0.8
    assert 0.3 < scores["TS_trunk"] < 0.6
    assert scores["FNNDSC"] < 0.25
    counts = outcome.json["curriculum"]
    assert (counts["easy"], counts["hard"], counts["dropped"], counts["without_foreground"]) == (0, 2, 2, 0)


def test_a_case_that_cannot_be_scored_leaves_1(run: Run, dataset: Path) -> None:
    made.labels(dataset.parent / "y" / "b.nii.gz", shape=(8, 18, 20))
    outcome = run("score", dataset, "--labels", *_folders(dataset), "--json")
    assert outcome.code == 1
    assert outcome.json["failed"][0]["case"] == "b"
    assert "does not lie on the grid" in outcome.sentence


def test_two_folders_are_refused(run: Run, dataset: Path) -> None:
    outcome = run("score", dataset, "--labels", *_folders(dataset)[:2])
    assert (outcome.code, outcome.out) == (2, "")
    assert "expected 3 or more" in outcome.sentence
    assert not (dataset / "scores.json").exists()


def test_no_folder_and_no_dataset_are_refused(run: Run, dataset: Path) -> None:
    assert run("score", dataset).code == 2
    assert run("score", dataset.parent, "--labels", *_folders(dataset)).code == 3


def test_missing_candidates_and_labels_that_training_prefers_are_told(run: Run, dataset: Path) -> None:
    (dataset.parent / "y" / "b.nii.gz").unlink()
    made.labels(dataset / "labelsTr" / "a.nii.gz")
    outcome = run("score", dataset, "--labels", *_folders(dataset))
    assert outcome.code == 0
    assert "1 cases lack a label map in some folder and were left out: b." in outcome.err
    assert "1 scored cases have labels in labelsTr" in outcome.err


def test_training_follows_the_scores(run: Run, dataset: Path, tmp_path: Path) -> None:
    """Case a is below both thresholds, case b above: the run learns from b, says so, and refuses to begin without b."""
    assert run("score", dataset, "--labels", *_folders(dataset)).code == 0
    words = ["train", dataset, "--method", "cdlunet", "--iterations", 2, "--device", "cpu", "--precision", "float32"]
    _set_difficulty(dataset, "a")
    trained = run(*words, "--out", tmp_path / "bundle", "--labels", "labelsChosen")
    assert trained.code == 0
    assert "training cdlunet on 2 cases, 0 held back (easy: 1, hard: 1; 1 left out), into" in trained.err
    assert card(tmp_path / "bundle")["provenance"]["cases_learned"] == 1
    refused = run(*words, "--out", tmp_path / "other", "--labels", "labelsElsewhere")
    assert refused.code == 3
    assert "labelsElsewhere" in refused.sentence
    _set_difficulty(dataset, "b")
    outcome = run(*words, "--out", tmp_path / "none")
    assert outcome.code == 3
    assert "phase 'easy'" in outcome.sentence
    assert not list(tmp_path.glob("none*"))  # nothing was prepared


def _set_difficulty(dataset: Path, name: str) -> None:
    """Let the candidates of a case disagree."""
    scores = json.loads((dataset / "scores.json").read_text())
    scores["cases"][name]["difficulty"] = 0.5
    (dataset / "scores.json").write_text(json.dumps(scores))


def test_folders_in_the_dataset_go_by_their_names(
    run: Run, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "xyz":
        (tmp_path / name).rename(dataset / name)
    assert run("score", "set", "--labels", "x", "y", "z").code == 0
    assert run("score", "set", "--labels", "x", "set/y", dataset / "z").code == 0
    (tmp_path / "y").mkdir()
    outcome = run("score", "set", "--labels", "x", "y", "z")
    assert outcome.code == 2
    assert "y is a folder here and one in set; give the whole path" in outcome.err
    monkeypatch.chdir(dataset)
    assert run("score", ".", "--labels", "x", "y", "z").code == 0
