"""A corrected case joins a dataset that can be trained on, or is refused in a sentence and leaves it as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxtrace.errors import DatasetError, OutputError
from voxtrace.io import read, read_labels
from voxtrace.training import add_case as module
from voxtrace.training.add_case import NewCase, add_case
from voxtrace.training.dataset import fold, open_dataset
from voxtrace.volume import Geometry, LabelMap, Volume

GEOMETRY = Geometry.from_spacing((4, 5, 6), (3.0, 1.5, 1.25), (-20.0, 5.0, 7.0))


def case(name: str = "a", names: dict[int, str] | None = None, modality: str = "CT", channels: int = 1) -> NewCase:
    data = np.arange(channels * 120, dtype=np.int16).reshape(channels, 4, 5, 6)
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1], labels[2] = 1, 3
    volume = Volume(data, GEOMETRY, modality, name="scan")
    made = LabelMap(labels, GEOMETRY, names or {1: "liver", 3: "spleen"})
    return NewCase(name, (volume,), made, {"edits": [{"what": "paint"}]})


def test_the_first_case_begins_a_dataset_that_training_opens(tmp_path: Path) -> None:
    added = add_case(tmp_path / "Dataset500_Mine", case())
    assert added.sentence == f"Began the dataset Dataset500_Mine with a; 1 case now, in {tmp_path / 'Dataset500_Mine'}."
    dataset = open_dataset(tmp_path / "Dataset500_Mine")
    assert dataset.labels == {0: "background", 1: "liver", 2: "spleen"}
    assert dataset.channels == ("CT",)
    loaded = dataset.cases(["a"])[0]
    assert np.array_equal(loaded.volume.data, case().volumes[0].data)
    assert [int(loaded.labels.data[z, 0, 0]) for z in range(4)] == [0, 1, 2, 0]
    assert json.loads((tmp_path / "Dataset500_Mine/provenance/a.json").read_text())["edits"] == [{"what": "paint"}]


def test_labels_are_matched_by_name_not_by_number(tmp_path: Path) -> None:
    add_case(tmp_path / "d", case())
    added = add_case(tmp_path / "d", case("b", {1: "Spleen", 3: "liver"}))
    assert added.cases == 2
    assert [int(v) for v in read_labels(tmp_path / "d/labelsTr/b.nii.gz").data[:, 0, 0]] == [0, 2, 1, 0]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (case("b", {1: "liver", 3: "kidney"}), "has the labels liver, spleen, the corrected ones are liver, kidney"),
        (case("b", {1: "liver"}), "label 3 has no name"),
        (case("b", channels=2), r"has 1 channel\(s\), CT; the scan has 2"),
        (case("b", modality="MR"), "holds CT, the scan is MR"),
        (case("a"), "has a case a already"),
        (case("a/b"), "is no name for a case"),
        (replace(case("b"), volumes=()), "belong to no open scan"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_changes(tmp_path: Path, wrong: NewCase, words: str) -> None:
    add_case(tmp_path / "d", case())
    before = {path: path.read_bytes() for path in (tmp_path / "d").rglob("*") if path.is_file()}
    with pytest.raises(DatasetError, match=words):
        add_case(tmp_path / "d", wrong)
    assert {path: path.read_bytes() for path in (tmp_path / "d").rglob("*") if path.is_file()} == before


def test_a_folder_with_other_files_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match=r"has files but no dataset\.json"):
        add_case(tmp_path, case())


def test_a_case_may_be_replaced_by_a_later_correction(tmp_path: Path) -> None:
    add_case(tmp_path / "d", case())
    later = case()
    later.labels.data[0] = 1
    assert add_case(tmp_path / "d", later, replace_case=True).cases == 1
    assert read_labels(tmp_path / "d/labelsTr/a.nii.gz").data[0].all()


def test_the_case_is_trained_on_where_folds_are_fixed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        add_case(tmp_path / "d", case(name))
    (tmp_path / "d/splits_final.json").write_text(json.dumps([{"train": ["a"], "val": ["b"]}]))
    added = add_case(tmp_path / "d", case("c"))
    assert "trained on in every fold" in added.sentence
    training, validation = fold(open_dataset(tmp_path / "d"), 0)
    assert ([f.name for f in training.files], [f.name for f in validation.files]) == (["a", "c"], ["b"])


def test_a_failure_leaves_no_half_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_case(tmp_path / "d", case())
    written: list[Any] = []

    def full(item: Any, path: Path) -> Path:
        if len(written) == 1:
            raise OutputError("there is no space left on the disk")
        written.append(path)
        path.write_bytes(b"")
        return path

    monkeypatch.setattr(module, "write", full)
    with pytest.raises(OutputError):
        add_case(tmp_path / "d", case("b"))
    assert [path.name for path in (tmp_path / "d").rglob("b*")] == []
    assert len(open_dataset(tmp_path / "d").files) == 1


@pytest.mark.parametrize("part", ["write", "_write_record", "_add_to_splits"])
@pytest.mark.parametrize("begun", [True, False])
def test_a_failure_leaves_the_dataset_as_it_was(
    begun: bool, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a case is replaced or begins a dataset, and whichever of its files cannot be written."""
    folder, own = tmp_path / "d", getattr(module, part)
    if begun:
        add_case(folder, case())
        (folder / "splits_final.json").write_text(json.dumps([{"train": ["a"], "val": []}]))

    def full(*given: Any) -> Any:
        if part != "write" or isinstance(given[0], Volume):
            raise OutputError("there is no space left on the disk")
        return own(*given)

    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    later = case()
    later.labels.data[0] = 1
    with monkeypatch.context() as patched:
        patched.setattr(module, part, full)
        with pytest.raises(OutputError):
            add_case(folder, later, replace_case=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    add_case(folder, later, replace_case=True)
    assert read_labels(folder / "labelsTr/a.nii.gz").data[0].all()
    assert sorted(path.name for path in folder.iterdir())[0] == "dataset.json"


def test_channels_of_several_files_are_written_in_order(tmp_path: Path) -> None:
    one = case("m", channels=2)
    add_case(tmp_path / "d", one)
    files = [tmp_path / f"d/imagesTr/m_000{c}.nii.gz" for c in range(2)]
    assert np.array_equal(read(files).data, one.volumes[0].data)


def test_a_new_dataset_calls_channels_as_the_model_does(tmp_path: Path) -> None:
    add_case(tmp_path / "d", replace(case(modality=""), channel_names=("MRI",)))
    assert open_dataset(tmp_path / "d").channels == ("MRI",)
    add_case(tmp_path / "e", replace(case(modality=""), channel_names=("t1", "t2")))  # of another number of channels
    assert open_dataset(tmp_path / "e").channels == ("channel 0",)
