"""Fine-tune a shipped bundle in one of four situations, and print the Dice of unseen cases before and after as JSON.

    python scripts/fine_tune.py SITUATION DATASET OUT [--updates 160] [--batch 2] [--new 8] [--cases 20] [--seed 0]

third-label   hippocampus-unet and a third label, a ball of 5 mm radius behind the tail, drawn in a few cases
recyclenet    hippocampus-unet as RecycleNet, with the same cases
mr            abdomen-phantom-cdlunet, of made-up CT, and real MR of the heart (DATASET is ACDC): every label is new
channels      tumour-phantom-meddanet with flair and T1ce exchanged (made-up scans; DATASET is not read)

DATASET is a folder in nnU-Net's raw layout. New cases and those to compare on are drawn from its fold 0, which the
hippocampus bundles never saw. The difference is that of the mean over the labels that the bundle knows, case by case,
with its 95 % interval (bootstrap over cases). Cases are segmented without mirroring.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import voxtrace
from voxtrace.bundle import Bundle
from voxtrace.metrics import dice
from voxtrace.phantoms import brain_tumour_mr
from voxtrace.training import TrainRequest, open_dataset, set_up
from voxtrace.training.dataset import fold
from voxtrace.volume import Case, LabelMap

Array = npt.NDArray[Any]
START = {
    "third-label": "hippocampus-unet",
    "recyclenet": "hippocampus-unet",
    "mr": "abdomen-phantom-cdlunet",
    "channels": "tumour-phantom-meddanet",
}


def with_ball(case: Case) -> Case:
    """Return a case with label 3: a ball of 5 voxels radius behind the posterior end, where it was background."""
    labels = np.array(case.labels.data)
    front, back = np.argwhere(labels == 1).mean(0), np.argwhere(labels == 2)
    along = back.mean(0) - front
    along /= np.linalg.norm(along)
    end = back[back @ along >= np.quantile(back @ along, 0.9)].mean(0)
    away = np.moveaxis(np.indices(labels.shape), 0, -1) - (end + 4 * along)
    labels[((away**2).sum(-1) <= 25) & (labels == 0)] = 3
    return replace(case, labels=replace(case.labels, data=labels))


def exchanged(case: Case) -> Case:
    """Return a case with its first two channels exchanged."""
    volume = replace(case.volume, data=case.volume.data[[1, 0, 2, 3]], channels=())
    return replace(case, volume=volume)


def write_cases(folder: Path, cases: list[Case], channels: tuple[str, ...], labels: dict[int, str]) -> Path:
    """Write cases in nnU-Net's raw layout."""
    for case in cases:
        for number in range(len(channels)):
            one = replace(case.volume, data=case.volume.data[number : number + 1], channels=())
            voxtrace.write(one, folder / "imagesTr" / f"{case.name}_{number:04d}.nii.gz")
        voxtrace.write(case.labels, folder / "labelsTr" / f"{case.name}.nii.gz")
    record = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": {name: value for value, name in labels.items()},
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(record))
    return folder


def situation(given: argparse.Namespace, bundle: Bundle) -> tuple[Path, list[Case]]:
    """Return the folder of new cases, and the cases to compare on."""
    folder = given.out / "dataset"
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    labels, change = dict(bundle.plan.labels), _same
    if given.situation == "channels":
        channels = tuple(bundle.plan.channels[k] for k in (1, 0, 2, 3))
        made = [exchanged(brain_tumour_mr(900 + n)) for n in range(given.new + given.cases)]
        return write_cases(folder, made[: given.new], channels, labels), made[given.new :]
    dataset = open_dataset(given.dataset)
    learned, held = fold(dataset, 0)
    order = np.random.default_rng(given.seed).permutation(len(held))
    new = [held[int(k)] for k in order[: given.new]]
    compared = [held[int(k)] for k in order[given.new : given.new + given.cases]]
    if given.situation == "mr":
        labels, new = dict(dataset.labels), [learned[k] for k in range(given.new)]
    elif given.situation == "third-label":
        labels, change = labels | {3: "ball"}, with_ball
    channels = dataset.channels
    return write_cases(folder, [change(case) for case in new], channels, labels), [change(case) for case in compared]


def _same(case: Case) -> Case:
    return case


def dice_of(bundle: Bundle, cases: list[Case], values: dict[int, int], order: Callable[[Case], Case] = _same) -> Array:
    """Return Dice (cases, labels) of label values of the cases, given as values of the bundle."""
    rows = []
    for case in cases:
        labels: LabelMap = voxtrace.predict(bundle, order(case).volume, mirror=False, device="cpu").labels
        renamed = np.zeros_like(labels.data)
        for value, theirs in values.items():
            renamed[labels.data == theirs] = value
        found = replace(labels, data=renamed)
        rows.append([dice(found, case.labels, value) for value in values])
    return np.array(rows)


def compared(before: Array, after: Array) -> dict[str, Any]:
    """Return the mean difference over cases, and its 95 % interval."""
    each = (after - before).mean(1)
    drawn = np.random.default_rng(0).integers(0, len(each), (2000, len(each)))
    low, high = np.quantile(each[drawn].mean(1), (0.025, 0.975))
    return {"cases": len(each), "difference": round(each.mean(), 4), "ci95": [round(low, 4), round(high, 4)]}


def main() -> None:
    """Fine-tune, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("situation", choices=START)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    for name, value in {"updates": 160, "batch": 2, "new": 8, "cases": 20, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    start = voxtrace.load(START[given.situation])
    folder, cases = situation(given, start)
    request = TrainRequest(
        folder,
        initial=START[given.situation],
        method="recyclenet" if given.situation == "recyclenet" else None,
        iterations=given.updates,
        batch_size=given.batch,
        seed=given.seed,
        out=given.out / "bundle",
    )
    made = _result(_result(set_up(request, lambda: False)).train(lambda: False))
    print(json.dumps(measured(given.situation, start, made, cases)))


def measured(name: str, start: Bundle, made: Bundle, cases: list[Case]) -> dict[str, Any]:
    """Return Dice by label before and after, and what the labels that the bundle knows lost."""
    known = {} if name == "mr" else {value: value for value in start.plan.labels if value}
    every = {value: value for value in made.plan.labels if value}
    after = dice_of(made, cases, every)
    found: dict[str, Any] = {"told": made.card["provenance"]["initial"]["told"]}
    found["after"] = {made.plan.labels[v]: round(float(after[:, k].mean()), 4) for k, v in enumerate(every)}
    if known:
        before = dice_of(start, cases, known, exchanged if name == "channels" else _same)
        found["before"] = {start.plan.labels[v]: round(float(before[:, k].mean()), 4) for k, v in enumerate(known)}
        found |= compared(before, after[:, : len(known)])
    return found


def _result(task: Any) -> Any:
    while True:
        try:
            event = next(task)
        except StopIteration as end:
            return end.value
        if event.message:
            print(f"# {event.message}", flush=True)


if __name__ == "__main__":
    main()
