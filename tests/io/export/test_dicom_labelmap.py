"""DICOM-SEG as label maps, parametric maps, and all steps of a trace: read back by highdicom and pydicom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from exported import COLOURS, NAMES, Made, complaints, make
from voxtrace.errors import GeometryError, OutputError
from voxtrace.io.export import Algorithm, ExportOptions, ScalarMap, export_all, export_steps, read_seg
from voxtrace.io.export.parametric_map import unit_of, write_map
from voxtrace.volume import Geometry, LabelMap, Volume

LABELMAP = ExportOptions(seg="labelmap")
RUN = Algorithm("liver, two seeds", "ab" * 32, "RecycleNet", "0.1", steps=3, step_word="cycle", cost_gflop=12.5)


def stacked_by_highdicom(path: Path) -> np.ndarray:
    """Return the labels as highdicom stacks the planes that hold any, in its own direction."""
    from highdicom.seg import segread

    volume = segread(path).get_volume(combine_segments=True, allow_missing_positions=True)
    return np.asarray(volume.array)


def test_a_label_map_comes_back_whole_with_values_names_and_colours(case: Made, tmp_path: Path) -> None:
    (path,) = export_all(case.labels, tmp_path / "a.seg.dcm", LABELMAP).paths
    back = read_seg(path)
    assert np.array_equal(back.data, case.labels.data)
    assert back.geometry.is_close(case.labels.geometry)
    assert {value: name for value, name in back.names.items() if value} == NAMES
    assert back.colours[3] == pytest.approx(COLOURS[3], abs=2 / 255)
    assert sorted(np.bincount(stacked_by_highdicom(path).ravel())) == sorted(np.bincount(case.labels.data.ravel()))


def test_its_numbers_are_the_label_values_and_it_is_compressed(axial: Made, tmp_path: Path) -> None:
    (path,) = export_all(axial.labels, tmp_path / "a.dcm", LABELMAP).paths
    written = pydicom.dcmread(path)
    assert (written.SegmentationType, written.SOPClassUID) == ("LABELMAP", "1.2.840.10008.5.1.4.1.1.66.7")
    assert written.file_meta.TransferSyntaxUID == pydicom.uid.RLELossless
    assert [int(segment.SegmentNumber) for segment in written.SegmentSequence] == [0, 3, 7, 9, 20]
    assert sorted(np.unique(written.pixel_array)) == [0, 3, 7, 9, 20]


def test_values_above_255_are_kept(axial: Made, tmp_path: Path) -> None:
    data = axial.labels.data.astype(np.uint16)
    data[data == 20] = 4321
    labels = LabelMap(data, axial.labels.geometry)
    (path,) = export_all(labels, tmp_path / "a.dcm", LABELMAP).paths
    assert np.array_equal(read_seg(path).data, data)


def test_an_old_dciodvfy_finds_only_that_the_class_is_new_to_it(case: Made, tmp_path: Path) -> None:
    (path,) = export_all(case.labels, tmp_path / "a.dcm", LABELMAP).paths
    known = ("SegmentNumber not monotonically", "Information Object Not found")  # of versions before 2024
    assert [line for line in complaints(path, recognised=False) if not any(word in line for word in known)] == []


def test_bundle_method_steps_and_cost_are_recorded(axial: Made, tmp_path: Path) -> None:
    for seg in ("binary", "labelmap"):
        (path,) = export_all(axial.labels, tmp_path / f"{seg}.dcm", ExportOptions(seg=seg, algorithm=RUN)).paths
        written = pydicom.dcmread(path)
        segment = written.SegmentSequence[-1]
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert segment.SegmentAlgorithmName == algorithm.AlgorithmName == "liver, two seeds"
        assert algorithm.AlgorithmVersion == "weights " + "ab" * 8
        parameters = algorithm.AlgorithmParameters
        assert "method=RecycleNet" in parameters
        assert "steps=3" in parameters
        assert "cost_gflop=12.5" in parameters
        assert list(written.SoftwareVersions)[1:] == [
            "computed with VoxTrace 0.1",
            "liver, two seeds, weights abababababababab",
        ]
        assert seg == "labelmap" or complaints(path) == []
    (path,) = export_all(axial.labels, tmp_path / "a.rtstruct.dcm", ExportOptions(algorithm=RUN)).paths
    assert complaints(path) == []


def test_a_map_of_floats_comes_back_where_it_was(case: Made, tmp_path: Path) -> None:
    values = np.linspace(-1, 2, case.labels.data.size, dtype=np.float32).reshape(case.labels.data.shape)
    values[0, 0] = np.nan
    item = ScalarMap(values, case.labels.geometry, "entropy", "nat")
    (path,) = write_map(item, tmp_path / "a.map.dcm", ExportOptions()).paths
    assert complaints(path) == []
    assert np.array_equal(canonical(path, case), values, equal_nan=True)
    meaning = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert meaning.MeasurementUnitsCodeSequence[0].CodeValue == "{nat}"
    assert (meaning.RealWorldValueSlope, meaning.RealWorldValueIntercept) == (1, 0)


def canonical(path: Path, case: Made) -> np.ndarray:
    """Return the voxels of a multi-frame file in the order of the label map, by the positions of its frames."""
    written = pydicom.dcmread(path)
    placed = np.zeros_like(written.pixel_array)
    for frame, group in zip(written.pixel_array, written.PerFrameFunctionalGroupsSequence, strict=True):
        position = np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, float)
        step = case.place.step_mm
        placed[round(float((position - case.place.position(0)) @ step / (step @ step)))] = frame
    assert case.labels.geometry.stored is not None
    return case.labels.geometry.stored.layout.to_canonical(placed)


def test_whole_numbers_are_compressed_and_each_frame_names_its_image(axial: Made, tmp_path: Path) -> None:
    item = ScalarMap(axial.labels.data, axial.labels.geometry, "settled_at", "cycle")
    (path,) = write_map(item, tmp_path / "a.map.dcm", ExportOptions()).paths
    written = pydicom.dcmread(path)
    assert written.file_meta.TransferSyntaxUID == pydicom.uid.RLELossless
    assert np.array_equal(canonical(path, axial), axial.labels.data)
    images = {image.SOPInstanceUID: image for image in map(pydicom.dcmread, axial.folder.iterdir())}
    for group in written.PerFrameFunctionalGroupsSequence:
        (derived,) = group.DerivationImageSequence[0].SourceImageSequence
        named = images[derived.ReferencedSOPInstanceUID].ImagePositionPatient
        assert named == group.PlanePositionSequence[0].ImagePositionPatient
    assert complaints(path) == []


def test_a_volume_is_written_by_its_ending(axial: Made, tmp_path: Path) -> None:
    volume = Volume(axial.labels.data[np.newaxis].astype(np.float32) / 7, axial.labels.geometry, name="probability")
    (path,) = export_all(volume, tmp_path / "a.map.dcm").paths
    assert np.array_equal(canonical(path, axial), volume.data[0])
    two = replace(volume, data=np.concatenate([volume.data, volume.data]))
    with pytest.raises(OutputError, match="has 2 channels; expected one"):
        export_all(two, tmp_path / "b.map.dcm")
    nothing = replace(volume, data=np.full_like(volume.data, np.nan))
    with pytest.raises(OutputError, match="no finite number"):
        export_all(nothing, tmp_path / "b.map.dcm")
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_map_of_some_slices_is_not_completed(axial: Made, tmp_path: Path) -> None:
    whole = axial.labels.geometry
    part = Geometry((whole.shape[0] - 2, *whole.shape[1:]), whole.affine)
    item = ScalarMap(np.ones(part.shape, np.float32), part, "entropy")
    with pytest.raises(GeometryError, match="no series in"):
        write_map(item, tmp_path / "a.map.dcm", ExportOptions(source=axial.folder))


@pytest.mark.parametrize(("unit", "code"), [("", "1"), ("mm", "mm"), ("nat", "{nat}"), ("GFLOP pro Fenster ä", "1")])
def test_units_are_codes(unit: str, code: str) -> None:
    assert unit_of(unit).value == code


def steps_of(case: Made) -> list[LabelMap]:
    """Return three steps: nothing, the liver alone, all labels."""
    data = case.labels.data
    return [replace(case.labels, data=found) for found in (np.zeros_like(data), np.where(data == 3, data, 0), data)]


@pytest.fixture(scope="module")
def written(axial: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Three steps and where voxels settled, in a folder."""
    settled = np.where(axial.labels.data == 3, 1, np.where(axial.labels.data > 0, 2, 0)).astype(np.uint8)
    maps = [ScalarMap(settled, axial.labels.geometry, "settled_at", "cycle")]
    folder = tmp_path_factory.mktemp("steps") / "out"
    options = ExportOptions(algorithm=RUN)
    return export_steps(iter(steps_of(axial)), axial.labels.values, folder, options, maps).paths


