from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import awkward_dicom as made
import voxtrace
from exported import COLOURS, NAMES, Made, complaints, make, on
from voxtrace.errors import GeometryError, OutputError, ReadError
from voxtrace.io.export import ExportOptions, dicomseg, export, export_all, is_seg, read_seg
from voxtrace.volume import Geometry, LabelMap


def planes_of(written: pydicom.Dataset, place: made.Place) -> dict[tuple[int, int], np.ndarray]:
    """Return the frames of a SEG by (plane of the images, segment), read by pydicom, placed by position alone."""
    frames = written.pixel_array
    found = {}
    for frame, group in zip(frames, written.PerFrameFunctionalGroupsSequence, strict=True):
        position = np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, float)
        depth = float((position - place.position(0)) @ place.step_mm / (place.step_mm @ place.step_mm))
        assert np.allclose(position, place.position(round(depth)), atol=1e-3)
        found[round(depth), int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)] = frame
    return found


def test_every_frame_is_its_label_at_its_place(case: Made, tmp_path: Path) -> None:
    written = pydicom.dcmread(export(case.labels, tmp_path / "a.dcm"))
    found = planes_of(written, case.place)
    for number, value in enumerate((3, 7, 9, 20), 1):
        expected = {plane for plane in range(made.PLANES) if (case.stacked[plane] == value).any()}
        assert {plane for plane, segment in found if segment == number} == expected
        for plane in expected:
            assert np.array_equal(found[plane, number], case.stacked[plane] == value)


def test_every_frame_names_the_image_of_its_plane(case: Made, tmp_path: Path) -> None:
    written = pydicom.dcmread(export(case.labels, tmp_path / "a.dcm"))
    images = {image.SOPInstanceUID: image for image in map(pydicom.dcmread, case.folder.iterdir())}
    for group in written.PerFrameFunctionalGroupsSequence:
        (derived,) = group.DerivationImageSequence[0].SourceImageSequence
        image = images[derived.ReferencedSOPInstanceUID]
        assert image.ImagePositionPatient == group.PlanePositionSequence[0].ImagePositionPatient
    shared = written.SharedFunctionalGroupsSequence[0]
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == image.ImageOrientationPatient
    assert (written.StudyInstanceUID, written.FrameOfReferenceUID) == ("2.25.1", "2.25.3")
    assert written.PatientID == "4711"


def test_it_comes_back_with_values_names_and_colours(case: Made, tmp_path: Path) -> None:
    path = export(case.labels, tmp_path / "a.seg.dcm")
    assert is_seg(path)
    back = read_seg(path)
    assert back.names == NAMES
    assert back.colours[3] == pytest.approx(COLOURS[3], abs=2 / 255)
    index = np.argwhere(back.data)
    where = np.rint(case.labels.geometry.voxel(back.geometry.world_mm(index))).astype(int)
    assert len(index) == np.count_nonzero(case.labels.data)
    assert np.array_equal(case.labels.data[tuple(where.T)], back.data[tuple(index.T)])


def test_names_become_codes_with_their_side(axial: Made, tmp_path: Path) -> None:
    written = pydicom.dcmread(export(axial.labels, tmp_path / "a.dcm"))
    liver, kidney, tumour, unknown = (
        segment.SegmentedPropertyTypeCodeSequence[0] for segment in written.SegmentSequence
    )
    assert (liver.CodeValue, liver.CodingSchemeDesignator) == ("10200004", "SCT")
    assert kidney.CodeValue == "64033007"
    assert kidney.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == "7771000"
    assert (tumour.CodeValue, tumour.CodingSchemeDesignator) == ("C113842", "NCIt")
    assert (unknown.CodingSchemeDesignator, unknown.CodeMeaning) == ("99VOXTRACE", "Mystery Ω")
    assert [s.SegmentAlgorithmType for s in written.SegmentSequence] == ["AUTOMATIC"] * 4
    assert written.SegmentSequence[0].SegmentAlgorithmName == "VoxTrace"


def test_drawn_by_hand_is_recorded(axial: Made, tmp_path: Path) -> None:
    written = pydicom.dcmread(export(axial.labels, tmp_path / "a.dcm", manual=True))
    assert {segment.SegmentAlgorithmType for segment in written.SegmentSequence} == {"MANUAL"}


def test_a_label_map_without_memory_finds_its_series_in_a_folder(case: Made, tmp_path: Path) -> None:
    forgetful = voxtrace.read_labels(voxtrace.write(case.labels, tmp_path / "a.nii.gz"))
    made.save(case.folder.parent / "both" / "other", made.images(case.place, range(12), SeriesInstanceUID="2.25.77"))
    made.save(case.folder.parent / "both" / "right", [pydicom.dcmread(f) for f in case.folder.iterdir()])
    written = pydicom.dcmread(export(forgetful, tmp_path / "a.dcm", source=case.folder.parent / "both"))
    assert written.ReferencedSeriesSequence[0].SeriesInstanceUID == "2.25.2"
    found = planes_of(written, case.place)
    assert np.array_equal(found[6, 1], case.stacked[6] == 3)


