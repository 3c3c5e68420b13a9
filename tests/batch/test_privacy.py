"""The words of other series are in no result, and those of a folder's series in no ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

import awkward_dicom
from voxtrace import io
from voxtrace.batch import CaseInput
from voxtrace.batch.privacy import for_record, hide_names
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
