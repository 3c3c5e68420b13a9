"""A folder of folds stands in the window's list of models as one, and is segmented with as on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import made
from voxtrace.bundle import load, save
from voxtrace.errors import BundleError
from voxtrace.inference import predict
from voxtrace.inference.fold_folder import load_members
from voxtrace.plugin.layers.display import ImageSource
from voxtrace.plugin.models.bundles import BundleRegistry, describe
from voxtrace.plugin.models.messages import SegmentRequest
from voxtrace.plugin.work import jobs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (0, 1):
        made.bundle_folder(tmp_path / "ours" / f"fold_{number}")
    other = load(tmp_path / "ours" / "fold_1")
    with torch.no_grad():
        for weights in other.network.parameters():
            weights.mul_(-1.5)
    save(other, tmp_path / "ours" / "fold_1")
    return tmp_path / "ours"


def test_it_is_one_model_in_the_list_and_remembered(folder: Path) -> None:
    remembered: list[Path] = []
    registry = BundleRegistry([], remember=remembered.append)
    known = registry.add(folder)
    assert (known.name, known.folds, known.path) == ("ours (2 folds)", 2, folder)
    assert describe(folder / "fold_0").folds == 0
    again = BundleRegistry([], remembered)
    assert [one.name for one in again.bundles] == ["ours (2 folds)"]
    assert not again.missing


def test_an_unfinished_fold_is_refused(folder: Path) -> None:
    (folder / "fold_2.work").mkdir()
    with pytest.raises(BundleError, match="fold_2 of its folds are not finished"):
        BundleRegistry([]).add(folder)


def test_the_members_are_averaged(folder: Path) -> None:
    scan = made.volume(seed=5)
    run = jobs.segment(SegmentRequest(folder, (ImageSource(scan),), "scan", "result"), lambda: False)
    while True:
        try:
            next(run)
        except StopIteration as end:
            steps = end.value.steps
            break
    both, first = (predict(models, scan).labels.data for models in (load_members((folder,)), load(folder / "fold_0")))
    assert np.array_equal(np.asarray(steps[0][-1])[::-1], both)  # a layer has the head first
    assert not np.array_equal(both, first)
