from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from exported import Made, complaints, make
from voxtrace import palette
from voxtrace.errors import OutputError
from voxtrace.io.export import copied_attributes, dicomseg, export, export_all, read_seg
from voxtrace.io.export.dicom_file import fault_of
from voxtrace.io.export.label_style import colour_of
from voxtrace.volume import Geometry, LabelMap

BOTH = (".dcm", ".rtstruct.dcm")
PRIVATE_WORDS = {
    "PatientComments": "a secret comment",
    "PatientWeight": "81.25",
    "PatientSize": "1.83",
    "PatientAge": "045Y",
    "PatientAddress": "Secret Street 1",
    "OtherPatientIDs": "secret-9",
    "AdditionalPatientHistory": "a secret history",
    "MedicalAlerts": "a secret alert",
    "StudyDescription": "a secret study",
    "SeriesDescription": "a secret series",
    "ImageComments": "a secret image",
    "InstitutionName": "Secret Hospital",
    "InstitutionAddress": "Secret Street 2",
    "StationName": "SECRETSTATION",
    "DeviceSerialNumber": "SECRET4242",
    "Manufacturer": "Secret Scanners",
    "OperatorsName": "Secret^Operator",
    "PerformingPhysicianName": "Secret^Physician",
    "PhysiciansOfRecord": "Secret^Record",
    "NameOfPhysiciansReadingStudy": "Secret^Reader",
    "ProtocolName": "a secret protocol",
    "RequestedProcedureDescription": "a secret procedure",
    "ClinicalTrialSponsorName": "Secret Sponsor",
    "ClinicalTrialProtocolID": "SECRETTRIAL",
    "ClinicalTrialSubjectID": "SECRETSUBJECT",
    "Occupation": "secret work",
    "EthnicGroup": "SECRETGROUP",
}


@pytest.mark.parametrize("ending", BOTH)
def test_nothing_else_of_patient_or_institution_is_written(tmp_path: Path, ending: str) -> None:
    case = make(tmp_path / "images", PatientName="Copied^Name", **PRIVATE_WORDS)
    content = export(case.labels, tmp_path / f"a{ending}").read_bytes()
    assert b"Copied^Name" in content
    assert b"secret" not in content.lower()
    written = pydicom.dcmread(tmp_path / f"a{ending}")
    kept = {"Manufacturer", "DeviceSerialNumber", "SeriesDescription", "OperatorsName"}  # VoxTrace's own
    assert not [keyword for keyword in PRIVATE_WORDS if keyword not in kept and keyword in written]


@pytest.mark.parametrize("ending", BOTH)
@pytest.mark.parametrize(
    ("keyword", "bad", "good"),
    [
        ("PatientBirthDate", "1970.02.28", "19700228"),
        ("PatientBirthDate", "about 1970", ""),
        ("StudyDate", "20200231", ""),
        ("StudyTime", "09:30:00", "093000"),
        ("StudyTime", "noon", ""),
        ("StudyTime", "101500.1234567", "101500.123456"),
        ("PatientSex", "male", "M"),
        ("PatientSex", "?", ""),
        ("StudyID", "study number 17 of 20", ""),
        ("AccessionNumber", "12345678901234567", ""),
        ("PatientName", "N" * 90, "N" * 64),
        ("PatientName", "a^b^c^d^e^f^g", "a^b^c^d^e"),
        ("ReferringPhysicianName", "R" * 65, "R" * 64),
        ("PatientID", "p" * 65, ""),
    ],
)
def test_values_are_made_valid_or_left_out_with_a_note(
    tmp_path: Path, ending: str, keyword: str, bad: str, good: str
) -> None:
    with warnings.catch_warnings():  # pydicom tells that the images made here violate the standard
        warnings.simplefilter("ignore")
        case = make(tmp_path / "images", **{keyword: bad})
    written = export_all(case.labels, tmp_path / f"a{ending}")
    assert str(pydicom.dcmread(written.paths[0]).get(keyword)) == good
    (note,) = written.notes
    assert note.endswith("it is written in a valid form." if good else "it is left out.")
    assert bad not in note
    assert complaints(written.paths[0]) == []


def test_valid_values_are_copied_as_they_are_without_a_note(axial: Made, tmp_path: Path) -> None:
    written = export_all(axial.labels, tmp_path / "a.dcm")
    assert written.notes == ()
    assert pydicom.dcmread(written.paths[0]).PatientID == "4711"


