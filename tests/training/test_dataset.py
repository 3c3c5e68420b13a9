"""Datasets: what a folder must hold, and what is said when it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cases import ball_dataset
from voxtrace.errors import DatasetError
from voxtrace.training import fold, open_dataset


def test_a_folder_in_nnunet_layout_is_understood(tmp_path: Path) -> None:
    dataset = open_dataset(ball_dataset(tmp_path / "balls"))
    assert dataset.name == "Balls"
    assert dataset.channels == ("MR",)
    assert dataset.labels == {0: "background", 1: "ball"}
    assert [f.name for f in dataset.files] == [f"ball_{n:03d}" for n in range(5)]


def test_every_case_is_validated_in_exactly_one_fold(tmp_path: Path) -> None:
    dataset = open_dataset(ball_dataset(tmp_path / "balls"))
    held = [name for _, validation in dataset.folds for name in validation]
    assert sorted(held) == [f.name for f in dataset.files]
    assert all(not set(training) & set(validation) for training, validation in dataset.folds)


def test_the_folders_own_splits_are_used(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls")
    (folder / "splits_final.json").write_text(json.dumps([{"train": ["ball_000"], "val": ["ball_004"]}]))
    training, validation = fold(open_dataset(folder), 0)
    assert [f.name for f in training.files] == ["ball_000"]
    assert validation[0].name == "ball_004"


def test_a_fold_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="fold 7 was asked for; Balls has folds 0 to 4"):
        fold(open_dataset(ball_dataset(tmp_path / "balls")), 7)


def test_a_folder_without_dataset_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no dataset\.json; expected nnU-Net's raw layout"):
        open_dataset(tmp_path)


def test_a_missing_label_file_is_named(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls")
    (folder / "labelsTr" / "ball_002.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"case ball_002: .*labelsTr.* is missing"):
        open_dataset(folder)


def test_a_missing_channel_is_named(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", channels={"0": "T1", "1": "T2"})
    with pytest.raises(DatasetError, match=r"ball_000_0001\.nii\.gz is missing"):
        open_dataset(folder)


def test_the_hippocampus_set_has_its_published_folds(real_data: Path) -> None:
    dataset = open_dataset(real_data / "Dataset004_Hippocampus")
    training, validation = fold(dataset, 0)
    assert (len(dataset.files), len(training), len(validation)) == (204, 157, 47)
    assert dataset.labels == {0: "background", 1: "anterior", 2: "posterior"}
