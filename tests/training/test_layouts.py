"""Layouts: the same cases, laid out in each way, are read as the same dataset."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from cases import ball, ball_dataset, drain
from faulty_dataset import second_channel
from voxtrace.errors import DatasetError
from voxtrace.training import fold, open_dataset
from voxtrace.training.dataset_cache import cache_of
from voxtrace.training.dataset_listing import read_listing
from voxtrace.training.doctor import examine, mend

NAMES = [f"ball_{number:03d}" for number in range(5)]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Five balls of two channels in nnU-Net's raw layout."""
    folder = ball_dataset(tmp_path / "raw")
    second_channel(folder)
    return folder


def decathlon(raw: Path, folder: Path) -> Path:
    (folder / "imagesTr").mkdir(parents=True)
    shutil.copytree(raw / "labelsTr", folder / "labelsTr")
    for name in NAMES:
        channels = [SimpleITK.ReadImage(raw / "imagesTr" / f"{name}_{c:04d}.nii.gz") for c in (0, 1)]
        SimpleITK.WriteImage(SimpleITK.JoinSeries(channels), folder / "imagesTr" / f"{name}.nii.gz")
    record = {
        "name": "Balls",
        "modality": {"0": "T1", "1": "T2"},
        "labels": {"0": "background", "1": "ball"},
        "training": [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in NAMES],
        "test": ["./imagesTs/ball_099.nii.gz"],
        "numTraining": 5,
    }
    (folder / "dataset.json").write_text(json.dumps(record))
    return folder


def listing(raw: Path, folder: Path) -> Path:
    folder.mkdir()
    record = json.loads((raw / "dataset.json").read_text())
    record["dataset"] = {
        name: {
            "images": [f"../raw/imagesTr/{name}_0000.nii.gz", str(raw / "imagesTr" / f"{name}_0001.nii.gz")],
            "label": f"../raw/labelsTr/{name}.nii.gz",
        }
        for name in NAMES
    }
    (folder / "dataset.json").write_text(json.dumps(record))
    return folder


def table(raw: Path, folder: Path) -> Path:
    folder.mkdir()
    rows = [
        {
            "case": name,
            "image": f"../raw/imagesTr/{name}_0000.nii.gz",
            "image2": f"../raw/imagesTr/{name}_0001.nii.gz",
            "label": f"../raw/labelsTr/{name}.nii.gz",
        }
        for name in NAMES
    ]
    write_csv(folder / "cases.csv", rows)
    shutil.copyfile(raw / "dataset.json", folder / "dataset.json")
    return folder / "cases.csv"


