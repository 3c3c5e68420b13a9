"""Labels of imported models against nnU-Net's own; needs a Python that has nnunetv2."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

import made_nnunet
import voxtrace
from voxtrace.nnunet import import_model
from voxtrace.phantoms import abdomen_ct
from voxtrace.volume import Array

RAS = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
PREDICT = """
import functools, sys, torch
from nnunetv2.inference import predict_from_raw_data as nnunet
model, scans, out, mirror, bits = sys.argv[1:]
if bits == "32":  # nnU-Net sums and weighs in 16 bits
    torch.half, theirs = torch.float32, nnunet.compute_gaussian
    nnunet.compute_gaussian = functools.partial(theirs, dtype=torch.float32)
    nnunet.compute_gaussian.cache_clear = theirs.cache_clear
predictor = nnunet.nnUNetPredictor(
    use_mirroring=mirror == "True", perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
)
predictor.initialize_from_trained_model_folder(model, ("0",))
predictor.predict_from_files_sequential(scans, out, overwrite=True)
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def nnunet() -> str:
    """A Python that has nnunetv2."""
    python = os.environ.get("VOXTRACE_NNUNET_PYTHON")
    if not python:
        pytest.skip("VOXTRACE_NNUNET_PYTHON does not name a Python that has nnunetv2")
    return python


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT with slices 5 mm apart, stored from right to left and front to back."""
    folder = tmp_path_factory.mktemp("scans")
    made = abdomen_ct(seed=1, shape=(24, 70, 80), spacing_mm=(5.0, 1.6, 1.4)).volume
    image = SimpleITK.GetImageFromArray(np.round(made.data[0]).astype(np.int16))
    image.SetSpacing((1.4, 1.6, 5.0))
    image.SetDirection(RAS)
    SimpleITK.WriteImage(image, folder / "ct_0000.mha")
    return folder


@pytest.mark.parametrize(("dims", "mirror"), [(3, True), (2, False)])
def test_probabilities_and_labels_of_regions_are_those_of_nnunet(
    nnunet: str, scans: Path, tmp_path: Path, dims: int, mirror: bool
) -> None:
    made_nnunet.region_model(tmp_path / "model", dims)
    (tmp_path / "out").mkdir()
    command = PREDICT.replace("overwrite=True", "save_probabilities=True, overwrite=True")
    words = [nnunet, "-c", command, tmp_path / "model", scans, tmp_path / "out", mirror, 32]
    quiet = {"nnUNet_raw": str(tmp_path), "nnUNet_preprocessed": str(tmp_path), "nnUNet_results": str(tmp_path)}
    subprocess.run([str(word) for word in words], check=True, capture_output=True, env={**os.environ, **quiet})
    theirs = voxtrace.read(tmp_path / "out" / "ct.mha")
    expected = np.load(tmp_path / "out" / "ct.npz")["probabilities"]  # (R, Z, Y, X) as stored
    bundle = voxtrace.load(import_model(tmp_path / "model", tmp_path / "bundle")[0])
    scan = voxtrace.read(scans / "ct_0000.mha")
    planes = list[Array]()
    how = {"runtime": "torch", "precision": "float32", "mirror": mirror}
    ours = voxtrace.predict(bundle, scan, probe=lambda z, p: planes.append(p), **how).labels.data
    found, turned = np.stack(planes, 1), expected[:, :, ::-1, ::-1]  # towards L and P, as it is read
    assert len(np.unique(theirs.data[0])) >= 3
    assert found.shape == turned.shape
    assert np.abs(found - turned).max() < 1e-4
    sure = (np.abs(turned - 0.5) > 1e-4).all(0)
    assert sure.mean() > 0.99
    assert np.array_equal(ours[sure], theirs.data[0][sure])


@pytest.mark.parametrize(
    ("dims", "residual", "mirror", "bits", "alike"),
    [
        (3, False, False, 32, 1.0),
        (3, True, True, 32, 1.0),
        (2, False, False, 32, 1.0),
        (3, False, False, 16, 0.995),  # with random weights 16 bits decide between near equals
    ],
)
def test_labels_are_those_of_nnunet(
    nnunet: str, scans: Path, tmp_path: Path, dims: int, residual: bool, mirror: bool, bits: int, alike: float
) -> None:
    made_nnunet.model(tmp_path / "model", dims, residual)
    (tmp_path / "out").mkdir()
    words = [nnunet, "-c", PREDICT, tmp_path / "model", scans, tmp_path / "out", mirror, bits]
    quiet = {"nnUNet_raw": str(tmp_path), "nnUNet_preprocessed": str(tmp_path), "nnUNet_results": str(tmp_path)}
    subprocess.run([str(word) for word in words], check=True, capture_output=True, env={**os.environ, **quiet})
    theirs = voxtrace.read(tmp_path / "out" / "ct.mha").data[0]
    bundle = voxtrace.load(import_model(tmp_path / "model", tmp_path / "bundle")[0])
    scan = voxtrace.read(scans / "ct_0000.mha")
    ours = voxtrace.predict(bundle, scan, runtime="torch", precision="float32", mirror=mirror).labels.data
    assert len(np.unique(theirs)) > 1
    assert (ours == theirs).mean() >= alike - 1e-5  # sums in another order may turn a tie
