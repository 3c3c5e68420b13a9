"""What is trained on to compare trainers: a few cases in nnU-Net's raw layout, and one plan in both programs' words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtrace.bench.inputs import hippocampi
from voxtrace.bench.nnunet_folder import CONFIGURATION, plans
from voxtrace.bench.settings import BenchSettings
from voxtrace.io import write
from voxtrace.phantoms import abdomen_ct
from voxtrace.plan import Plan, Shape, Topology
from voxtrace.training import fingerprint, open_dataset, plan_dataset
from voxtrace.training.dataset_plan import DatasetPlan

NAME = "Dataset000_Bench"
CASES = 8
NORMALISATIONS = {"ct": "CTNormalization"}  # of nnU-Net; all others are z-scores


@dataclass(frozen=True)
class TrainingPlan:
    """What nnU-Net plans for the hippocampus: window (Z, Y, X), widths of the stages, windows in an update."""

    window: Shape = (40, 56, 40)
    widths: tuple[int, ...] = (32, 64, 128, 256)
    batch: int = 7


QUICK = TrainingPlan((16, 16, 16), (4, 8), 2)


@dataclass(frozen=True)
class TrainingInputs:
    """A dataset and its plan: ``folder`` is nnU-Net's, with plans.json; the dataset lies in it; ``plan`` is ours."""

    folder: Path

    @property
    def dataset(self) -> Path:
        """The dataset in nnU-Net's raw layout."""
        return self.folder / "raw" / NAME

    @property
    def plan(self) -> Path:
        """The plan for ``voxtrace train --plan``."""
        return self.folder / "voxtrace-plan.json"


def make_inputs(settings: BenchSettings, wanted: TrainingPlan) -> TrainingInputs:
    """Write dataset and plans under the bench's folder, anew."""
    inputs = TrainingInputs(settings.inputs / "training")
    shutil.rmtree(inputs.folder, ignore_errors=True)
    for part in ("imagesTr", "labelsTr"):
        (inputs.dataset / part).mkdir(parents=True)
    if not _write_real(settings, inputs.dataset):
        _write_phantoms(settings, inputs.dataset)
    dataset = open_dataset(inputs.dataset)
    found = fingerprint(dataset.cases([files.name for files in dataset.files]))
    plan = _planned(plan_dataset(dataset, found, window=wanted.window, batch_size=wanted.batch), wanted)
    DatasetPlan.of(dataset, "cpu", found, plan).write(inputs.plan)
    (inputs.folder / "plans.json").write_text(json.dumps(_in_their_words(plan)), encoding="utf-8")
    return inputs


def _planned(plan: Plan, wanted: TrainingPlan) -> Plan:
    """Return the plan with the wanted network and nnU-Net's whole augmentation."""
    n = len(wanted.widths)
    topology = Topology(widths=wanted.widths, kernels=((3, 3, 3),) * n, strides=((1, 1, 1), *((2, 2, 2),) * (n - 1)))
    changes = {"topology": topology, "mirror_axes": (0, 1, 2), "augmentation": 1.0, "batch_dice": False}
    return plan.model_copy(update=changes)


def _in_their_words(plan: Plan) -> dict[str, Any]:
    theirs = plans(plan)
    theirs["configurations"][CONFIGURATION] |= {
        "batch_size": plan.batch_size,
        "batch_dice": plan.batch_dice,
        "normalization_schemes": [NORMALISATIONS.get(r.scheme, "ZScoreNormalization") for r in plan.normalisation],
    }
    return theirs


def _write_real(settings: BenchSettings, dataset: Path) -> bool:
    """Copy a few cases of the real hippocampus dataset; return whether it is there."""
    scans = hippocampi(settings.real_data, CASES, "train") if settings.real_data and not settings.quick else []
    for scan in scans:
        assert scan.truth is not None
        shutil.copyfile(scan.channels[0], dataset / "imagesTr" / scan.channels[0].name)
        shutil.copyfile(scan.truth, dataset / "labelsTr" / scan.truth.name)
    if scans:
        _list(dataset, "MRI", ("anterior", "posterior"), len(scans))
    return bool(scans)


def _write_phantoms(settings: BenchSettings, dataset: Path) -> None:
    for number in range(CASES):
        case = abdomen_ct(settings.seed + number, (40, 56, 40), (6.0, 6.0, 6.0))
        write(case.volume, dataset / "imagesTr" / f"made_{number:03d}_0000.nii.gz")
        write(case.labels, dataset / "labelsTr" / f"made_{number:03d}.nii.gz")
    _list(dataset, "CT", [case.labels.names[value] for value in sorted(case.labels.names) if value], CASES)


def _list(dataset: Path, channel: str, labels: Sequence[str], cases: int) -> None:
    values = {"background": 0, **{name: value for value, name in enumerate(labels, start=1)}}
    listing = {"channel_names": {"0": channel}, "labels": values, "numTraining": cases, "file_ending": ".nii.gz"}
    (dataset / "dataset.json").write_text(json.dumps(listing), encoding="utf-8")
