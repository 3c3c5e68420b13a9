"""The window and the command line make the same bundle of the same request."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from cases import ball_dataset, small_plan
from made import bundle_folder
from made_layers import ImmediateRunner, Recorded
from voxtrace.bundle import load
from voxtrace.cli import main
from voxtrace.methods.recyclenet import RecycleNet
from voxtrace.methods.unet import UNet
from voxtrace.plan import Plan
from voxtrace.plugin.controllers.train import TrainController
from voxtrace.plugin.models.bundles import BundleRegistry, describe
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.models.train_form import TrainForm
from voxtrace.plugin.work import jobs
from voxtrace.training import setup
from voxtrace.training.coverage import as_asked


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = ball_dataset(tmp_path / "balls")
    record = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**record, "licence": "CC-BY-4.0"}))
    return folder


def small(dataset: Any, found: Any, **about: Any) -> Plan:
    return small_plan()


def trained_in_the_window(dataset: Path, out: Path, bundles: list[Path], options: dict[str, Any]) -> Path:
    """Train with what the form of the Train panel asks for: its bundle, or else U-Net from scratch."""
    methods = MethodRegistry({"unet": UNet, "recyclenet": RecycleNet})
    controller = TrainController(BundleRegistry(bundles), Recorded(), ImmediateRunner(), methods)
    wanted = [start for start in controller.starts if (start.bundle or start.method) in (*bundles, "unet")]
    controller.pick_start(controller.starts.index(wanted[0]))
    controller.edit(TrainForm(str(dataset), fold=1, iterations=3, out=str(out), options=options))
    for event in jobs.train(controller.request, lambda: False):
        last = event
    assert getattr(last, "text", "").startswith("wrote")
    return out


def trained_by_the_command_line(*words: object) -> None:
    with pytest.raises(SystemExit) as left:
        main([os.fspath(w) if isinstance(w, Path) else str(w) for w in words])
    assert left.value.code in (0, None)


def test_fine_tuning_begins_with_what_training_was_asked_for() -> None:
    """As `voxtrace train --from` does, and not with what was chosen on held-back cases since."""
    known = describe("acdc-recyclenet")
    assert (known.options["cycles"], known.options_as_asked["cycles"]) == (2, 7)
    assert known.options_as_asked == as_asked(load("acdc-recyclenet")).to_json()["options"]


@pytest.mark.parametrize("start", ["scratch", "bundle"])
def test_both_write_the_same_card(tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    monkeypatch.setattr(setup, "plan_dataset", small)
    bundles = [bundle_folder(tmp_path / "tiny")] if start == "bundle" else []
    options = {"cycles": 2} if bundles else {}
    words = ["--from", bundles[0], "--cycles", 2] if bundles else ["--method", "unet"]
    one, other = tmp_path / "window" / "balls", tmp_path / "line" / "balls"
    trained_in_the_window(dataset, one, bundles, options)
    trained_by_the_command_line("train", dataset, *words, "--fold", 1, "--iterations", 3, "--out", other)
    seen, written = load(one), load(other)
    cards = [json.loads(json.dumps(dict(made.card))) for made in (seen, written)]
    for card in cards:
        for timed in (card["provenance"], card["provenance"]["prediction"]):
            assert timed.pop("seconds") > 0  # the only difference
    assert cards[0] == cards[1]
    assert (seen.method, seen.plan) == (written.method, written.plan)
    assert seen.network.state_dict().keys() == written.network.state_dict().keys()
    assert all(torch.equal(v, written.network.state_dict()[k]) for k, v in seen.network.state_dict().items())
    assert seen.card["licence"] == "CC-BY-4.0 (the training data's)"
    provenance = seen.card["provenance"]
    assert (provenance["dataset"], provenance["fold"], provenance["dataset_licence"]) == ("Balls", 1, "CC-BY-4.0")
    assert provenance.get("initial", {}).get("name") == ("tiny" if bundles else None)
