"""Small training sets made of real scans."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from voxtrace.io import read_labels, write

SEQUENCES = ("flair", "t1c", "t1", "t2")  # as the files of a glioma are called, in the order of the shipped bundle
TUMOUR = {"background": 0, "necrotic core": 1, "oedema": 2, "enhancing tumour": 3}


def few_cases(dataset: Path, folder: Path, n_cases: int = 6) -> Path:
    """Return a dataset of the first cases of another."""
    names = [p.name.removesuffix("_0000.nii.gz") for p in sorted((dataset / "imagesTr").glob("*_0000.nii.gz"))]
    for kind, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        (folder / kind).mkdir(parents=True)
        for name in names[:n_cases]:
            (folder / kind / f"{name}{ending}").symlink_to((dataset / kind / f"{name}{ending}").resolve())
    (folder / "dataset.json").write_bytes((dataset / "dataset.json").read_bytes())
    return folder


def glioma_dataset(case: Path, folder: Path) -> Path:
    """Return a dataset that has one glioma twice, to train on and to validate on; label 4 of its truth becomes 3."""
    truth = read_labels(case / "labels_fused.nii.gz")
    labels = replace(truth, data=np.where(truth.data == 4, 3, truth.data).astype(np.uint8))
    (folder / "imagesTr").mkdir(parents=True)
    for name in ("one", "two"):
        for number, sequence in enumerate(SEQUENCES):
            (folder / "imagesTr" / f"{name}_{number:04d}.nii.gz").symlink_to((case / f"{sequence}.nii.gz").resolve())
        write(labels, folder / "labelsTr" / f"{name}.nii.gz")
    record = {
        "channel_names": {str(n): sequence for n, sequence in enumerate(("flair", "t1ce", "t1", "t2"))},
        "labels": TUMOUR,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(record))
    (folder / "splits_final.json").write_text(json.dumps([{"train": ["one"], "val": ["two"]}]))
    return folder
