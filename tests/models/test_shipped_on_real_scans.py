"""The shipped bundles on real scans, from the command line: what a user gets on the first day."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from voxtrace.bundle import shipped
from voxtrace.cli import main
from voxtrace.io import read_labels
from voxtrace.metrics import dice
from voxtrace.trace import Trace


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0)


def _same_grid(one: SimpleITK.Image, other: SimpleITK.Image) -> bool:
    return all(
        getattr(one, get)() == getattr(other, get)() for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection")
    )


def test_a_held_back_hippocampus_is_found_in_seven_cycles(real_data: Path, tmp_path: Path) -> None:
    dataset = real_data / "Dataset004_Hippocampus"
    name = json.loads((dataset / "splits_final.json").read_text())[0]["val"][3]
    scan = dataset / "imagesTr" / f"{name}_0000.nii.gz"
    assert _run("predict", scan, "-m", "hippocampus-recyclenet", "-o", tmp_path / "out") == 0
    written = tmp_path / "out" / f"{name}.nii.gz"
    assert _same_grid(SimpleITK.ReadImage(str(written)), SimpleITK.ReadImage(str(scan)))
    assert np.array_equal(nibabel.load(written).affine, nibabel.load(scan).affine)  # type: ignore[attr-defined]
    answer, truth = read_labels(written), read_labels(dataset / "labelsTr" / f"{name}.nii.gz")
    assert min(dice(answer, truth, label) for label in (1, 2)) > 0.8
    assert answer.names == {1: "anterior", 2: "posterior"}
    assert Trace.load(tmp_path / "out" / f"{name}.trace").labels.shape == (7, *truth.data.shape)


def test_a_real_dicom_series_is_labelled_on_its_own_grid(real_data: Path, tmp_path: Path) -> None:
    """The phantom bundle knows made-up scans only, so where labels lie is tested, not what they are."""
    scan = real_data / "ct_abdomen" / "dicom"
    assert _run("predict", scan, "-m", "abdomen-phantom-recyclenet", "-o", tmp_path / "out") == 0
    written = SimpleITK.ReadImage(str(tmp_path / "out" / "dicom.nii.gz"))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(scan)))
    expected = reader.Execute()
    assert written.GetSize() == expected.GetSize()
    for get in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(written, get)() == pytest.approx(getattr(expected, get)(), abs=1e-4)
    assert nibabel.load(tmp_path / "out" / "dicom.nii.gz").shape == expected.GetSize()  # type: ignore[attr-defined]
    assert Trace.load(tmp_path / "out" / "dicom.trace").n_steps == 2


def test_the_bundles_the_documentation_names_are_shipped() -> None:
    assert {"abdomen-phantom-recyclenet", "hippocampus-recyclenet", "hippocampus-unet"} <= set(shipped())
