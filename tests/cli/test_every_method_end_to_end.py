"""Every method, from the command line, from a dataset to a label map and back onto the input's grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import made
from cases import ball_dataset
from made import Run
from real_cases import few_cases
from voxtrace.bundle import load
from voxtrace.io import read, read_labels, write
from voxtrace.methods import METHODS
from voxtrace.phantoms import brain_tumour_mr
from voxtrace.trace import Trace
from voxtrace.volume import Volume

SHORT = ("--iterations", 6, "--batch-size", 2, "--device", "cpu")


@pytest.mark.parametrize("name", sorted(METHODS))
def test_it_trains_and_predicts_with_every_step_kept(name: str, run: Run, tmp_path: Path) -> None:
    dataset = ball_dataset(tmp_path / "balls")
    model, out = tmp_path / "model", tmp_path / "out"
    assert run("train", dataset, "--method", name, "--fold", 0, "-o", model, *SHORT).code == 0
    scan = made.scan(tmp_path / "scan.nii.gz", shape=(20, 30, 24))
    assert run("predict", scan, "-m", model, "-o", out, "--keep", "all").code == 0
    trained, trace = load(model).method, Trace.load(out / "scan.trace")
    assert trace.labels.shape == (trained.steps, *read(scan).geometry.shape)
    assert set(trace.extras) == set(trained.extras)
    assert np.array_equal(read_labels(out / "scan.nii.gz").data, trace.labels[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(METHODS))
def test_it_trains_and_predicts_on_a_real_hippocampus(name: str, run: Run, real_data: Path, tmp_path: Path) -> None:
    dataset = real_data / "Dataset004_Hippocampus"
    model, out = tmp_path / "model", tmp_path / "out"
    few = sorted((dataset / "imagesTr").glob("*_0000.nii.gz"))[0]
    small = few_cases(dataset, tmp_path / "few")
    assert run("train", small, "--method", name, "-o", model, *SHORT).code == 0
    assert run("predict", few, "-m", model, "-o", out).code == 0
    labels = read_labels(next(out.glob("*.nii.gz")))
    assert labels.geometry.grid == read(few).geometry.grid


@pytest.mark.slow
def test_the_tumour_bundle_reads_a_real_glioma_of_four_sequences(run: Run, real_data: Path, tmp_path: Path) -> None:
    """The bundle knows made-up tumours only, so where labels lie is tested, not what they are."""
    folder = real_data / "mr_brain_tumour" / "BraTS-GLI-00001-000"
    files = [folder / f"{name}.nii.gz" for name in ("flair", "t1c", "t1", "t2")]
    for number, file in enumerate(files):
        (tmp_path / f"glioma_{number:04d}.nii.gz").symlink_to(file.resolve())
    inputs = sorted(tmp_path.glob("glioma_*.nii.gz"))
    assert run("predict", *inputs, "-m", "tumour-phantom-meddanet", "-o", tmp_path / "out").code == 0
    trace = Trace.load(tmp_path / "out" / "glioma.trace")
    assert trace.geometry.shape == read(files[0]).geometry.shape
    assert set(np.unique(trace.facts["candidate"])) <= {0.0, 1.0, 2.0, 3.0, 4.0}


def test_a_tumour_of_four_sequences_is_routed_slice_by_slice(run: Run, tmp_path: Path) -> None:
    case = brain_tumour_mr(3001)
    for number, channel in enumerate(case.volume.data):
        write(Volume(channel[None], case.volume.geometry), tmp_path / f"brain_{number:04d}.nii.gz")
    outcome = run(
        "predict", *sorted(tmp_path.glob("brain_*.nii.gz")), "-m", "tumour-phantom-meddanet", "-o", tmp_path / "out"
    )
    assert outcome.code == 0
    trace = Trace.load(tmp_path / "out" / "brain.trace")
    candidates = trace.facts["candidate"][0]
    spent = trace.facts["cost_gflop"][0]
    assert (candidates == 0).any()  # slices without a tumour
    assert (candidates > 0).any()
    assert spent[candidates == 0].max() < spent[candidates > 0].min()
