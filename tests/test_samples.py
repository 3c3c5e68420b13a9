"""The real scans that come with the package: which bytes, under which licence, and what models make of them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import voxtrace
from voxtrace.samples import FOLDER, SAMPLES, sample

ROOT = Path(__file__).resolve().parents[1]
SHA256 = {
    "hippocampus_right": "0bfe335e284caeb0660cbbea66f35882b161b280bcdbf492c260878045740ee4",
    "hippocampus_left": "757c4d2f43ff9501e415cc2c125e70a13b38327f7b302b1345c4e6cc11f9543a",
}
SOURCE = "VOXTRACE_COLIN27"  # ch2.nii.gz of MRIcron


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_hippocampus", ROOT / "sample_data" / "make_hippocampus.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_samples_are_the_bytes_that_were_cut_and_lie_in_sample_data_too() -> None:
    assert {scan.name for scan in SAMPLES} == set(SHA256) == {path.stem for path in FOLDER.glob("*.nii")}
    for scan in SAMPLES:
        assert _sha256(scan.path) == SHA256[scan.name]
        assert _sha256(ROOT / "sample_data" / scan.path.name) == SHA256[scan.name]
    assert sample("hippocampus_left").path.name == "hippocampus_left.nii"


@pytest.mark.skipif(SOURCE not in os.environ, reason=f"{SOURCE} does not name ch2.nii.gz of mricron-data")
def test_the_script_cuts_them_again_byte_for_byte(tmp_path: Path) -> None:
    _script().main(Path(os.environ[SOURCE]), (tmp_path,))
    assert {path.stem: _sha256(path) for path in tmp_path.iterdir()} == SHA256


def test_the_script_cuts_a_box_in_mm_and_refuses_another_file(tmp_path: Path) -> None:
    import nibabel as nib

    script = _script()
    voxels = np.arange(20 * 21 * 22, dtype=np.uint8).reshape(20, 21, 22)
    head = nib.Nifti1Image(voxels, np.array([[1, 0, 0, -10], [0, 1, 0, -5], [0, 0, 1, 0], [0, 0, 0, 1]], float))
    cut = script.crop(head, ((-4, 3), (0, 9), (2, 12)), "block")
    assert cut.shape == (8, 10, 11)
    assert np.array_equal(np.asarray(cut.dataobj), voxels[6:14, 5:15, 2:13])
    assert cut.affine[:3, 3].tolist() == [-4, 0, 2]
    (tmp_path / "other.nii.gz").write_bytes(b"another file")
    with pytest.raises(SystemExit, match="were cut from"):
        script.main(tmp_path / "other.nii.gz", (tmp_path,))


def test_each_sample_says_whose_it_is_and_the_conditions_travel_with_it() -> None:
    import nibabel as nib

    licence = (FOLDER / "LICENCE.txt").read_text(encoding="utf-8")
    assert "Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre" in licence
    assert "Copyright 2006-2010, Chris Rorden" in licence
    assert licence == (ROOT / "sample_data" / "LICENCE_hippocampus.txt").read_text(encoding="utf-8")
    for scan in SAMPLES:
        assert scan.path.name in licence
        assert b"Collins, MNI, McGill" in bytes(nib.load(scan.path).header["descrip"])


def test_each_sample_is_a_crop_of_1_mm_on_its_side() -> None:
    """The world's x is negative on the left, y grows to the front, z to the head."""
    for scan in SAMPLES:
        geometry = voxtrace.read(scan.path).geometry
        assert geometry.spacing_mm == (1, 1, 1)
        middle = geometry.world_mm(tuple((n - 1) / 2 for n in geometry.shape))  # (z, y, x): head, back, left
        assert np.sign(middle[2]) == (1 if scan.name.endswith("left") else -1)
        assert all(33 <= n <= 50 for n in geometry.shape)


@pytest.mark.numeric
@pytest.mark.parametrize("name", sorted(SHA256))
@pytest.mark.parametrize("bundle", ["hippocampus-recyclenet", "hippocampus-unet"])
def test_the_models_find_a_hippocampus_of_plausible_size_with_its_head_in_front(name: str, bundle: str) -> None:
    model, scan = voxtrace.load(bundle), voxtrace.read(sample(name).path)
    result = voxtrace.predict(model, scan, keep="labels", runtime="torch", precision="float32")
    ml = result.trace.summary()[-1]["volume_ml"]
    assert 1.5 < ml[1] < 2.7
    assert 1.5 < ml[2] < 2.9
    assert 3.5 < ml[1] + ml[2] < 5.0  # life is 2.5 to 4; the standard space is a third larger
    anterior, posterior = (np.argwhere(result.labels.data == value).mean(axis=0) for value in (1, 2))
    _, back_a, _ = scan.geometry.world_mm(tuple(anterior))
    _, back_p, _ = scan.geometry.world_mm(tuple(posterior))
    assert back_p - back_a > 10  # mm
