from __future__ import annotations

from pathlib import Path

import pytest

import made
from voxtrace.batch import CaseInput, find_cases
from voxtrace.errors import ReadError, UsageError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def names(cases: tuple[CaseInput, ...]) -> list[str]:
    return [case.name for case in cases]


def test_a_case_is_named_by_its_file_without_the_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "a.b.nii.gz", "c.nrrd", "D.NII", "notes.txt", ".hidden.nii.gz")
    assert names(find_cases([tmp_path])) == ["D", "a.b", "c"]


def test_files_keep_the_order_in_which_they_are_given(tmp_path: Path) -> None:
    touch(tmp_path, "b.nii", "a.nii")
    assert names(find_cases([tmp_path / "b.nii", tmp_path / "a.nii"])) == ["b", "a"]


def test_numbered_channels_make_one_case(tmp_path: Path) -> None:
    touch(tmp_path, "x_0000.nii.gz", "x_0001.nii.gz", "y_0000.nii.gz", "y_0001.nii.gz")
    cases = find_cases([tmp_path], channels=2)
    assert names(cases) == ["x", "y"]
    assert [path.name for path in cases[0].paths] == ["x_0000.nii.gz", "x_0001.nii.gz"]


def test_with_one_channel_only_the_first_number_is_dropped(tmp_path: Path) -> None:
    touch(tmp_path, "x_0000.nii.gz", "scan_2024.nii.gz")
    assert names(find_cases([tmp_path], channels=1)) == ["scan_2024", "x"]


def test_dicom_folders_are_cases_and_others_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "one/1.dcm", "one/2.dcm", "two/1.dcm", "papers/readme.txt")
    assert names(find_cases([tmp_path])) == ["one", "two"]
    assert find_cases([tmp_path / "one"]) == (CaseInput("one", (tmp_path / "one",)),)


def test_dicom_is_known_without_a_suffix(tmp_path: Path) -> None:
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM")
    assert names(find_cases([tmp_path])) == [tmp_path.name]


def test_volumes_and_dicom_folders_may_lie_together(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz", "study/1.dcm")
    assert names(find_cases([tmp_path])) == ["a", "study"]


def test_same_names_are_refused_whatever_their_case(tmp_path: Path) -> None:
    touch(tmp_path, "x/Liver.nii.gz", "y/liver.nrrd")
    with pytest.raises(UsageError, match="would both be called"):
        find_cases([tmp_path / "x", tmp_path / "y"])


def test_a_file_given_twice_counts_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii")
    [case] = find_cases([tmp_path / "a.nii", tmp_path])
    assert case.paths == (tmp_path / "a.nii",)


def test_empty_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="holds no volume"):
        find_cases([tmp_path])
    with pytest.raises(UsageError, match="does not exist"):
        find_cases([tmp_path / "nowhere"])


def test_channels_are_read_in_order(tmp_path: Path) -> None:
    files = [made.scan(tmp_path / f"x_{channel:04d}.nii.gz", seed=channel) for channel in (1, 0)]
    [case] = find_cases(files, channels=2)
    data = case.read().data
    assert data.shape == (2, *made.SHAPE)
    assert (data[1] == made.volume(seed=1).data[0]).all()


def test_a_gap_in_the_channels_is_told(tmp_path: Path) -> None:
    files = [made.scan(tmp_path / f"x_{channel:04d}.nii.gz") for channel in (0, 2)]
    [case] = find_cases(files, channels=3)
    with pytest.raises(ReadError, match="0000, 0002"):
        case.read()