def test_a_segmentation_without_its_empty_planes_is_exported_again(case: Made, tmp_path: Path) -> None:
    back = read_seg(export(case.labels, tmp_path / "a.dcm"))
    assert back.data.size < case.labels.data.size  # planes 0 and 15 hold no label
    again = pydicom.dcmread(export(back, tmp_path / "b.dcm", source=case.folder))
    found = planes_of(again, case.place)
    for number, value in enumerate((3, 7, 9, 20), 1):
        for plane in (plane for plane, segment in found if segment == number):
            assert np.array_equal(found[plane, number], case.stacked[plane] == value)
    assert len(found) == sum(value in plane for plane in case.stacked for value in (3, 7, 9, 20))


def test_a_series_of_exactly_the_labels_planes_goes_before_a_longer_one(axial: Made, tmp_path: Path) -> None:
    forgetful = voxtrace.read_labels(voxtrace.write(axial.labels, tmp_path / "a.nii.gz"))
    made.save(tmp_path / "both" / "right", [pydicom.dcmread(f) for f in axial.folder.iterdir()])
    longer = made.images(axial.place, range(-2, made.PLANES + 3), SeriesInstanceUID="2.25.77")
    made.save(tmp_path / "both" / "longer", longer)
    written = pydicom.dcmread(export(forgetful, tmp_path / "a.dcm", source=tmp_path / "both"))
    assert written.ReferencedSeriesSequence[0].SeriesInstanceUID == "2.25.2"


def test_planes_beyond_the_images_are_refused(axial: Made, tmp_path: Path) -> None:
    back = read_seg(export(axial.labels, tmp_path / "a.dcm"))
    affine = np.asarray(back.geometry.affine)
    affine[:3, 3] += affine[:3, 0] * 3  # three planes higher: the last ones lie outside
    moved = Geometry(back.geometry.shape, tuple(map(tuple, affine.tolist())))
    with pytest.raises(GeometryError, match="has the grid of a"):
        export(replace(back, geometry=moved), tmp_path / "b.dcm", source=axial.folder)


def test_frames_of_an_enhanced_file_in_any_order_are_named(tmp_path: Path) -> None:
    place, order = made.rotated(17), [(7 * i) % made.PLANES for i in range(made.PLANES)]
    source = made.enhanced(made.images(place), order)
    made.save(tmp_path / "images", [source])
    case = on(tmp_path / "images", place)
    written = pydicom.dcmread(export(case.labels, tmp_path / "a.dcm"))
    for (plane, segment), frame in planes_of(written, place).items():
        assert np.array_equal(frame, case.stacked[plane] == (3, 7, 9, 20)[segment - 1])
    for group in written.PerFrameFunctionalGroupsSequence:
        (derived,) = group.DerivationImageSequence[0].SourceImageSequence
        named = source.PerFrameFunctionalGroupsSequence[derived.ReferencedFrameNumber - 1]
        assert np.allclose(
            np.asarray(named.PlanePositionSequence[0].ImagePositionPatient, float),
            np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, float),
        )


