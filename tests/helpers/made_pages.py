"""A working folder with what the pages name: scans, series, results, datasets and bundles, all small and made up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import awkward_dicom
import made_nnunet
import voxtrace
from pages import DOCS, ROOT, blocks
from voxtrace.bundle import shipped
from voxtrace.cli import main
from voxtrace.methods.recyclenet import RecycleNet
from voxtrace.phantoms import abdomen_ct, brain_tumour_mr
from voxtrace.volume import Case, LabelMap

SHAPE, SPACING_MM = (8, 32, 32), (24.0, 9.0, 9.0)  # trained on and segmented in one window
NNUNET = "nnUNet_results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlans__3d_fullres"
REGIONS = {"background": 0, "whole tumour": [1, 2, 3], "tumour core": [2, 3], "enhancing": 3}
SHORT = ("--iterations", "2", "--window", "8x32x32")

# Called like the interpreter of another environment that has nnU-Net: it tells versions, and answers background.
PEER = """#!{python}
import json, sys
if sys.argv[1] == "-c":
    print(json.dumps({{"torch": "2.13.0", "nnunetv2": "2.8.1"}}))
else:
    import SimpleITK as sitk
    script, model, image, output, threads, bits = sys.argv[1:]
    sitk.WriteImage(sitk.Cast(sitk.ReadImage(image) * 0, sitk.sitkUInt8), output)
