from __future__ import annotations

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

import awkward_dicom
import made
from voxtrace.batch import CaseInput, find_cases
from voxtrace.errors import ReadError, UsageError
from voxtrace.io.child.guarded import find_series, read_study


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
    cases = find_cases([tmp_path], channels="ab")
    assert names(cases) == ["x", "y"]
    assert [path.name for path in cases[0].paths] == ["x_0000.nii.gz", "x_0001.nii.gz"]


def test_with_one_channel_only_the_first_number_is_dropped(tmp_path: Path) -> None:
    touch(tmp_path, "x_0000.nii.gz", "scan_2024.nii.gz")
    assert names(find_cases([tmp_path], channels=["a"])) == ["scan_2024", "x"]


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


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_to_one_file_are_cases_and_channels_of_their_own(tmp_path: Path) -> None:
    """As stores that keep equal files once lay them out: empty label maps, or a channel in place of a missing one."""
    touch(tmp_path, "store/one.nii", "store/two.nii")
    (tmp_path / "cohort").mkdir()
    for name, where in (("a_0000", "one"), ("a_0001", "one"), ("b_0000", "one"), ("b_0001", "two")):
        (tmp_path / "cohort" / f"{name}.nii").symlink_to(tmp_path / "store" / f"{where}.nii")
    cases = find_cases([tmp_path / "cohort"], ("T1", "T2"))
    assert [(case.name, len(case.paths)) for case in cases] == [("a", 2), ("b", 2)]
    (tmp_path / "again").symlink_to(tmp_path / "cohort")
    both = [tmp_path / "cohort", tmp_path / "again" / "a_0000.nii", tmp_path / "store" / ".." / "again"]
    assert names(find_cases(both, ("T1", "T2"))) == ["a", "b"]


def test_empty_and_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="holds no volume"):
        find_cases([tmp_path])
    with pytest.raises(UsageError, match="does not exist"):
        find_cases([tmp_path / "nowhere"])


def test_channels_are_read_in_order(tmp_path: Path) -> None:
    files = [made.scan(tmp_path / f"x_{channel:04d}.nii.gz", seed=channel) for channel in (1, 0)]
    [case] = find_cases(files, channels="ab")
    data = case.read().data
    assert data.shape == (2, *made.SHAPE)
    assert (data[1] == made.volume(seed=1).data[0]).all()


def test_a_gap_in_the_channels_is_told(tmp_path: Path) -> None:
    files = [made.scan(tmp_path / f"x_{channel:04d}.nii.gz") for channel in (0, 2)]
    [case] = find_cases(files, channels="abc")
    with pytest.raises(ReadError, match="0000, 0002"):
        case.read()


def film(path: Path, frames: int) -> Path:
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, frames), np.int16), np.eye(4)), path)
    return path


def test_every_frame_becomes_a_case(tmp_path: Path) -> None:
    cases = find_cases([film(tmp_path / "film.nii.gz", 3), film(tmp_path / "still.nii", 1)], timepoint="all")
    assert names(cases) == ["film_t000", "film_t001", "film_t002", "still"]
    assert [case.timepoint for case in cases] == [0, 1, 2, None]


def test_a_chosen_frame_becomes_the_case(tmp_path: Path) -> None:
    [case] = find_cases([film(tmp_path / "film.nii.gz", 3)], timepoint=2)
    assert (case.name, case.timepoint) == ("film_t002", 2)
    assert case.read().name == "film_t002"


def test_a_frame_that_is_not_there_is_refused_when_it_is_read(tmp_path: Path) -> None:
    film_case, still = find_cases([film(tmp_path / "film.nii.gz", 3), film(tmp_path / "still.nii", 1)], timepoint=7)
    with pytest.raises(ReadError, match="no frame 7"):
        film_case.read()
    with pytest.raises(ReadError, match="no frame 7"):
        still.read()


def test_frames_of_numbered_channels_stay_together(tmp_path: Path) -> None:
    for channel in range(2):
        film(tmp_path / f"x_{channel:04d}.nii.gz", 2)
    cases = find_cases([tmp_path], channels="ab", timepoint="all")
    assert names(cases) == ["x_t000", "x_t001"]
    assert cases[1].read().data.shape == (2, 4, 4, 4)


def test_dicom_deep_below_a_folder_is_a_case_for_each_folder_in_it(tmp_path: Path) -> None:
    touch(tmp_path, "one/visit/series/1.dcm", "two/1.dcm", "old.trace/c/1.dcm", "papers/readme.txt")
    assert names(find_cases([tmp_path])) == ["one", "two"]


def mr_study(folder: Path, *descriptions: str) -> Path:
    """A folder for each series, all in one frame of reference; the value of every voxel is raised by its number."""
    for number, description in enumerate(descriptions):
        files = awkward_dicom.images(
            awkward_dicom.place(), SeriesInstanceUID=f"2.25.{40 + number}", SeriesNumber=number, Modality="MR",
            SeriesDescription=description, RescaleIntercept=-1024 + number,
        )  # fmt: skip
        awkward_dicom.save(folder / description.replace(" ", "_"), files)
    return folder