def test_labels_on_a_straightened_grid_keep_their_own_planes(tmp_path: Path) -> None:
    made.save(tmp_path / "images", made.images(made.tilted(12)))
    volume = voxtrace.read(tmp_path / "images")
    grid = volume.geometry.stored
    assert grid is not None
    assert grid.regridded
    data = np.zeros(volume.geometry.shape, np.uint8)
    data[3:9, 10:20, 12:18] = 1
    back = read_seg(export(LabelMap(data, volume.geometry, {1: "liver"}), tmp_path / "a.dcm"))
    inside = back.geometry.world_mm(np.argwhere(back.data))
    expected = volume.geometry.world_mm(np.argwhere(data))
    assert np.allclose(sorted(inside.tolist()), sorted(expected.tolist()), atol=1e-3)
    forgetful = LabelMap(data, replace(volume.geometry, stored=None), {1: "liver"})
    found = pydicom.dcmread(export(forgetful, tmp_path / "b.dcm", source=tmp_path / "images"))
    assert len(found.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == made.PLANES


def test_labels_that_know_no_images_are_refused_with_the_remedy(axial: Made, tmp_path: Path) -> None:
    forgetful = replace(axial.labels, geometry=Geometry.from_spacing(axial.labels.geometry.shape, (1.0, 1.0, 1.0)))
    with pytest.raises(OutputError, match="--source"):
        export(forgetful, tmp_path / "a.dcm")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shift_mm", [1.0, 3.0, -0.5])
def test_labels_on_another_grid_are_refused(axial: Made, tmp_path: Path, shift_mm: float) -> None:
    there = axial.labels.geometry
    moved = [list(row) for row in there.affine]
    moved[0][3] += shift_mm
    elsewhere = Geometry(there.shape, tuple(tuple(row) for row in moved))  # type: ignore[arg-type]
    with pytest.raises(GeometryError, match=r"has the grid of phantom: expected 36×40×16 voxels of 1.25×1.5×3 mm"):
        export(replace(axial.labels, geometry=elsewhere), tmp_path / "a.dcm", source=axial.folder)


def test_an_empty_label_map_is_refused(axial: Made, tmp_path: Path) -> None:
    empty = replace(axial.labels, data=np.zeros_like(axial.labels.data))
    with pytest.raises(OutputError, match="holds no label"):
        export(empty, tmp_path / "a.dcm")


def test_images_moved_after_reading_are_refused(tmp_path: Path) -> None:
    case = make(tmp_path / "images")
    for file in case.folder.iterdir():
        image = pydicom.dcmread(file)
        image.ImagePositionPatient[0] += 1.0
        image.save_as(file)
    with pytest.raises(GeometryError, match="lies 1 mm from its source images"):
        export(case.labels, tmp_path / "a.dcm")


def test_what_is_read_back_wrong_is_not_kept(axial: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = dicomseg._segmentation

    def one_frame_off(*arguments):
        segmentation = right(*arguments)
        group = segmentation.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence[0]
        group.ImagePositionPatient[2] += 3.0
        return segmentation

    monkeypatch.setattr(dicomseg, "_segmentation", one_frame_off)
    with pytest.raises(OutputError, match="nothing was kept"):
        export(axial.labels, tmp_path / "a.dcm")
    assert not list(tmp_path.iterdir())


def test_missing_uids_are_made_the_same_each_time_and_told(tmp_path: Path) -> None:
    case = make(tmp_path / "images", StudyInstanceUID="", FrameOfReferenceUID="")
    written = export_all(case.labels, tmp_path / "a.dcm")
    assert [note.split(";")[0] for note in written.notes] == [
        "the source images have no UID of their study",
        "the source images have no UID of their frame of reference",
    ]
    export(case.labels, tmp_path / "a.rtstruct.dcm")
    one, other = (pydicom.dcmread(tmp_path / name) for name in ("a.dcm", "a.rtstruct.dcm"))
    assert one.StudyInstanceUID == other.StudyInstanceUID != ""
    assert one.FrameOfReferenceUID == other.FrameOfReferenceUID != ""


def test_a_name_in_another_alphabet_survives(tmp_path: Path) -> None:
    case = make(tmp_path / "images", SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    written = pydicom.dcmread(export(case.labels, tmp_path / "a.dcm"))
    assert str(written.PatientName) == "Müller^Jörg"
    assert written.SegmentSequence[3].SegmentLabel == "Mystery Ω"


def test_segments_that_overlap_are_refused(axial: Made, tmp_path: Path) -> None:
    written = pydicom.dcmread(export(axial.labels, tmp_path / "a.dcm"))
    written.PixelData = b"\xff" * len(written.PixelData)
    written.save_as(tmp_path / "b.dcm")
    with pytest.raises(ReadError, match="segments that overlap"):
        read_seg(tmp_path / "b.dcm")


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_others_segmentations_keep_their_segment_numbers(tmp_path: Path, kind: str) -> None:
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.sr.codedict import codes

    empty = dict.fromkeys(
        ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime"), ""
    )
    case = make(tmp_path / "images", SliceThickness=3, **empty)
    images = sorted(map(pydicom.dcmread, case.folder.iterdir()), key=lambda image: image.InstanceNumber)
    segments = [
        SegmentDescription(n, name, codes.SCT.Tissue, codes.SCT.Tissue, "MANUAL")
        for n, name in ((1, "one"), (2, "two"))
    ]
    data = np.where(case.stacked == 3, 1, np.where(case.stacked == 9, 2, 0)).astype(np.uint8)
    made_by_other = Segmentation(images, data, kind, segments, "2.25.5", 1, "2.25.6", 1, "made", "made", "1", "1")
    made_by_other.save_as(tmp_path / "b.dcm")
    back = read_seg(tmp_path / "b.dcm")
    assert back.names == {1: "one", 2: "two"}
    assert np.array_equal(np.bincount(back.data.ravel())[1:], np.bincount(data.ravel())[1:])
    assert back.note == ("Fractional segmentation; labels where the fraction is >= 0.5" if kind == "FRACTIONAL" else "")


def fractional(case: Made, path: Path, values: tuple[float, ...]) -> Path:
    """Write a fractional segmentation of two segments; each has the fractions given in plane 3, row 0."""
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.sr.codedict import codes

    images = sorted(map(pydicom.dcmread, case.folder.iterdir()), key=lambda image: image.InstanceNumber)
    for image in images:
        image.SliceThickness = 3
        for keyword in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
            image.setdefault(keyword, "")
    fractions = np.zeros((*case.stacked.shape, 2), np.float32)
    fractions[2:5, 20:30, 20:30, 0] = 1.0
    fractions[3, 0, : len(values), 0] = values
    fractions[3, 1, : len(values), 1] = values
    segments = [SegmentDescription(n, f"part {n}", codes.SCT.Tissue, codes.SCT.Tissue, "MANUAL") for n in (1, 2)]
    made_by_other = Segmentation(
        images, fractions, "FRACTIONAL", segments, "2.25.5", 1, "2.25.6", 1, "made", "made", "1", "1",
        max_fractional_value=200,
    )  # fmt: skip
    made_by_other.save_as(path)
    return path


def test_fractions_of_a_half_and_more_are_labels(tmp_path: Path) -> None:
    case = make(tmp_path / "images", SliceThickness=3)
    back = read_seg(fractional(case, tmp_path / "a.dcm", (0.2, 0.495, 0.5, 0.505, 1.0)))
    assert back.data[1, 0, :6].tolist() == [0, 0, 1, 1, 1, 0]
    assert back.data[1, 1, :6].tolist() == [0, 0, 2, 2, 2, 0]
    assert np.count_nonzero(back.data == 1) == 300 + 3


def test_fractions_of_an_unknown_whole_are_refused(tmp_path: Path) -> None:
    case = make(tmp_path / "images", SliceThickness=3)
    path = fractional(case, tmp_path / "a.dcm", (1.0,))
    written = pydicom.dcmread(path)
    del written.MaximumFractionalValue
    written.save_as(path)
    with pytest.raises(ReadError, match="which number stands for a whole"):
        read_seg(path)


def test_a_scan_is_no_segmentation(axial: Made) -> None:
    image = next(axial.folder.iterdir())
    assert not is_seg(image)
    with pytest.raises(ReadError, match="is not a DICOM segmentation"):
        read_seg(image)


def test_dciodvfy_finds_no_error(case: Made, tmp_path: Path) -> None:
    assert complaints(export(case.labels, tmp_path / "a.dcm")) == []


@pytest.mark.slow
def test_real_labels_return_voxel_by_voxel(real_data: Path, real_labels: LabelMap, tmp_path: Path) -> None:
    from highdicom.seg import segread

    folder = real_data / "ct_abdomen" / "dicom"
    path = export(real_labels, tmp_path / "a.dcm", source=folder)
    assert complaints(path) == []
    back = read_seg(path)
    assert back.geometry.is_close(real_labels.geometry)
    assert np.array_equal(back.data, real_labels.data)
    assert back.names == {value: real_labels.names[value] for value in real_labels.values}
    numbers = segread(path).get_volume(combine_segments=True).array
    assert len(np.unique(numbers)) == 32


@pytest.mark.parametrize("ending", ["dcm", "rtstruct.dcm", "map.dcm"])
def test_a_source_image_is_not_replaced(tmp_path: Path, ending: str) -> None:
    made_here = make(tmp_path / "images")
    image = next((tmp_path / "images").iterdir())
    named = image.rename(image.with_name(f"one.{ending}"))
    labels = on(tmp_path / "images", made_here.place).labels
    item = labels if ending != "map.dcm" else voxtrace.read(tmp_path / "images")
    (tmp_path / "linked").symlink_to(tmp_path / "images")
    before = named.read_bytes()
    for path in (named, tmp_path / "linked" / named.name):
        with pytest.raises(OutputError, match="is one of the source images"):
            export(item, path)
    assert named.read_bytes() == before
    assert export(item, tmp_path / f"other.{ending}").is_file()


def test_another_dicom_file_is_not_replaced_but_a_segmentation_is(case: Made, tmp_path: Path) -> None:
    image = Path(shutil.copy(next(case.folder.iterdir()), tmp_path / "a.dcm"))
    with pytest.raises(OutputError, match=r"another kind \(.* Image\).*Choose another name"):
        export(case.labels, image)
    damaged = tmp_path / "b.dcm"
    damaged.write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x16\x00UI\xff\xff")
    with pytest.raises(OutputError, match="unknown"):
        export(case.labels, damaged)
    for seg in ("binary", "labelmap"):
        written = export_all(case.labels, tmp_path / "c.dcm", ExportOptions(seg=seg)).paths[0]
        assert export(case.labels, written) == written
    assert export(case.labels, export(case.labels, tmp_path / "d.rtstruct.dcm")).is_file()
