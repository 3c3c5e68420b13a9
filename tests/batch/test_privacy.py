"""The words of other series are in no result, and those of a folder's series in no ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

import awkward_dicom
from voxtrace import io
from voxtrace.batch import CaseInput
from voxtrace.batch.privacy import for_record
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
