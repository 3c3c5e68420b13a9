"""Compare a CT model's answer with the labels of two CTs that no training saw, organ by organ, by name.

    python scripts/organs.py DATA BUNDLE [BUNDLE ...] [--card]
    python scripts/organs.py DATA --learned DATASET --out Dataset202_CTAgreeing

With --card, every measure of the two goes into the card of each bundle, as external cases, with pictures; weights and
options stay, and nothing is chosen on them. The second writes the dataset for other programs: the scans of DATASET with
their labelsChosen to train on, and the two CTs, with what their labels have of the same organs, held back as its only
fold. DATA holds `ct_abdomen`: a CT of the upper abdomen at 3 mm, and a DICOM series of 20 slices; their labels are
another program's answers (TotalSegmentator), not drawn by hand. An organ that the scan does not show is left out.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from voxtrace.bundle import Bundle, annotate, find, load
from voxtrace.fit import PredictionCost, facts_of
from voxtrace.fit.card_measures import EXTERNAL
from voxtrace.inference import predict
from voxtrace.io import read, read_labels, write
from voxtrace.metrics import dice, evaluate_label, volume_ml
from voxtrace.training.failures import failures, picture
from voxtrace.training.held_back import TOLERANCE_MM, ValidatedCase
from voxtrace.training.identity import identify
from voxtrace.training.validation import Validation
from voxtrace.volume import Case, LabelMap

SCANS = {
    "upper abdomen": ("upper_abdomen_3mm_ct.nii.gz", "upper_abdomen_3mm_labels"),
    "DICOM slab": ("dicom", "dicom_labels"),
}
REFERENCE = "labels by another network (TotalSegmentator), not drawn by hand"
OTHER_NAMES = {"esophagus": "oesophagus"}


def theirs(folder: Path, labels: str, names: Mapping[int, str]) -> LabelMap:
    """Return the labels of a CT under the values that ``names`` has for the same organs."""
    values = {name: int(value) for value, name in json.loads((folder / f"{labels}.json").read_text("utf-8")).items()}
    found = read_labels(folder / f"{labels}.nii.gz")
    data = np.zeros_like(found.data, np.uint8)
    for value, name in names.items():
        if value:
            data[found.data == values.get(name, values.get(OTHER_NAMES.get(name, name), -1))] = value
    return LabelMap(data, found.geometry, {value: name for value, name in names.items() if value})


def write_dataset(folder: Path, learned: Path, out: Path) -> None:
    """Write the dataset that is trained on the scans of ``learned`` and tested on the two CTs."""
    record = json.loads((learned / "dataset.json").read_text(encoding="utf-8"))
    names = {value: name for name, value in record["labels"].items()}
    (out / "imagesTr").mkdir(parents=True)
    shutil.copytree(learned / "labelsChosen", out / "labelsTr")
    for image in (learned / "imagesTr").iterdir():
        shutil.copyfile(image, out / "imagesTr" / image.name)
    train = sorted(file.name.removesuffix(".nii.gz") for file in (out / "labelsTr").iterdir())
    held_back = {title.replace(" ", "_"): files for title, files in SCANS.items()}
    for name, (scan, labels) in held_back.items():
        for made, file in (
            (read(folder / scan), out / "imagesTr" / f"{name}_0000.nii.gz"),
            (theirs(folder, labels, names), out / "labelsTr" / f"{name}.nii.gz"),
        ):  # all one way round: nnU-Net does not look which way that is
            write(replace(made, geometry=replace(made.geometry, stored=None)), file)
    record["numTraining"] = len(train) + len(held_back)
    (out / "dataset.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    (out / "splits_final.json").write_text(json.dumps([{"train": train, "val": [*held_back]}]), encoding="utf-8")


def compared(model: Bundle, case: Case) -> tuple[ValidatedCase, bytes]:
    """Return the measures of the organs that the reference of a case has, and a picture of its worst slice."""
    result = predict(model, case.volume, keep="labels")
    names = {value: name for value, name in model.plan.labels.items() if value}
    there = [value for value in names if (case.labels.data == value).any()]
    scores = {value: evaluate_label(result.labels, case.labels, value, TOLERANCE_MM) for value in there}
    cost = PredictionCost.of(model.record, facts_of(case.volume), {"steps": model.method.steps})
    found = ValidatedCase(
        name=case.name,
        dice=np.asarray([[scores[value].dice if value in scores else np.nan for value in names]]),
        predicted_ml={value: volume_ml(result.labels, value) for value in names},
        reference_ml={value: volume_ml(case.labels, value) for value in names},
        features={},
        scores=scores,
        seconds=result.seconds,
        gigabytes=cost.gigabytes,
        device=str(result.facts["device"]),
    )
    return found, picture(model, case, np.asarray(result.labels.data))


def write_card(folder: Path, bundle: Path) -> None:
    """Write what the two CTs tell into the card of a bundle."""
    model, rows, drawn, cases = load(bundle), [], {}, []
    for title, (scan, labels) in SCANS.items():
        true = theirs(folder, labels, model.plan.labels)
        case = Case(title.replace(" ", "_"), read(folder / scan), true)
        row, drawn[case.name] = compared(model, case)
        rows.append(row)
        cases.append(identify(case).to_json())
    told = Validation(tuple(rows), {value: name for value, name in model.plan.labels.items() if value})
    worst = failures(rows)
    named = [{**one, "picture": f"external_{rank}.png"} for rank, one in enumerate(worst, start=1)]
    outside = {
        "reference": REFERENCE,
        "cases": cases,
        "validation": told.to_json(),
        "failures": named,
        "prediction": told.prediction(),
    }
    kept = {file.name: file.read_bytes() for file in find(bundle).glob("failure_*.png")}
    annotate(bundle, {EXTERNAL: outside}, {**kept, **{one["picture"]: drawn[one["case"]] for one in named}})


def organs(folder: Path, bundle: Path) -> dict[str, dict[str, float]]:
    """Return Dice by scan and organ."""
    model = load(bundle)
    found: dict[str, dict[str, float]] = {}
    for title, (scan, labels) in SCANS.items():
        answer = predict(model, read(folder / scan), keep="labels").labels
        true = theirs(folder, labels, model.plan.labels)
        found[title] = {}
        for value, name in model.plan.labels.items():
            if value and (true.data == value).any():
                found[title][name] = float(dice(answer, true, value))
    return found


def main() -> None:
    """Print a line for each scan of each bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("bundles", type=Path, nargs="*")
    parser.add_argument("--card", action="store_true", help="write every measure into the bundles' cards")
    parser.add_argument("--learned", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if (given.learned is None) != (given.out is None) or not (given.bundles or given.learned):
        parser.error("give bundles, or --learned with --out")
    if given.out and given.out.exists():
        parser.error(f"{given.out} is there already")
    if given.learned:
        write_dataset(given.data / "ct_abdomen", given.learned, given.out)
    for bundle in given.bundles:
        if given.card:
            write_card(given.data / "ct_abdomen", bundle)
        for title, row in organs(given.data / "ct_abdomen", bundle).items():
            print(f"{bundle.name}, {title}: " + ", ".join(f"{name} {value:.3f}" for name, value in row.items()))


if __name__ == "__main__":
    main()