def write_csv(file: Path, rows: list[dict[str, Any]], separator: str = ",") -> None:
    with file.open("w", newline="") as target:
        writer = csv.DictWriter(target, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("lay_out", [decathlon, listing, table])
def test_every_layout_gives_the_same_cases(raw: Path, tmp_path: Path, lay_out: Callable[[Path, Path], Path]) -> None:
    expected, dataset = open_dataset(raw), open_dataset(lay_out(raw, tmp_path / "other"))
    assert (dataset.channels, dataset.labels) == (("T1", "T2"), {0: "background", 1: "ball"})
    assert [files.name for files in dataset.files] == NAMES
    for ours, theirs in zip(expected.cases(NAMES), dataset.cases(NAMES), strict=True):
        np.testing.assert_array_equal(ours.volume.data, theirs.volume.data)
        np.testing.assert_array_equal(ours.labels.data, theirs.labels.data)
    assert {frozenset(held) for _, held in dataset.folds} == {frozenset(held) for _, held in expected.folds}


@pytest.mark.parametrize("lay_out", [decathlon, listing, table])
def test_the_copy_of_every_layout_is_a_raw_one(
    raw: Path, tmp_path: Path, lay_out: Callable[[Path, Path], Path]
) -> None:
    examined = drain(examine(lay_out(raw, tmp_path / "other")))
    assert examined.faults == ()
    assert mend(examined, tmp_path / "copy") == ()
    assert read_listing(tmp_path / "copy").layout == "raw"
    for ours, theirs in zip(open_dataset(raw).cases(NAMES), open_dataset(tmp_path / "copy").cases(NAMES), strict=True):
        np.testing.assert_array_equal(ours.volume.data, theirs.volume.data)
        assert theirs.volume.geometry.is_close(theirs.labels.geometry)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("layout", ["raw", "BraTS"])
def test_a_dataset_without_a_name_is_called_as_it_was_given(
    layout: str, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link keeps its own name, and has folds and plan of what it leads to."""
    record = json.loads((raw / "dataset.json").read_text())
    record.pop("name", None)
    (raw / "dataset.json").write_text(json.dumps(record))
    if layout == "BraTS":
        shutil.rmtree(raw)
        for ending in ("t1n", "t1c", "t2w", "t2f", "seg"):
            file = raw / "case" / f"case-{ending}.nii.gz"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    link = tmp_path / "Dataset007_Mine"
    link.symlink_to(raw)
    assert read_listing(raw).name == "raw"
    assert read_listing(link).name == "Dataset007_Mine"
    assert cache_of(link) == cache_of(raw)
    monkeypatch.chdir(raw)
    assert read_listing(Path()).name == "raw"


@pytest.mark.parametrize(
    ("names", "enhancing"), [(("t1n", "t1c", "t2w", "t2f"), 3), (("t1", "t1ce", "t2", "flair"), 4)]
)
def test_brats_names_are_known(tmp_path: Path, names: tuple[str, ...], enhancing: int) -> None:
    from voxtrace.io import write
    from voxtrace.volume import LabelMap

    separator = "-" if enhancing == 3 else "_"
    for number in range(3):
        name = f"BraTS-GLI-{number:05d}-000"
        # as published since 2019, and in folders by grade before; some years came with tables of other things
        case, inner = ball(number), tmp_path / "brats" / ("HGG" if enhancing == 4 else ".") / name
        for channel in names:
            write(case.volume, inner / f"{name}{separator}{channel}.nii.gz")
        data = case.labels.data * enhancing
        data[0, 0, :2] = (1, 2)
        write(LabelMap(data, case.labels.geometry), inner / f"{name}{separator}seg.nii.gz")
    for table_name in ("survival_info.csv", "name_mapping.csv"):
        (tmp_path / "brats" / table_name).write_text("ID,Age\n1,60\n")
    if enhancing == 4:
        with pytest.raises(DatasetError, match=r"label values \[0, 1, 2, 4\] are not 0, 1, 2 …; renumber them"):
            open_dataset(tmp_path / "brats")
        examined = drain(examine(tmp_path / "brats"))
        assert "numbering" in {fault.kind for fault in examined.bad}
    else:
        dataset = open_dataset(tmp_path / "brats")
        assert dataset.channels == ("T1", "T1ce", "T2", "FLAIR")
        assert dataset.labels[3] == "enhancing tumour"
        assert dataset.cases(["BraTS-GLI-00001-000"])[0].labels.values == (1, 2, 3)
        assert dataset.subjects["BraTS-GLI-00001-000"] == "BraTS-GLI-00001"


def test_a_folder_may_hold_one_csv_and_the_names_of_its_labels(raw: Path, tmp_path: Path) -> None:
    folder = table(raw, tmp_path / "other").parent
    assert read_listing(folder).layout == "csv"
    assert open_dataset(folder).labels == {0: "background", 1: "ball"}


def test_a_link_that_leads_nowhere_is_a_missing_file(raw: Path) -> None:
    gone = raw / "imagesTr" / "ball_002_0000.nii.gz"
    gone.unlink()
    gone.symlink_to(raw / "nowhere.nii.gz")
    (raw / "imagesTr" / "ball_002_0001.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"case ball_002: .*ball_002_0000\.nii\.gz is missing"):
        open_dataset(raw)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_states_folds_and_subjects(raw: Path, tmp_path: Path, separator: str) -> None:
    rows = [
        {
            "image": raw / "imagesTr" / f"{name}_0000.nii.gz",
            "label": raw / "labelsTr" / f"{name}.nii.gz",
            "fold": number % 2 if number < 4 else "",
            "subject": f"s{number % 2}",
        }
        for number, name in enumerate(NAMES[:4] + NAMES[4:])
    ]
    rows[4]["subject"] = "s9"
    write_csv(tmp_path / "cases.csv", rows, separator)
    dataset = open_dataset(tmp_path / "cases.csv")
    assert dataset.channels == ("channel 0",)
    assert dataset.labels == {0: "background", 1: "label 1"}
    training, validation = fold(dataset, 0)
    assert [f.name for f in validation.files] == ["ball_000_0000", "ball_002_0000"]
    assert len(training) == 3
    rows[2]["fold"] = 1
    write_csv(tmp_path / "cases.csv", rows, separator)
    with pytest.raises(DatasetError, match="of the same subject, s0"):
        fold(open_dataset(tmp_path / "cases.csv"), 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,fold\na.nii.gz,0\n", "has the columns image, fold; expected image, label"),
        ("image,label\n", "lists no cases"),
        ("image,label\na.nii.gz,b.nii.gz,c\n", "row 2 has 3 cells under 2 columns"),
        ("image,label,fold\na.nii.gz,b.nii.gz,x\n", "row 2: fold is 'x'; expected a whole number"),
        ("image,label,fold\na.nii.gz,b.nii.gz,2\n", r"has the folds \[2\]; expected 0, 1, 2"),
        ("image,image2,label\na.nii.gz,,b.nii.gz\n", "row 2: the column image2 is empty"),
        ("image,label\nx/a.nii.gz,b.nii.gz\ny/a.nii.gz,c.nii.gz\n", "lists the case a twice"),
    ],
)
def test_a_csv_of_another_structure_is_refused_with_its_name(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(DatasetError, match=rf"cases\.csv.*{said}"):
        open_dataset(tmp_path / "cases.csv")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": ["background", "ball"]}, "names no labels"),
        ({"labels": {"background": 0, "ball": 1, "dot": 1}}, "two names for the label value 1: ball, dot; keep one"),
        ({"labels": {"0": "background", "1": "ball", "2": "Ball"}}, "gives the name 'ball' to several label values"),
        ({"labels": {"background": 0, "whole": [1, 2], "core": 2}}, "regions_class_order is None; expected a list"),
        ({"labels": {"background": 0, "ball": 1.5}}, "the label 'ball' has the value 1.5; labels must be whole"),
        ({"labels": {"background": 0, "ball": True}}, "labels must be whole numbers"),
        ({"labels": {"background": 0, "ball": 1, "ignore": 7}}, "the ignore label has the value 7; expected 2"),
        ({"channel_names": ["T1"]}, "names no channels"),
        ({"channel_names": {"0": "T1", "2": "T2"}}, "numbers its channels 0, 2; expected 0, 1, 2"),
        ({"channel_names": {"T1": 0}}, "does not number its channels"),
        ({"file_ending": ["nii"]}, "has the file_ending"),
        ({"training": [["a", "b"]], "file_ending": ".nii"}, "entry 0 of training must be"),
        ({"dataset": {"a": {"images": "a.nii.gz"}}}, "case a of dataset must have images, a list of 1 file"),
        ({"dataset": ["a"]}, "dataset must be an object"),
        ({"subjects": ["a"]}, "subjects must map each case to a text"),
    ],
)
def test_a_dataset_json_of_another_structure_is_refused_with_its_name(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    folder = ball_dataset(tmp_path / "balls", 2)
    file = folder / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(DatasetError, match=rf"dataset\.json.*{said}"):
        open_dataset(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\x00"])
def test_a_dataset_json_that_is_no_object_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    folder = ball_dataset(tmp_path / "balls", 1)
    (folder / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=r"dataset\.json (is not JSON|holds)"):
        open_dataset(folder)


def test_files_that_macos_leaves_are_no_cases(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", 2)
    (folder / "imagesTr" / "._ball_000_0000.nii.gz").write_bytes(b"\x00\x05\x16\x07")
    assert [files.name for files in open_dataset(folder).files] == ["ball_000", "ball_001"]


def test_cases_are_added_to_the_raw_layout_only(raw: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from voxtrace.training.add_case import NewCase, add_case

    folder, case = decathlon(raw, tmp_path / "other"), ball(7)
    new = NewCase("new", (case.volume, case.volume), replace(case.labels, names={1: "ball"}))
    with pytest.raises(DatasetError, match="cases are added to nnU-Net's raw layout"):
        add_case(folder, new)
    assert len(list((folder / "imagesTr").iterdir())) == 5
