"""``voxtrace export`` of a trace, of volumes as parametric maps, and of contours as labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

import awkward_dicom
import voxtrace
from made import Run
from voxtrace.trace import Provenance, Trace
from voxtrace.volume import LabelMap


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, a trace of three steps on them, and the answer as NIfTI."""
    folder = tmp_path_factory.mktemp("export")
    volume = voxtrace.read(awkward_dicom.save(folder / "images", awkward_dicom.images(awkward_dicom.place())))
    last = np.zeros(volume.geometry.shape, np.uint8)
    last[3:9, 5:20, 6:18] = 1
    last[9:12, 5:20, 6:18] = 2
    steps = np.stack([np.zeros_like(last), np.where(last == 1, last, 0), last]).astype(np.uint8)
    trace = Trace(
        labels=steps,
        facts={"cost": np.full((3, 1), 2.5, np.float32)},
        windows=np.asarray([[0, 0, 0, *last.shape]]),
        units={"cost": "GFLOP", "entropy": "nat"},
        geometry=volume.geometry,
        names={0: "background", 1: "liver", 2: "spleen"},
        step_word="cycle",
        maps={"entropy": np.stack([last * np.float32(0.1)] * 3)},
        provenance=Provenance("recyclenet", "RecycleNet", "abdomen", "cd" * 32, "0.1", seconds=4.0),
    )
    trace.save(folder / "case.trace")
    voxtrace.write(LabelMap(last, volume.geometry, {1: "liver", 2: "spleen"}), folder / "labels.nii.gz")
    return folder


def test_every_step_of_a_trace_goes_into_a_folder(run: Run, folder: Path, tmp_path: Path) -> None:
    outcome = run("export", folder / "case.trace", tmp_path / "dicom", "--source", folder / "images", "--maps")
    assert outcome.code == 0, outcome.err
    names = ["step_01.seg.dcm", "step_02.seg.dcm", "step_03.seg.dcm", "settled_at.map.dcm", "entropy.map.dcm"]
    assert outcome.out.split() == [str(tmp_path / "dicom" / name) for name in names]
    files = [pydicom.dcmread(tmp_path / "dicom" / name) for name in names]
    assert [np.count_nonzero(file.pixel_array) for file in files[:3]] == [0, 6 * 15 * 12, 9 * 15 * 12]
    assert sorted(np.unique(files[3].pixel_array, return_counts=True)[1]) == [
        540,
        1080,
        files[3].pixel_array.size - 1620,
    ]
    assert set(np.unique(files[3].pixel_array)) == {1, 2, 3}  # steps are counted from 1, as in the files' names
    parameters = files[1].SegmentSequence[1].SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    for line in ("method=RecycleNet", "steps=3", "cycle=2", "cost_gflop=2.5", "time_s=4"):
        assert line in parameters
    again = run("export", folder / "case.trace", tmp_path / "dicom", "--source", folder / "images")
    assert (again.code, "exists already" in again.sentence) == (3, True)


def test_the_last_step_is_written_with_what_computed_it(run: Run, folder: Path, tmp_path: Path) -> None:
    images = folder / "images"
    assert run("export", folder / "case.trace", tmp_path / "a.dcm", tmp_path / "a.csv", "--source", images).code == 0
    labels, trace = folder / "labels.nii.gz", folder / "case.trace"
    outcome = run("export", labels, tmp_path / "b.dcm", "--source", images, "--trace", trace, "--seg", "labelmap")
    assert outcome.code == 0
    one, other = (pydicom.dcmread(tmp_path / name) for name in ("a.dcm", "b.dcm"))
    assert (one.SegmentationType, other.SegmentationType) == ("BINARY", "LABELMAP")
    assert one.SegmentSequence[0].SegmentAlgorithmName == other.SegmentSequence[-1].SegmentAlgorithmName == "abdomen"
    assert (tmp_path / "a.csv").read_text().splitlines()[2].startswith("2,spleen")


def test_a_volume_becomes_a_parametric_map(run: Run, folder: Path, tmp_path: Path) -> None:
    images, out = folder / "images", tmp_path / "a.map.dcm"
    voxtrace.write(voxtrace.read(images), tmp_path / "scan.nii.gz")
    outcome = run("export", tmp_path / "scan.nii.gz", out, "--source", images, "--unit", "HU")
    assert outcome.code == 0, outcome.err
    meaning = pydicom.dcmread(out).SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert meaning.MeasurementUnitsCodeSequence[0].CodeValue == "[hnsf'U]"
    assert run("export", folder / "case.trace", tmp_path / "b.map.dcm", "--source", images).code == 3


def test_contours_become_labels(run: Run, folder: Path, tmp_path: Path) -> None:
    images, contours = folder / "images", tmp_path / "a.rtstruct.dcm"
    assert run("export", folder / "labels.nii.gz", contours, "--source", images).code == 0
    assert run("export", contours, tmp_path / "back.nii.gz", "--source", images).code == 0
    back, before = (voxtrace.read_labels(path) for path in (tmp_path / "back.nii.gz", folder / "labels.nii.gz"))
    assert np.array_equal(back.data, before.data)
    assert back.names == before.names
    assert run("export", contours, tmp_path / "one.nii.gz", "--source", images, "--only", "spleen").code == 0
    assert voxtrace.read_labels(tmp_path / "one.nii.gz").values == (2,)
    alone = run("export", contours, tmp_path / "none.nii.gz")
    assert (alone.code, "--source" in alone.sentence) == (3, True)


def test_only_a_trace_has_steps_for_a_folder(run: Run, folder: Path, tmp_path: Path) -> None:
    outcome = run("export", folder / "labels.nii.gz", tmp_path / "dicom", "--source", folder / "images")
    assert (outcome.code, "names no format" in outcome.sentence) == (2, True)
    dotted = run("export", folder / "case.trace", tmp_path / "steps.xyz", "--source", folder / "images")
    assert (dotted.code, "folder's name without a dot" in dotted.sentence) == (2, True)
