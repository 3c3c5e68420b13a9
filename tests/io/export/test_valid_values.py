"""What SEG and RTSTRUCT copy from the images is valid, or left out with a note."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from exported import complaints, make
from voxtrace.errors import ReadError
from voxtrace.io.export import export_all


@pytest.mark.parametrize(
    ("name", "kind", "value", "written"),
    [
        ("StudyDate", "LO", "2020.01.02", "20200102"),
        ("StudyDate", "LO", "20201342", ""),
        ("StudyTime", "LO", "10:15:00", "101500"),
        ("PatientBirthDate", "LO", "unknown", ""),
        ("PatientSex", "CS", "female", "F"),
        ("PatientSex", "CS", "?", ""),
        ("StudyID", "LO", "S" * 40, ""),
        ("AccessionNumber", "LO", "12\\34", ""),
        ("PatientName", "LO", "a^b^c^d^e^f^g", "a^b^c^d^e"),
        ("StudyInstanceUID", "LO", "1.2.anonymous.3", None),
    ],
)
@pytest.mark.parametrize("ending", [".dcm", ".rtstruct.dcm"])
def test_copied_values_are_valid(
    tmp_path: Path, ending: str, name: str, kind: str, value: str, written: str | None
) -> None:
    case = make(tmp_path / "images")
    tag = pydicom.datadict.tag_for_keyword(name)
    right = pydicom.datadict.dictionary_VR(tag)
    for path in case.folder.iterdir():
        file = pydicom.dcmread(path)
        file.add_new(tag, "LO", value.split("\\"))
        pydicom.dcmwrite(path, file)
        content = path.read_bytes()
        place = tag.to_bytes(4, "little")[2:] + tag.to_bytes(4, "little")[:2]
        path.write_bytes(content.replace(place + b"LO", place + right.encode(), 1))
    done = export_all(case.labels, tmp_path / f"a{ending}")
    assert any(pydicom.datadict.dictionary_description(tag) in note for note in done.notes)
    assert not any(value in note for note in done.notes if len(value) > 1)
    found = str(pydicom.dcmread(done.paths[0]).get(name, ""))
    assert found == written if written is not None else found.startswith("2.25.")
    assert complaints(done.paths[0]) == []


def test_valid_headers_are_copied_without_a_note(tmp_path: Path) -> None:
    values = {"PatientBirthDate": "19700101", "PatientSex": "O", "StudyDate": "20200101", "StudyTime": "101500.123"}
    case = make(tmp_path / "images", PatientAge="050Y", StudyID="1", AccessionNumber="", **values)
    done = export_all(case.labels, tmp_path / "a.dcm")
    assert done.notes == ()
    written = pydicom.dcmread(done.paths[0])
    assert {name: str(written[name].value) for name in values} == values


@pytest.mark.parametrize("ending", [".dcm", ".rtstruct.dcm"])
def test_one_uid_for_all_images_is_refused(tmp_path: Path, ending: str) -> None:
    case = make(tmp_path / "images", SOPInstanceUID="2.25.99")
    with pytest.raises(ReadError, match="16 of 16 source images have a UID"):
        export_all(case.labels, tmp_path / f"a{ending}")
    assert not (tmp_path / f"a{ending}").exists()