def test_every_step_is_a_file_and_holds_its_labels(axial: Made, written: tuple[Path, ...]) -> None:
    names = ["step_01.seg.dcm", "step_02.seg.dcm", "step_03.seg.dcm", "settled_at.map.dcm"]
    assert [path.name for path in written] == names
    for path, step in zip(written, steps_of(axial), strict=False):
        assert np.array_equal(canonical(path, axial), step.data)
    assert np.array_equal(canonical(written[3], axial)[axial.labels.data == 7], [2] * np.sum(axial.labels.data == 7))


def test_a_label_is_the_same_segment_at_every_step(written: tuple[Path, ...]) -> None:
    steps = [pydicom.dcmread(path) for path in written[:3]]
    tracked = [{int(s.SegmentNumber): s.TrackingUID for s in step.SegmentSequence if s.SegmentNumber} for step in steps]
    assert tracked[0] == tracked[1] == tracked[2]
    assert len(set(tracked[0].values())) == len(tracked[0]) == 4
    assert len({step.SeriesInstanceUID for step in steps}) == 1
    assert len({step.SOPInstanceUID for step in steps}) == 3
    assert [step.InstanceNumber for step in steps] == [1, 2, 3]
    assert steps[1].ContentDescription == "cycle 2 of 3, RecycleNet, liver, two seeds"
    parameters = steps[1].SegmentSequence[1].SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    assert "cycle=2" in parameters