def test_the_series_of_a_study_are_the_channels_of_one_case(tmp_path: Path) -> None:
    study = mr_study(tmp_path / "study", "T2", "T1 post", "T1 pre", "FLAIR")
    [case] = find_cases([study], channels=("flair", "t1", "t1ce", "t2"))
    volume = case.read()
    assert (case.name, volume.channels, volume.name) == ("study", ("flair", "t1", "t1ce", "t2"), "study")
    assert [int(c.min() - volume.data[3].min()) for c in volume.data] == [3, 2, 1, 0]


def test_series_may_be_chosen_by_hand(tmp_path: Path) -> None:
    study = mr_study(tmp_path / "study", "first", "second", "third")
    [case] = find_cases([study], channels=("a", "b"), series=("2", "0"))
    volume = case.read()
    assert int(volume.data[0].min() - volume.data[1].min()) == 2
    [named] = find_cases([study], channels=("a", "b"), series=("third", "first"))
    assert np.array_equal(named.read().data, volume.data)
    [one] = find_cases([study / "second"], series=("1",))
    assert one.read().data.shape[0] == 1


def test_a_channel_that_cannot_be_told_is_not_guessed(tmp_path: Path) -> None:
    study = mr_study(tmp_path / "study", "T2", "T2 again")
    [case] = find_cases([study], channels=("t2", "flair"))
    with pytest.raises(ReadError, match=r"2 series fit the channel t2; .*Choose the series by hand"):
        case.read()
    [short] = find_cases([study], channels=("t2", "flair"), series=("0",))
    with pytest.raises(ReadError, match="1 series were named for 2 channels"):
        short.read()


def test_folders_with_a_series_for_each_channel_are_cases_of_their_own(tmp_path: Path) -> None:
    for patient in ("p1", "p2"):
        mr_study(tmp_path / patient, "T2", "FLAIR")
    assert names(find_cases([tmp_path], channels=("flair", "t2"))) == ["p1", "p2"]


def test_a_mask_left_beside_dicom_images_is_a_case_beside_them(tmp_path: Path) -> None:
    folder = awkward_dicom.save(tmp_path / "study", awkward_dicom.images(awkward_dicom.place(), range(3)))
    touch(folder, "mask.nii.gz", "notes.dcm")
    assert sorted(names(find_cases([folder]))) == ["mask", "study"]


def test_dicom_files_without_suffix_or_preamble_are_a_case(tmp_path: Path) -> None:
    for number, file in enumerate(awkward_dicom.images(awkward_dicom.place(), range(3))):
        del file.file_meta
        (tmp_path / "old").mkdir(exist_ok=True)
        file.save_as(
            tmp_path / "old" / f"1.2.{number}", implicit_vr=True, little_endian=True, enforce_file_format=False
        )
    assert names(find_cases([tmp_path])) == ["old"]


def test_archives_in_a_folder_are_cases(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz", "b.ZIP", "c.tar", "d.zip/notes.txt")
    assert names(find_cases([tmp_path])) == ["a", "b"]
    (tmp_path / "a.nii.gz").unlink()
    assert names(find_cases([tmp_path])) == ["b"]


@pytest.mark.timeout(60)
@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_cases_but_are_not_followed_below(tmp_path: Path) -> None:
    study = tmp_path / "cohort" / "study"
    study.mkdir(parents=True)
    for name in ("up", "up_again"):
        (study / name).symlink_to(tmp_path / "cohort")
    with pytest.raises(ReadError, match="holds no volume"):
        find_cases([tmp_path / "cohort"])
    elsewhere = awkward_dicom.save(tmp_path / "elsewhere" / "linked", awkward_dicom.images(awkward_dicom.place()))
    (study / "below").symlink_to(elsewhere)
    (tmp_path / "cohort" / "linked").symlink_to(elsewhere)
    assert names(find_cases([tmp_path / "cohort"])) == ["linked"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_linked_studies_keep_the_names_of_the_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cohort").mkdir()
    for number in ("1", "2"):
        pacs = awkward_dicom.save(tmp_path / "pacs" / number / "dicom", awkward_dicom.images(awkward_dicom.place()))
        (tmp_path / "cohort" / f"patient{number}").symlink_to(pacs)
    cases = find_cases([tmp_path / "cohort"])
    assert names(cases) == ["patient1", "patient2"]
    assert cases[0].read().name == "patient1"
    assert [one.name for one in find_series(cases[1].paths[0])] == ["patient2"]
    assert read_study(cases[1].paths[0], ("ct",), ("3",)).name == "patient2"
    monkeypatch.chdir(pacs)
    assert names(find_cases([Path()])) == ["dicom"]