@pytest.mark.parametrize(
    ("uid", "kept"), [("1.2.03.4", True), ("1.2." + "9" * 66, False), ("1.2.anon.3", False), ("12", False)]
)
def test_a_uid_that_cannot_be_written_is_derived_and_told(uid: str, kept: bool) -> None:
    source = Dataset()
    source.file_meta = pydicom.dataset.FileMetaDataset()
    source.add(pydicom.dataelem.DataElement("StudyInstanceUID", "UI", uid, validation_mode=0))
    source.SOPInstanceUID = "2.25.4"
    (header,), (note,) = copied_attributes.copied([source])
    assert (header.StudyInstanceUID == uid) is kept
    assert header.StudyInstanceUID.is_valid is not kept
    assert "Study Instance UID" in note
    assert copied_attributes.copied([source])[0][0].StudyInstanceUID == header.StudyInstanceUID


@pytest.mark.parametrize("ending", BOTH)
def test_images_that_share_a_uid_are_refused(tmp_path: Path, ending: str) -> None:
    case = make(tmp_path / "images")
    files = sorted(case.folder.iterdir())
    for file in files[:3]:
        image = pydicom.dcmread(file)
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = "2.25.99"
        image.save_as(file)
    with pytest.raises(OutputError, match=f"3 of {len(files)} source images have a UID"):
        export(case.labels, tmp_path / f"a{ending}")
    assert not (tmp_path / f"a{ending}").exists()


def test_an_organ_has_the_colour_of_the_window(axial: Made, tmp_path: Path) -> None:
    plain = LabelMap(axial.labels.data, axial.labels.geometry, {3: "spleen", 7: "liver", 9: "aorta", 20: "rib"})
    expected = palette.colours((3, 7, 9, 20), None, plain.names)
    back = read_seg(export(plain, tmp_path / "a.dcm"))
    for value in (3, 7, 9, 20):
        assert back.colours[value] == pytest.approx(expected[value], abs=2 / 255)
    contours = pydicom.dcmread(export(plain, tmp_path / "a.rtstruct.dcm")).ROIContourSequence
    liver = [round(shade * 255) for shade in palette.colour(1)]
    assert [int(shade) for shade in contours[1].ROIDisplayColor] == liver


def test_labels_without_names_have_the_colours_of_their_values() -> None:
    labels = LabelMap(np.zeros((1, 1, 1), np.uint8), Geometry.from_spacing((1, 1, 1), (1.0, 1.0, 1.0)))
    assert [colour_of(labels, value) for value in (1, 2, 30)] == [palette.colour(value) for value in (1, 2, 30)]


@pytest.mark.parametrize("bad", ["abc", "nan", "1,5"])
def test_a_thickness_that_is_no_number_is_left_out(tmp_path: Path, bad: str) -> None:
    case = make(tmp_path / "images")
    for file in case.folder.iterdir():
        image = pydicom.dcmread(file)
        content = bad.encode().ljust(4)
        tag = pydicom.tag.Tag("SliceThickness")
        image[tag] = pydicom.dataelem.RawDataElement(tag, "DS", len(content), content, 0, False, True)
        image.save_as(file)
    written = export_all(case.labels, tmp_path / "a.dcm")
    assert written.notes == ("the source images' Slice Thickness violates the standard; it is left out.",)
    measures = pydicom.dcmread(written.paths[0]).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == 3  # the distance of the planes


def test_a_class_that_highdicom_does_not_know_is_refused_in_a_sentence(tmp_path: Path) -> None:
    case = make(tmp_path / "images")
    for file in case.folder.iterdir():
        image = pydicom.dcmread(file)
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.9999"
        image.save_as(file)
    with pytest.raises(OutputError, match=r"kind \(SOP Class UID\) is none that the standard knows.*\.seg\.nrrd"):
        export(case.labels, tmp_path / "a.dcm")
    assert not (tmp_path / "a.dcm").exists()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (TypeError("unhashable"), r"could not be made \(TypeError\), and the headers .* are not the cause"),
        (MemoryError(), "the memory does not suffice"),
    ],
)
def test_the_images_are_not_blamed_for_another_fault(
    axial: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, words: str
) -> None:
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(dicomseg, "_segmentation", fail)
    with pytest.raises(OutputError, match=words):
        export(axial.labels, tmp_path / "a.dcm")
    assert not list(tmp_path.iterdir())


def test_a_value_that_cannot_be_written_is_named_without_telling_it() -> None:
    header = Dataset()
    header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    header.PatientID = "42"
    assert fault_of([header]) == ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header.Rows = 123456789  # of 16 bits
    assert fault_of([header]) == "Rows holds a value that cannot be written"
