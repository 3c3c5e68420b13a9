"""Compare a CT model's answer with the labels of two CTs that no training saw, organ by organ, by name.

    python scripts/organs.py DATA BUNDLE [BUNDLE ...]

DATA holds `ct_abdomen`: a CT of the upper abdomen at 3 mm, and a DICOM series of 20 slices; their labels are another
program's answers (TotalSegmentator), not drawn by hand. An organ that the scan does not show is left out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from voxtrace.bundle import load
from voxtrace.inference import predict
from voxtrace.io import read, read_labels
from voxtrace.metrics import dice
from voxtrace.volume import LabelMap

SCANS = {
    "upper abdomen": ("upper_abdomen_3mm_ct.nii.gz", "upper_abdomen_3mm_labels"),
    "DICOM slab": ("dicom", "dicom_labels"),
}
OTHER_NAMES = {"esophagus": "oesophagus"}


def organs(folder: Path, bundle: Path) -> dict[str, dict[str, float]]:
    """Return Dice by scan and organ."""
    model, found = load(bundle), {}
    for title, (scan, labels) in SCANS.items():
        answer = predict(model, read(folder / scan), keep="labels").labels
        names = json.loads((folder / f"{labels}.json").read_text(encoding="utf-8"))
        values = {name: int(value) for value, name in names.items()}
        true = read_labels(folder / f"{labels}.nii.gz").data
        found[title] = {}
        for value, name in model.plan.labels.items():
            theirs = values.get(name, values.get(OTHER_NAMES.get(name, name)))
            if value and theirs is not None and (true == theirs).any():
                made = LabelMap((answer.data == value).astype(np.uint8), answer.geometry, {1: name})
                drawn = LabelMap((true == theirs).astype(np.uint8), answer.geometry, {1: name})
                found[title][name] = float(dice(made, drawn, 1))
    return found


def main() -> None:
    """Print a line for each scan of each bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("bundles", type=Path, nargs="+")
    given = parser.parse_args()
    for bundle in given.bundles:
        for title, row in organs(given.data / "ct_abdomen", bundle).items():
            print(f"{bundle.name}, {title}: " + ", ".join(f"{name} {value:.3f}" for name, value in row.items()))


if __name__ == "__main__":
    main()
