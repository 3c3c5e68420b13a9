"""The words of other series are in no result, and those of a folder's series in no ledger."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

import awkward_dicom
import made
from voxtrace import io
from voxtrace.batch import CaseInput
from voxtrace.batch.privacy import for_record, hide_names, renamed
from voxtrace.errors import ReadError


def study(folder: Path) -> Path:
    straight = awkward_dicom.place()
    files = awkward_dicom.images(straight)
    for file in files:
        file.SeriesDescription = "portal venous"
    for file in (others := awkward_dicom.localizer(straight)):
        file.SeriesDescription = "Mr Smith, second try"
    return awkward_dicom.save(folder, [*files, *others])


def test_a_passport_has_no_words_of_the_series_that_were_left_out(tmp_path: Path) -> None:
    passport = io.read(study(tmp_path / "study")).passport
    [left] = [finding for finding in passport.findings if finding.what == "series"]
    assert "left out 1 that cannot be opened" in left.found
    assert "Smith" not in str(passport)


def test_a_passport_has_no_words_of_a_damaged_image_of_the_series_itself(tmp_path: Path) -> None:
    files = awkward_dicom.images(awkward_dicom.place())
    for file in files:
        file.SeriesDescription = "Mr Smith, second try"
    del files[3].PixelSpacing
    passport = io.read(awkward_dicom.save(tmp_path / "study", files)).passport
    [left] = [finding for finding in passport.findings if finding.what == "series"]
    assert "(1 image)" in left.found
    assert "Smith" not in str(passport)


def test_files_in_the_folder_of_an_anonymous_case_are_not_named(tmp_path: Path) -> None:
    folder = study(tmp_path / "Meier")
    below = folder / "Anna"
    below.mkdir()
    for name in ("Smith_7.dcm", "12345678", "16"):
        (below / name).write_bytes(b"")
    case = CaseInput("case_0001", (folder,), anonymous=True)
    told = f"16 images: {below / 'Smith_7.dcm'} and Smith_7.dcm, 12345678; 123456789 bytes"
    assert hide_names(told, case) == (
        "16 images: case_0001/case_0001/case_0001 and case_0001, case_0001; 123456789 bytes"
    )


def test_the_ledger_has_no_words_of_any_series(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    with pytest.raises(ReadError) as refused:
        io.read_study(folder, ["ct"], ["Mr Jones"])
    sentence = str(refused.value)
    assert "Mr Smith, second try" in sentence
    recorded = for_record(sentence, CaseInput("study", (folder,)))
    assert "Smith" not in recorded
    assert "portal" not in recorded
    assert "Mr Jones" in recorded


def packed(path: Path, contents: Mapping[str, bytes | Path]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content.read_bytes() if isinstance(content, Path) else content)
    return path


def test_the_ledger_has_no_words_of_series_in_an_archive(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    others = awkward_dicom.images(awkward_dicom.place())
    for number, file in enumerate(others):
        file.SeriesDescription, file.SeriesInstanceUID = "Mr Smith, arterial", "1.2.3"
        file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
    awkward_dicom.save(folder / "more", others)
    inside = {str(one.relative_to(tmp_path)): one for one in folder.rglob("*") if one.is_file()}
    path = packed(tmp_path / "x.zip", inside)
    with pytest.raises(ReadError, match="Mr Smith, arterial") as refused:
        io.read(path)
    recorded = for_record(str(refused.value), CaseInput("x", (path,)))
    assert "Smith" not in recorded
    assert "portal" not in recorded


def test_names_in_the_archive_of_an_anonymous_case_are_not_told(tmp_path: Path) -> None:
    scan = made.scan(tmp_path / "scan.nii.gz")
    path = packed(tmp_path / "x.zip", {"Meier/Anna_Meier_1950.nii.gz": scan, "Anna.nii.gz": scan})
    case = CaseInput("case_0001", (path,), anonymous=True)
    with pytest.raises(ReadError, match="Anna_Meier_1950") as refused:
        io.read(path)
    recorded = for_record(str(refused.value), case)
    assert "holds 2 scans or label maps (case_0001" in recorded
    assert not [word for word in ("Anna", "Meier", "1950") if word in recorded]


def test_a_passport_has_no_names_of_an_archives_files(tmp_path: Path) -> None:
    files = awkward_dicom.images(awkward_dicom.place())
    folder = awkward_dicom.save(tmp_path / "study", files)
    inside: dict[str, bytes | Path] = {one.name: one for one in folder.iterdir()}
    first = next(iter(folder.iterdir())).read_bytes()[:300]
    path = packed(tmp_path / "x.zip", {**inside, "Meier_broken.dcm": first})
    volume = io.read(path)
    assert "Meier_broken" in str(volume.passport)
    assert "Meier" not in str(renamed(volume, CaseInput("case_0001", (path,), anonymous=True)).passport)


@pytest.mark.parametrize("words", ["Meier_1950.raw", "Meier_%03d.raw 1 2 1", "LIST\nMeier_1.raw\nMeier_2.raw"])
def test_files_that_the_header_of_an_anonymous_case_names_are_not_told(words: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.mhd"
    fields = "NDims = 3", "DimSize = 2 2 2", "ElementSpacing = 1 1 1", "ElementType = MET_SHORT"
    path.write_text("\n".join((*fields, f"ElementDataFile = {words}\n")))
    with pytest.raises(ReadError, match="Meier") as refused:
        io.read(path)
    recorded = for_record(str(refused.value), CaseInput("case_0001", (path,), anonymous=True))
    assert "keeps its voxels in case_0001, which is not beside it" in recorded
    assert "Meier" not in recorded


def test_files_beside_the_image_of_an_anonymous_case_are_not_told(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    (folder / "Meier.dcm").write_bytes(b"")
    case = CaseInput("case_0001", (next(one for one in folder.iterdir() if one.stat().st_size),), anonymous=True)
    assert hide_names("left out Meier.dcm", case) == "left out case_0001"


def test_a_short_name_does_not_keep_a_longer_one_from_being_hidden(tmp_path: Path) -> None:
    for name in ("Anna.dcm", "Anna", "Anna Meier.dcm"):
        (tmp_path / "study" / name).mkdir(parents=True)
    case = CaseInput("case_0001", (tmp_path / "study",), anonymous=True)
    assert hide_names("left out Anna Meier.dcm", case) == "left out case_0001"
