"""Fine-tuning in the window across modalities, and with channels in another order: what follows the new data."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chance import drawn
from made_layers import ImmediateRunner, Recorded
from voxtrace import io
from voxtrace.bundle import Bundle, card, find, load, save
from voxtrace.methods.cdlunet import CDLUNet
from voxtrace.methods.unet import UNet
from voxtrace.phantoms import brain_tumour_mr
from voxtrace.phantoms.brain import CHANNELS, NAMES
from voxtrace.plan import Plan
from voxtrace.plugin.controllers.train import TrainController
from voxtrace.plugin.controllers.train_follower import MOST_LETTERS, TrainFollower
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.messages import JobStage, TrainReport
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.models.train_form import TrainForm
from voxtrace.plugin.work import jobs
from voxtrace.training import TrainProgress

EXCHANGED = ("t1ce", "flair", "t2", "t1")


def brains(folder: Path, channels: tuple[str, ...], n: int = 3) -> Path:
    """Write small made-up brains with these of their channels; the last one is held back."""
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    names = [f"brain_{k}" for k in range(n)]
    for k, name in enumerate(names):
        case = brain_tumour_mr(40 + k, shape=(24, 32, 32), spacing_mm=(4.0, 5.0, 5.0))
        for place, channel in enumerate(channels):
            one = case.volume.data[[CHANNELS.index(channel)]]
            image = replace(case.volume, data=one, channels=(), modality="")
            io.write(image, folder / "imagesTr" / f"{name}_{place:04d}.nii.gz")
        io.write(case.labels, folder / "labelsTr" / f"{name}.nii.gz")
    labels = {"background": 0, **{name: value for value, name in NAMES.items()}}
    listed = {str(place): channel for place, channel in enumerate(channels)}
    record = {"channel_names": listed, "labels": labels, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(record))
    (folder / "splits_final.json").write_text(json.dumps([{"train": names[:-1], "val": names[-1:]}]))
    return folder


def trained_in_the_window(bundle: Path, dataset: Path, out: Path, iterations: int) -> Recorded:
    """Choose the bundle, fill in the form, press Start; return what the panel was shown."""
    view = Recorded()
    methods = MethodRegistry({"unet": UNet, "cdlunet": CDLUNet})
    controller = TrainController(BundleRegistry([bundle]), view, ImmediateRunner(), methods)
    controller.pick_start(next(n for n, s in enumerate(controller.starts) if s.bundle == bundle and not s.before))
    controller.edit(TrainForm(str(dataset), fold=0, iterations=iterations, batch_size=1, out=str(out)))
    controller.start()
    assert view.state.level == "done", view.state.message
    return view


def shown(view: Recorded) -> list[str]:
    """What the panel said, one after another."""
    return [str(values[0].message) for name, values in view.calls if name == "show_state"]


def losses(view: Recorded) -> list[float]:
    reports: list[TrainReport] = [values[0] for name, values in view.calls if name == "add_report"]
    return [sum(report.losses.values()) for report in reports if report.losses]


def some_of(source: Path, folder: Path, order: tuple[int, ...]) -> Path:
    """Copy four cases of a dataset, the last one held back, with its channels in an order."""
    record = json.loads((source / "dataset.json").read_text())
    end, channels = record["file_ending"], list(record["channel_names"].values())
    split = json.loads((source / "splits_final.json").read_text())[0]
    names = [*split["train"][:3], split["val"][0]]
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    for name in names:
        shutil.copy(source / "labelsTr" / f"{name}{end}", folder / "labelsTr")
        for now, before in enumerate(order):
            image = source / "imagesTr" / f"{name}_{before:04d}{end}"
            shutil.copy(image, folder / "imagesTr" / f"{name}_{now:04d}{end}")
    record["channel_names"] = {str(now): channels[before] for now, before in enumerate(order)}
    (folder / "dataset.json").write_text(json.dumps(record))
    (folder / "splits_final.json").write_text(json.dumps([{"train": names[:3], "val": names[3:]}]))
    return folder


def untrained(folder: Path, channels: tuple[str, ...], labels: dict[int, str], mm: float) -> Path:
    """A U-Net as initialised: whatever it answers, exchanged channels must not change it."""
    plan = Plan.example(channels=len(channels), labels=len(labels), window=(16, 16, 16), base_width=4)
    changes: dict[str, Any] = {"channels": channels, "labels": labels, "modality": "MR", "augmentation": 0.0}
    plan = Plan.model_validate(plan.model_dump() | changes | {"spacing_mm": (mm,) * 3})

    @drawn()
    def made() -> Bundle:
        return Bundle(UNet(), plan, UNet().build(plan).eval(), {"name": folder.name})

    return save(made(), folder)


def check_modality(dataset: Path, channel: str, out: Path) -> None:
    view = trained_in_the_window(find("abdomen-phantom-cdlunet"), dataset, out, 2)
    verdict, sentence = view.last("set_start_note")
    assert verdict == "does not fit"
    assert "the model is for CT" in sentence
    plan = load(out).plan
    assert (plan.modality, plan.channels) == ("MR", (channel,))
    assert plan.normalisation[0].scheme.startswith("zscore")
    told = f"{channel[:1].upper()}{channel[1:]} is normalised as the new data ask (zscore"
    said_while_training = [text for text in shown(view) if "Iteration 2 of 2" in text]
    assert said_while_training
    assert all(f"\n{told}" in text for text in said_while_training)
    assert any(line.startswith(told) for line in view.last("show_receipt")[0].lines)
    assert card(out)["provenance"]["initial"]["channels"] == {channel: "CT"}


def check_exchanged(bundle: Path, same: Path, exchanged: Path, told: str) -> None:
    """Train on the same cases in both orders of their channels, and compare."""
    outs = [folder.parent / f"{folder.name}_tuned" for folder in (same, exchanged)]
    views = [trained_in_the_window(bundle, data, out, 2) for data, out in zip((same, exchanged), outs, strict=True)]
    notes = [view.last("set_start_note") for view in views]
    assert notes[0] == notes[1]
    assert notes[0][0] != "does not fit"
    gains = [card(out)["metrics"]["fine_tuning"] for out in outs]
    before = [[was for was, _ in gain["labels"].values()] for gain in gains]
    assert max(before[0]) > 0
    np.testing.assert_allclose(before[1], before[0], atol=2e-3)
    assert losses(views[1])[0] == pytest.approx(losses(views[0])[0], rel=5e-3)
    assert any("Iteration 2 of 2" in text and text.endswith(f"\n{told}") for text in shown(views[1]))
    assert not any("Channels continue" in text for text in shown(views[0]))
    assert told in views[1].last("show_receipt")[0].lines
    names = [load(out).plan.channels for out in outs]
    assert sorted(names[0]) == sorted(names[1])
    assert names[0] != names[1]


def test_a_bundle_of_ct_takes_the_normalisation_of_mr(tmp_path: Path) -> None:
    check_modality(brains(tmp_path / "mr", ("t1",)), "t1", tmp_path / "brain")


def test_exchanged_channels_go_on_with_their_own_weights(tmp_path: Path) -> None:
    bundle = untrained(tmp_path / "brains", CHANNELS, {0: "background", **NAMES}, 5.0)
    same, exchanged = brains(tmp_path / "same", CHANNELS), brains(tmp_path / "exchanged", EXCHANGED)
    told = "Channels continue the bundle's: t1ce its t1ce, flair its flair, t2 its t2, t1 its t1."
    check_exchanged(bundle, same, exchanged, told)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_bundle_of_ct_takes_the_normalisation_of_real_mr(real_data: Path, tmp_path: Path) -> None:
    acdc = some_of(real_data / "Dataset027_ACDC", tmp_path / "acdc", (0,))
    check_modality(acdc, "cineMRI", tmp_path / "heart")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_exchanged_channels_of_real_mr_go_on_with_their_own_weights(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "Dataset110_LGG"
    same, exchanged = (some_of(source, tmp_path / str(order[0]), order) for order in ((0, 1, 2), (2, 0, 1)))
    labels = {0: "background", 1: "FLAIR_abnormality"}
    bundle = untrained(tmp_path / "glioma", ("T1", "FLAIR", "T1ce"), labels, 6.0)
    told = "Channels continue the bundle's: T1ce its T1ce, T1 its T1, FLAIR its FLAIR."
    check_exchanged(bundle, same, exchanged, told)


def test_what_is_told_stays_said_once_and_in_short() -> None:
    follower = TrainFollower(Recorded(), lambda preview: None)
    for _ in range(2):  # as in each fold
        for text in ("initialised anew: third", "labels forgotten: " + ", ".join(["a long name"] * 40)):
            follower.follow(JobStage(text, note=True), False)
    lines = follower.follow(TrainReport(3, 9, {"dice": 1.0}), False).message.splitlines()
    assert lines[0].startswith("Iteration 3 of 9")
    assert lines[1] == "Initialised anew: third."
    assert lines[2].endswith(" …")
    assert (len(lines), len(lines[2]) <= MOST_LETTERS) == (3, True)
    follower.begin()
    assert len(follower.follow(TrainReport(3, 9, {"dice": 1.0}), False).message.splitlines()) == 1


def test_what_is_told_is_exempt_from_thinning() -> None:
    told = [TrainProgress("prepare", 0, 3, message="t1 is normalised as the new data ask"), TrainProgress("plan", 1, 3)]
    assert [jobs.train_stage(one).keep for one in told] == [True, False]
