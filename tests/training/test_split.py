"""Folds: by subject, stable when cases are added, and never with a subject on both sides."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cases import ball, ball_dataset
from voxtrace.errors import DatasetError
from voxtrace.training import fold, open_dataset
from voxtrace.training.add_case import NewCase, add_case
from voxtrace.training.dataset_cache import stored_folds
from voxtrace.training.split import draw_folds, subject_of, subjects_of


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("patient001_frame01", "patient001"),
        ("patient001_ED", "patient001"),
        ("sub-07_ses-2_T1w", "sub-07"),
        ("BraTS-GLI-00001-001", "BraTS-GLI-00001"),
        ("TCGA_CS_4941_19960909", "TCGA_CS_4941"),
        ("OAS1_0061_MR2", "OAS1_0061"),
        ("knee012_left_visit2", "knee012"),
        ("case7_2021-03-04", "case7"),
        ("hippocampus_004", "hippocampus_004"),
        ("abdomen_scan_12", "abdomen_scan_12"),  # what is left has no number
        ("BraTS20_Training_001", "BraTS20_Training_001"),
        ("s0011", "s0011"),
    ],
)
def test_subjects_are_recognised_by_the_names_of_their_cases(name: str, subject: str) -> None:
    assert subject_of(name) == subject


def test_what_a_dataset_states_of_its_subjects_goes_before_names() -> None:
    names = ["a1_left", "a1_right", "b"]
    assert subjects_of(names, {}) == {"a1_left": "a1", "a1_right": "a1", "b": "b"}
    assert subjects_of(names, {"a1_left": "x"})["a1_left"] == "x"
    # names that leave a single subject say nothing of subjects
    assert subjects_of(names[:2], {}) == {"a1_left": "a1_left", "a1_right": "a1_right"}


@pytest.mark.parametrize("count", [1, 2, 5, 6, 11, 20, 100])
def test_every_fold_holds_someone_back(count: int) -> None:
    folds = draw_folds(f"case_{number:03d}" for number in range(count))
    sizes = Counter(folds.values())
    assert sorted(sizes) == list(range(min(5, count)))
    assert min(sizes.values()) >= max(1, count // 10)


def test_subjects_that_are_added_move_no_other() -> None:
    few = draw_folds(f"case_{number:03d}" for number in range(60))
    many = draw_folds(f"case_{number:03d}" for number in range(-30, 90))
    assert few.items() <= many.items()


def test_in_small_sets_the_folds_that_were_drawn_first_are_kept(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", 5)
    before = open_dataset(folder).folds
    for number in range(5, 9):
        case = ball(number)
        add_case(folder, NewCase(f"added_{number}", (case.volume,), replace(case.labels, names={1: "ball"})))
    after = open_dataset(folder).folds
    assert len(open_dataset(folder).files) == 9
    assert all(set(old) <= set(new) for (_, old), (_, new) in zip(before, after, strict=True))


def test_a_look_at_a_few_cases_moves_nobody_when_the_others_are_back(tmp_path: Path) -> None:
    everyone = [f"p{number}" for number in range(10)]
    before = stored_folds(tmp_path, everyone)
    stored_folds(tmp_path, everyone[:3])
    assert stored_folds(tmp_path, everyone) == before


def test_all_scans_of_a_subject_are_on_one_side(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", 12)
    for number in range(12):
        for kind, end in (("imagesTr", "_0000"), ("labelsTr", "")):
            file = folder / kind / f"ball_{number:03d}{end}.nii.gz"
            file.rename(folder / kind / f"patient{number // 2:03d}_frame{number % 2}{end}.nii.gz")
    dataset = open_dataset(folder)
    for number in range(len(dataset.folds)):
        training, validation = fold(dataset, number)
        assert not {f.name[:10] for f in training.files} & {f.name[:10] for f in validation.files}


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"train": ["ball_000", "ball_001"], "val": ["ball_001"]}, "validates on ball_001 and trains on it"),
        ({"train": ["p1_frame1"], "val": ["p1_frame2"]}, "validates on p1_frame2 and trains on p1_frame1 of the same"),
    ],
)
def test_a_fold_that_trains_on_what_it_validates_on_is_refused(tmp_path: Path, split: Any, said: str) -> None:
    folder = ball_dataset(tmp_path / "balls")
    for number in (3, 4):
        for kind, end in (("imagesTr", "_0000"), ("labelsTr", "")):
            file = folder / kind / f"ball_{number:03d}{end}.nii.gz"
            file.rename(folder / kind / f"p1_frame{number - 2}{end}.nii.gz")
    (folder / "splits_final.json").write_text(json.dumps([split]))
    with pytest.raises(DatasetError, match=said):
        fold(open_dataset(folder), 0)


def test_subjects_in_dataset_json_allow_what_names_would_refuse(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", 2)
    for number in (0, 1):
        for kind, end in (("imagesTr", "_0000"), ("labelsTr", "")):
            file = folder / kind / f"ball_{number:03d}{end}.nii.gz"
            file.rename(folder / kind / f"p1_frame{number}{end}.nii.gz")
    record = json.loads((folder / "dataset.json").read_text())
    record["subjects"] = {"p1_frame0": "Ann", "p1_frame1": "Bob"}
    (folder / "dataset.json").write_text(json.dumps(record))
    (folder / "splits_final.json").write_text(json.dumps([{"train": ["p1_frame0"], "val": ["p1_frame1"]}]))
    training, validation = fold(open_dataset(folder), 0)
    assert (len(training), len(validation)) == (1, 1)


@pytest.mark.parametrize(
    "splits",
    [
        {"train": ["ball_000"], "val": ["ball_001"]},
        [],
        ["ball_000"],
        [{"train": ["ball_000"]}],
        [{"train": "ball_000", "val": ["ball_001"]}],
        [{"train": [3], "val": ["ball_001"]}],
        None,
    ],
)
def test_folds_of_another_structure_are_refused_with_the_files_name(tmp_path: Path, splits: Any) -> None:
    folder = ball_dataset(tmp_path / "balls")
    (folder / "splits_final.json").write_text(json.dumps(splits))
    with pytest.raises(DatasetError, match=r"splits_final\.json (holds no folds|names cases by something other)"):
        open_dataset(folder)
    case = ball(9)
    new = NewCase("new", (case.volume,), replace(case.labels, names={1: "ball"}))
    with pytest.raises(DatasetError, match=r"splits_final\.json"):
        add_case(folder, new)
    assert not (folder / "labelsTr" / "new.nii.gz").exists()


def test_a_case_that_is_added_joins_the_side_of_its_subject(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", 2)
    for kind, end in (("imagesTr", "_0000"), ("labelsTr", "")):
        (folder / kind / f"ball_000{end}.nii.gz").rename(folder / kind / f"p1_frame1{end}.nii.gz")
    (folder / "splits_final.json").write_text(json.dumps([{"train": ["ball_001"], "val": ["p1_frame1"]}]))
    case = ball(9)
    added = add_case(folder, NewCase("p1_frame2", (case.volume,), replace(case.labels, names={1: "ball"})))
    assert not added.in_splits
    assert open_dataset(folder).folds == ((("ball_001",), ("p1_frame1", "p1_frame2")),)


@pytest.mark.parametrize("stated", [False, True])
def test_a_case_that_is_added_is_trained_on_where_the_others_are_no_scans_of_its_subject(
    tmp_path: Path, stated: bool
) -> None:
    """Names that leave one subject tell nobody apart, and what the dataset states goes before names."""
    folder = ball_dataset(tmp_path / "balls", 3)
    names = [f"hosp1_ct_{number:02d}" for number in range(3)]
    for number, name in enumerate(names):
        for kind, end in (("imagesTr", "_0000"), ("labelsTr", "")):
            (folder / kind / f"ball_{number:03d}{end}.nii.gz").rename(folder / kind / f"{name}{end}.nii.gz")
    if stated:
        record = json.loads((folder / "dataset.json").read_text())
        record["subjects"] = {name: f"person {name}" for name in [*names, "hosp1_ct_03"]}
        (folder / "dataset.json").write_text(json.dumps(record))
    splits = [{"train": [other for other in names if other != name], "val": [name]} for name in names]
    (folder / "splits_final.json").write_text(json.dumps(splits))
    case = ball(9)
    added = add_case(folder, NewCase("hosp1_ct_03", (case.volume,), replace(case.labels, names={1: "ball"})))
    assert added.in_splits
    assert all("hosp1_ct_03" in training for training, _ in open_dataset(folder).folds)


def test_the_folds_of_acdc_are_by_patient(real_data: Path) -> None:
    dataset = open_dataset(real_data / "Dataset027_ACDC")
    assert len(set(dataset.subjects.values())) == 45
    drawn = draw_folds(dataset.subjects.values())
    assert min(Counter(drawn.values()).values()) >= 4
    for number in range(5):
        fold(dataset, number)  # its own folds have no patient on both sides
