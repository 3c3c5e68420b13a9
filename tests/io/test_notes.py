"""What files say in words: that a scan is made up, and that labels are those of a demonstration model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxtrace.io import read, read_labels, write
from voxtrace.phantoms import abdomen_ct
from voxtrace.volume import DEMONSTRATION, Geometry, LabelMap

SHAPE = (4, 5, 6)


def labels(note: str = DEMONSTRATION) -> LabelMap:
    data = np.zeros(SHAPE, np.uint8)
    data[1:3, 1:4, 2:4] = 1
    return LabelMap(data, Geometry.from_spacing(SHAPE, (3.0, 2.0, 1.0)), {1: "liver"}, note=note)


@pytest.mark.parametrize("ending", ["nii.gz", "nii", "nrrd", "seg.nrrd", "mha"])
def test_the_note_of_labels_travels_in_their_file(tmp_path: Path, ending: str) -> None:
    path = write(labels(), tmp_path / f"case.{ending}")
    assert read_labels(path).note == DEMONSTRATION
    assert read_labels(write(labels(""), tmp_path / f"plain.{ending}")).note == ""


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
def test_a_phantom_is_known_as_one_from_its_file(tmp_path: Path, ending: str) -> None:
    phantom = abdomen_ct(3, shape=(8, 16, 16)).volume
    assert phantom.made_up
    assert read(write(phantom, tmp_path / f"scan.{ending}")).made_up


def test_the_header_of_a_nifti_file_says_it_in_words(tmp_path: Path) -> None:
    import nibabel

    header = nibabel.load(write(labels(), tmp_path / "case.nii")).header
    assert bytes(header["descrip"]).rstrip(b"\0").decode() == DEMONSTRATION


def test_a_dicom_segmentation_says_it_as_its_description(tmp_path: Path) -> None:
    import pydicom

    scan = read(Path(__file__).resolve().parents[2] / "sample_data" / "abdomen_phantom_dicom")
    data = np.zeros(scan.geometry.shape, np.uint8)
    data[4:8, 40:60, 40:60] = 1
    path = write(LabelMap(data, scan.geometry, {1: "liver"}, note=DEMONSTRATION), tmp_path / "case.dcm")
    assert pydicom.dcmread(path).ContentDescription == DEMONSTRATION
    assert len(DEMONSTRATION) <= 64  # the longest description that DICOM allows
