from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import awkward_dicom
import voxtrace
from made import Run
from voxtrace.io.formats import WRITTEN, endings
from voxtrace.volume import LabelMap


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, and a label map of them as NIfTI, which remembers no images."""
    folder = tmp_path_factory.mktemp("export")
    images = awkward_dicom.save(folder / "images", awkward_dicom.images(awkward_dicom.place()))
    volume = voxtrace.read(images)
    data = (volume.data[0] > awkward_dicom.BRIGHT).astype(np.uint8)
    data[:3] = 2
    labels = LabelMap(data, volume.geometry, {1: "lesion", 2: "liver"})
    voxtrace.write(labels, folder / "labels.nii.gz")
    return folder


def test_several_formats_are_written_at_once(run: Run, folder: Path, tmp_path: Path) -> None:
    names = ("a.dcm", "a.rtstruct.dcm", "a.seg.nrrd", "a.stl", "a.ply", "a.obj", "a.csv", "a.json", "a.nii.gz")
    outs = [tmp_path / name for name in names]
    images = folder / "images"
    outcome = run("export", folder / "labels.nii.gz", *outs, "--source", images, "--image", images, "--json")
    assert outcome.code == 0
    assert [record["paths"] for record in outcome.json["written"]] == [[str(out)] for out in outs]
    assert [record["format"] for record in outcome.json["written"]][:3] == [".dcm", ".rtstruct.dcm", ".seg.nrrd"]
    assert all(out.stat().st_size for out in outs)
    assert "HU" in (tmp_path / "a.csv").read_text()
    assert pydicom.dcmread(tmp_path / "a.rtstruct.dcm").Modality == "RTSTRUCT"


def test_a_segmentation_is_exported_again(run: Run, folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.dcm", tmp_path / "b.csv"
    assert run("export", folder / "labels.nii.gz", first, "--source", folder / "images").out.strip() == str(first)
    assert run("export", first, second).code == 0
    rows = second.read_text().splitlines()
    assert [row.split(",")[1] for row in rows[1:]] == ["lesion", "liver"]


def test_each_label_gets_a_file(run: Run, folder: Path, tmp_path: Path) -> None:
    outcome = run("export", folder / "labels.nii.gz", tmp_path / "a.stl", tmp_path / "a.ply", "--each")
    assert outcome.out.split() == [str(tmp_path / name) for name in ("a.lesion.stl", "a.liver.stl", "a.ply")]


def test_one_of_two_that_fails_leaves_the_other(run: Run, folder: Path, tmp_path: Path) -> None:
    outcome = run("export", folder / "labels.nii.gz", tmp_path / "a.dcm", tmp_path / "a.csv")
    assert outcome.code == 1
    assert "--source" in outcome.sentence
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_nothing_done_is_3_and_wrong_usage_2(run: Run, folder: Path, tmp_path: Path) -> None:
    labels = folder / "labels.nii.gz"
    assert run("export", labels, tmp_path / "a.dcm").code == 3
    assert run("export", tmp_path / "none.nii.gz", tmp_path / "a.csv").code == 3
    unknown = run("export", labels, tmp_path / "a.xyz")
    assert (unknown.code, ".seg.nrrd" in unknown.sentence) == (2, True)
    assert run("export", labels, tmp_path / "a.ply", "--each").code == 2
    assert run("export", labels, tmp_path / "a.ply", tmp_path / "a.ply").code == 2
    assert list(tmp_path.iterdir()) == []


def test_what_the_source_lacks_is_told(run: Run, folder: Path, tmp_path: Path) -> None:
    nameless = awkward_dicom.images(awkward_dicom.place(), StudyInstanceUID="")
    awkward_dicom.save(tmp_path / "images", nameless)
    outcome = run("export", folder / "labels.nii.gz", tmp_path / "a.dcm", "--source", tmp_path / "images")
    assert "no UID of their study" in outcome.err


def test_the_help_names_the_ending_of_every_format(run: Run) -> None:
    words = " ".join(run("export", "--help").out.replace("│", " ").split())
    assert not [ending for ending in endings(WRITTEN) if ending not in words]


def test_by_hand_is_recorded(run: Run, folder: Path, tmp_path: Path) -> None:
    run("export", folder / "labels.nii.gz", tmp_path / "a.dcm", "--source", folder / "images", "--manual")
    assert pydicom.dcmread(tmp_path / "a.dcm").SegmentSequence[0].SegmentAlgorithmType == "MANUAL"


def test_no_patient_appears_in_what_is_said(run: Run, folder: Path, tmp_path: Path) -> None:
    elsewhere = replace(voxtrace.read_labels(folder / "labels.nii.gz"))
    moved = replace(elsewhere.geometry, stored=None, affine=((1.0, 0.0, 0.0, 0.0), *elsewhere.geometry.affine[1:]))
    voxtrace.write(replace(elsewhere, geometry=moved), tmp_path / "moved.nii.gz")
    outcome = run("export", tmp_path / "moved.nii.gz", tmp_path / "a.dcm", "--source", folder / "images")
    assert outcome.code == 3
    assert "expected 36×40×16 voxels" in outcome.sentence
    assert "Doe" not in outcome.err
    assert "4711" not in outcome.err