"""


def ran(*words: object, code: int = 0) -> None:
    """Run the console entry, which has to end with a code."""
    with pytest.raises(SystemExit) as leaving:
        main([str(word) for word in words])
    assert int(leaving.value.code or 0) == code, words


def scans_and_results(out: Path) -> Path:
    """Write scans, a DICOM series, results and a dataset into a folder, and return it."""
    _small_series(out / "dicom_folder")
    voxtrace.write(voxtrace.read(out / "dicom_folder"), out / "scan.nii.gz")
    ran("predict", out / "scan.nii.gz", "-m", "abdomen-phantom-cdlunet", "-o", out / "results", "--keep", "labels")
    shutil.copy(out / "results" / "scan.nii.gz", out / "labels.nii.gz")
    cases = [abdomen_ct(seed=seed, shape=SHAPE, spacing_mm=SPACING_MM) for seed in (1, 2, 3)]
    for number, case in enumerate(cases, start=1):
        for folder, data in (("scans", case.volume), ("labels", case.labels)):
            (out / folder).mkdir(exist_ok=True)
            voxtrace.write(data, out / folder / f"case_{number}.nii.gz")
    named = {f"hippocampus_{number:03d}": case for number, case in enumerate(cases, start=1)}
    dataset(out / "Dataset004_Hippocampus", named, ["CT"])
    shutil.copytree(out / "scans", out / "many_scans")
    shutil.copytree(out / "results" / "scan.trace", out / "demo_output" / "hippocampus_right.trace")
    shutil.copy(out / "scan.nii.gz", out / "demo_output" / "hippocampus_right.nii.gz")
    for copy in ("other_results", "other-results", "old-results", "new-results", "reference"):
        shutil.copytree(out / "results", out / copy)
    _also_in(out / "Dataset004_Hippocampus", "scan", out / "scan.nii.gz", out / "labels.nii.gz")
    return out


def dataset(folder: Path, cases: Mapping[str, Case], channels: Iterable[str], labels: Any = None) -> None:
    """Write cases in nnU-Net's layout; ``labels`` are those of ``dataset.json``, by default the cases' own."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    values: dict[str, Any] = {"background": 0}
    channels = list(channels)
    for name, case in cases.items():
        for channel in range(len(channels)):
            data = case.volume.data[channel : channel + 1]
            image = voxtrace.Volume(data, case.volume.geometry)
            voxtrace.write(image, folder / "imagesTr" / f"{name}_{channel:04d}.nii.gz")
        voxtrace.write(case.labels, folder / "labelsTr" / f"{name}.nii.gz")
        values |= {what: value for value, what in case.labels.names.items() if value}
    listed = {
        "channel_names": {str(channel): what for channel, what in enumerate(channels)},
        "labels": labels or values,
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    if labels:
        listed["regions_class_order"] = [1, 2, 3]
    (folder / "dataset.json").write_text(json.dumps(listed), encoding="utf-8")


def _small_series(out: Path) -> None:
    """Write the shipped DICOM series of a phantom at half its resolution."""
    out.mkdir()
    for path in sorted((ROOT / "sample_data" / "abdomen_phantom_dicom").iterdir()):
        image = pydicom.dcmread(path)
        pixels = image.pixel_array[::2, ::2]
        image.Rows, image.Columns = pixels.shape
        image.PixelSpacing = [2 * float(mm) for mm in image.PixelSpacing]
        image.set_pixel_data(pixels, image.PhotometricInterpretation, image.BitsStored)
        image.save_as(out / path.name)


def _also_in(folder: Path, name: str, image: Path, labels: Path) -> None:
    """Copy a case into a dataset, with its number of cases told anew."""
    shutil.copy(image, folder / "imagesTr" / f"{name}_0000.nii.gz")
    shutil.copy(labels, folder / "labelsTr" / f"{name}.nii.gz")
    listed = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    listed["numTraining"] += 1
    (folder / "dataset.json").write_text(json.dumps(listed), encoding="utf-8")


def whole(out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write all that any page names, trained bundles and an interrupted run too; return the folder."""
    scans_and_results(out)
    monkeypatch.chdir(out)
    _datasets(out)
    _study(out / "study")
    _bundles(out, monkeypatch)
    ran("export", "labels.nii.gz", "contours.rtstruct.dcm", "--source", "dicom_folder")
    shutil.copytree("results/scan.trace", "case.trace")
    (about,) = blocks(DOCS / "bundles.md", "toml")
    Path("about.toml").write_text(about, encoding="utf-8")
    peer = out / ".venv-peer" / "bin" / "python"
    peer.parent.mkdir(parents=True)
    peer.write_text(PEER.format(python=sys.executable), encoding="utf-8")
    peer.chmod(0o755)
    (out / "docs").mkdir()
    for page in ("benchmarks.md", "models.md"):
        shutil.copy(DOCS / page, out / "docs")
    return out


def _datasets(out: Path) -> None:
    """Write the other datasets, and for each the plan that a page has for it."""
    hippocampus = out / "Dataset004_Hippocampus"
    for seed in (4, 5):
        case = abdomen_ct(seed=seed, shape=SHAPE, spacing_mm=SPACING_MM)
        voxtrace.write(case.volume, hippocampus / "imagesTr" / f"hippocampus_{seed:03d}_0000.nii.gz")
        voxtrace.write(case.labels, hippocampus / "labelsTr" / f"hippocampus_{seed:03d}.nii.gz")
    scan = voxtrace.read(out / "scan.nii.gz")
    voxtrace.write(voxtrace.Volume(scan.data + 1, scan.geometry), out / "case.nii.gz")
    _also_in(hippocampus, "case", out / "case.nii.gz", out / "labels.nii.gz")
    for name in ("HIPPOCAMPUS", "DATA/HippocampusScored", "ACDC", "LGG", "DATASET", "more_cases", "my_cases"):
        shutil.copytree(hippocampus, out / name)
    for copy in ("model_a", "model_b", "model_c", "labelsA", "labelsB", "labelsC"):
        shutil.copytree(hippocampus / "labelsTr", out / copy)
    cases = [abdomen_ct(seed=seed, shape=SHAPE, spacing_mm=SPACING_MM) for seed in range(1, 6)]
    third = {0: "background", 1: "anterior", 2: "posterior", 3: "a third"}
    of_three = {f"case_{seed}": _with_labels(case, third) for seed, case in enumerate(cases, start=1)}
    dataset(out / "corrected_cases", of_three, ["MRI"])
    dataset(out / "heart_mr", of_three, ["MR"])
    dataset(out / "Dataset137_BraTS", of_three, ["CT"], labels=REGIONS)
    brains = {f"brain_{seed}": brain_tumour_mr(seed, (16, 32, 32), (6.0, 5.0, 5.0)) for seed in range(1, 6)}
    dataset(out / "brats", brains, ["flair", "t1ce", "t1", "t2"])
    ran("plan", "ACDC", "--window", "1x32x32", "--batch-size", 2, "--out", "plan.json")
    ran("plan", "LGG", "--window", "1x32x32", "--batch-size", 2, "--out", "lgg.json")
    labels = voxtrace.read_labels(out / "labels.nii.gz")
    three = LabelMap(np.where(labels.data > 3, 0, labels.data), labels.geometry, third)
    voxtrace.write(three, out / "three.nii.gz")
    _also_in(out / "Dataset137_BraTS", "scan", out / "scan.nii.gz", out / "three.nii.gz")
    (out / "tumours").mkdir()
    shutil.copy(out / "three.nii.gz", out / "tumours" / "scan.nii.gz")
    names = [*(f"hippocampus_{number:03d}" for number in range(1, 6)), "case", "scan"]
    held_back = [names[:2], *([name] for name in names[2:5]), names[5:]]
    folds = [{"train": [name for name in names if name not in held], "val": held} for held in held_back]
    (hippocampus / "splits_final.json").write_text(json.dumps(folds), encoding="utf-8")


def _with_labels(case: Case, names: dict[int, str]) -> Case:
    """Return a case with those of its labels alone that have a name."""
    data = np.where(case.labels.data > max(names), 0, case.labels.data)
    return Case(case.name, case.volume, LabelMap(data, case.labels.geometry, names))


def _study(out: Path) -> None:
    """Write a study of four MR series of a brain, numbered 2 to 5, and a CT, number 11."""
    brain = brain_tumour_mr(1, (16, 32, 32), (6.0, 5.0, 5.0)).volume.data
    for number, what, channel in ((4, "FLAIR", 0), (2, "T1 post", 1), (3, "T1", 2), (5, "T2", 3)):
        coding = awkward_dicom.Coding(intercept=0.0)
        images = [
            awkward_dicom.image(plane, awkward_dicom.place(), depth, coding, InstanceNumber=depth + 1)
            for depth, plane in enumerate(brain[channel])
        ]
        for image in awkward_dicom.mr(images):
            image.SeriesInstanceUID, image.SeriesNumber, image.SeriesDescription = f"2.25.9{number}", number, what
            image.PixelSpacing, image.RescaleType = [5.0, 5.0], "US"
        awkward_dicom.save(out, images, f"S{number:02d}_{{:04d}}")
    for file in (out.parent / "dicom_folder").iterdir():
        image = pydicom.dcmread(file)
        image.SeriesNumber, image.StudyInstanceUID = 11, "2.25.1"
        image.save_as(out / f"S11_{file.name}")


def _bundles(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the bundles that pages call by a name of one's own, and a run that was interrupted."""
    ran("train", "Dataset004_Hippocampus", "--method", "unet", "--cv", "--out", "hippocampus-cv", *SHORT)
    ran("train", "Dataset004_Hippocampus", "--method", "recyclenet", "--out", "small-recyclenet", *SHORT)
    for fold in ("fold_0", "fold_1", "fold_2"):
        shutil.copytree(out / "hippocampus-cv" / fold, out / fold)
    shutil.copytree(out / "fold_0", out / "hippocampus")
    shutil.copytree(out / "fold_0", out / "my-bundle")
    shutil.copytree(shipped()["abdomen-phantom-diffusion"], out / "my-diffusion")
    shutil.copytree(shipped()["abdomen-phantom-recyclenet"], out / "MODEL")
    made_nnunet.model(out / NNUNET)
    shutil.copytree(out / NNUNET / "fold_0", out / NNUNET / "fold_1")
    loss = RecycleNet.loss

    def interrupted(*given: Any) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        return loss(*given)

    with monkeypatch.context() as patch:
        patch.setattr(RecycleNet, "loss", interrupted)
        words = ("--method", "recyclenet", "--fold", 0, "--out", "interrupted", *SHORT)
        ran("train", "Dataset004_Hippocampus", *words, code=130)