def test_steps_go_into_a_new_folder_or_nowhere(axial: Made, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_text("kept")
    with pytest.raises(OutputError, match="exists already"):
        export_steps(steps_of(axial), (3,), tmp_path / "full", ExportOptions())
    with pytest.raises(OutputError, match="no step holds a label"):
        export_steps(steps_of(axial), (), tmp_path / "new", ExportOptions())
    elsewhere = Geometry.from_spacing((2, 3, 4), (1.0, 1.0, 1.0))

    def second_elsewhere() -> Iterator[LabelMap]:
        yield axial.labels
        yield LabelMap(np.ones((2, 3, 4), np.uint8), elsewhere)

    with pytest.raises(GeometryError, match="step 2 lies on another grid"):
        export_steps(second_elsewhere(), (3,), tmp_path / "new", ExportOptions())
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    assert (tmp_path / "full" / "kept").read_text() == "kept"


def test_a_source_with_bad_values_is_told_once_for_all_steps(tmp_path: Path) -> None:
    case = make(tmp_path / "images", PatientSex="W1")
    told = export_steps(steps_of(case), case.labels.values, tmp_path / "out", ExportOptions()).notes
    assert told == ("the source images' Patient's Sex violates the standard; it is left out.",)


@pytest.mark.slow
def test_31_labels_take_a_twentieth_and_seven_steps_five_megabytes(
    real_data: Path, real_labels: LabelMap, tmp_path: Path
) -> None:
    options = ExportOptions(source=real_data / "ct_abdomen" / "dicom")
    sizes = [
        export_all(real_labels, tmp_path / f"{seg}.dcm", replace(options, seg=seg)).paths[0].stat().st_size
        for seg in ("binary", "labelmap")
    ]
    assert sizes[1] <= sizes[0] / 20, sizes
    assert np.array_equal(read_seg(tmp_path / "labelmap.dcm").data, real_labels.data)
    settled = ScalarMap((real_labels.data % 7).astype(np.uint8), real_labels.geometry, "settled_at")
    found = export_steps([real_labels] * 7, real_labels.values, tmp_path / "steps", options, [settled]).paths
    assert sum(path.stat().st_size for path in found) <= 5_000_000
