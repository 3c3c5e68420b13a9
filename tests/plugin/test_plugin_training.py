"""Fine-tuning from the window, with the trainer itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from made import bundle_folder, labels, scan
from made_layers import ImmediateRunner, Recorded
from made_methods import Schooled
from voxtrace.bundle import load
from voxtrace.errors import Cancelled
from voxtrace.methods import METHODS
from voxtrace.plan import Plan
from voxtrace.plugin.controllers.train import TrainController
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.models.train_form import NO_DATASET, TrainForm
from voxtrace.plugin.models.train_receipt import receipt
from voxtrace.plugin.npe2.train import TrainWidget
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.work import jobs
from voxtrace.plugin.work.dataset_fit import dataset_fit
from voxtrace.training import TrainRequest, device, setup


def made_dataset(folder: Path, n_cases: int = 3) -> Path:
    """Write a dataset in nnU-Net's raw layout; the last case is kept for validation."""
    names = [f"case_{n}" for n in range(n_cases)]
    for n, name in enumerate(names):
        scan(folder / "imagesTr" / f"{name}_0000.nii.gz", seed=n)
        labels(folder / "labelsTr" / f"{name}.nii.gz", block=4 + n)
    names_of_labels = {"background": 0, "label 1": 1, "label 2": 2}  # as the bundle of these tests has them
    record = {"channel_names": {"0": "MRI"}, "labels": names_of_labels, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(record))
    (folder / "splits_final.json").write_text(json.dumps([{"train": names[:-1], "val": names[-1:]}]))
    return folder


def pick(train: TrainWidget, start: str) -> None:
    """Choose a start as a user does."""
    index = train.view.start.findText(start)
    assert index >= 0, f"{start} is not offered"
    train.view.start.setCurrentIndex(index)
    train.view.start.activated.emit(index)


def test_a_bundle_fine_tuned_in_the_window_is_in_the_segment_picker(
    make_napari_viewer_proxy: Any, qtbot: Any, bundle: Path, tmp_path: Path
) -> None:
    viewer = make_napari_viewer_proxy()
    viewer_state_of(viewer)._bundle_registry = BundleRegistry([bundle])
    segment, train = (viewer_state_of(viewer).open_dock(name) for name in ("segment", "train"))
    train.view.dataset.setText(str(made_dataset(tmp_path / "dataset")))
    train.view.out.setText(str(tmp_path / "better"))
    train.view.iterations.setValue(4)
    pick(train, "tiny")
    qtbot.waitUntil(train.view.state.start.isEnabled, timeout=60_000)
    train.view.state.start.click()
    qtbot.waitUntil(lambda: not train.runner.busy, timeout=240_000)
    assert train.view.state.message.text() == "Done. better is now in the picker of the Segment panel."
    assert [known.name for known in viewer_state_of(viewer).bundle_registry.bundles] == ["tiny", "better"]
    measured = len(train.view.chart.points["dice"][0])
    assert measured >= 1
    assert train.view.receipt.title.text() == "better is ready"
    assert "Fine-tuned from tiny on 2 cases" in train.view.receipt.lines.text()
    assert "on 1 held-back case." in train.view.receipt.lines.text()
    learned = next(layer for layer in viewer.layers if layer.name == "case_2 · learned")
    assert learned.data.shape[0] == measured
    assert [layer.name for layer in viewer.layers] == ["case_2", "case_2 · learned"]
    train.view.receipt.use.click()
    assert segment.controller._bundle.name == "better"


def test_stop_leaves_a_checkpoint_to_resume_from(
    make_napari_viewer_proxy: Any, qtbot: Any, bundle: Path, tmp_path: Path
) -> None:
    viewer = make_napari_viewer_proxy()
    viewer_state_of(viewer)._bundle_registry = BundleRegistry([bundle])
    train = TrainWidget(viewer)
    viewer.window.add_dock_widget(train, name="train")
    train.view.dataset.setText(str(made_dataset(tmp_path / "dataset")))
    train.view.out.setText(str(tmp_path / "better"))
    train.view.iterations.setValue(10_000)
    pick(train, "tiny")
    qtbot.waitUntil(train.view.state.start.isEnabled, timeout=60_000)
    train.view.state.start.click()
    qtbot.waitUntil(lambda: "Iteration" in train.view.state.message.text(), timeout=240_000)
    train.view.state.stop.click()
    qtbot.waitUntil(lambda: not train.runner.busy, timeout=60_000)
    assert "Press Resume to continue" in train.view.state.message.text()
    assert train.view.state.start.text() == "Resume"
    assert (tmp_path / "better.work" / "checkpoint.pt").is_file()


def test_a_method_is_trained_from_scratch_through_its_phases(
    make_napari_viewer_proxy: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "schooled", Schooled)
    small = Plan.example(labels=3, window=(16, 16, 16), base_width=4)
    monkeypatch.setattr(setup, "plan_dataset", lambda dataset, found, **_: small)
    viewer = make_napari_viewer_proxy()
    viewer_state_of(viewer)._bundle_registry = BundleRegistry([])
    train = TrainWidget(viewer)
    viewer.window.add_dock_widget(train, name="train")
    view = train.view
    qtbot.waitUntil(lambda: view.start.count() > 1, timeout=60_000)
    index = view.start.findText("Schooled, from scratch")
    view.start.setCurrentIndex(index)
    view.start.activated.emit(index)
    view.options.fields["cycles"].widget.setValue(2)
    view.dataset.setText(str(made_dataset(tmp_path / "dataset")))
    view.out.setText(str(tmp_path / "schooled"))
    qtbot.waitUntil(view.state.start.isEnabled, timeout=60_000)
    view.state.start.click()
    qtbot.waitUntil(lambda: not train.runner.busy, timeout=240_000)
    assert view.state.message.text() == "Done. schooled is now in the picker of the Segment panel."
    assert view.chart.points["loss"][0][-1] == 5  # two iterations of the first phase, three of the second
    assert [mark.label.format for mark in view.chart._marks] == ["easy", "hard"]
    assert load(tmp_path / "schooled").method == Schooled(cycles=2)


def test_a_plan_that_the_method_refuses_is_said_in_a_sentence(
    make_napari_viewer_proxy: Any, qtbot: Any, bundle: Path, tmp_path: Path
) -> None:
    viewer = make_napari_viewer_proxy()
    viewer_state_of(viewer)._bundle_registry = BundleRegistry([bundle_folder(tmp_path / "two", channels=2)])
    train = TrainWidget(viewer)
    viewer.window.add_dock_widget(train, name="train")
    train.view.dataset.setText(str(made_dataset(tmp_path / "dataset")))
    train.view.out.setText(str(tmp_path / "better"))
    pick(train, "two")
    qtbot.waitUntil(train.view.state.start.isEnabled, timeout=60_000)
    train.view.state.start.click()
    qtbot.waitUntil(lambda: not train.runner.busy, timeout=60_000)
    assert "has 1 channel(s), two expects 2" in train.view.state.message.text()
    assert train.view.state.message.property("tone") == "error box"
    assert train.view.state.start.isEnabled()


def test_a_training_is_planned_for_the_device_it_will_run_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def plan_dataset(dataset: Any, found: Any, **about: Any) -> Plan:
        asked.update(about)
        raise Cancelled("enough is known.")

    monkeypatch.setattr(setup, "plan_dataset", plan_dataset)
    monkeypatch.setattr(device, "training_device", lambda *asked: ("cuda", 12.0))
    dataset = made_dataset(tmp_path / "dataset")
    request = TrainRequest(dataset, method="unet", fold=0, out=tmp_path / "new", iterations=4)
    with pytest.raises(Cancelled):
        list(jobs.train(request, lambda: False))
    assert asked == {"device": "cuda", "memory_gb": 12.0}


def test_a_dataset_starts_from_a_model_that_fits_it_and_never_from_one_for_made_up_scans(tmp_path: Path) -> None:
    registry = BundleRegistry()
    records = {known.path: known.record for known in registry.bundles}
    found = dataset_fit(str(made_dataset(tmp_path / "dataset")), records)
    demonstrations = [path for path in records if "phantom" in path.name]
    assert demonstrations
    assert {found.fits[path].verdict for path in demonstrations} == {"does not fit"}
    assert found.suggested not in demonstrations


def test_the_default_start_follows_the_dataset_until_a_user_picks_one(
    bundle: Path, view: Recorded, runner: ImmediateRunner, tmp_path: Path
) -> None:
    methods = MethodRegistry({key: METHODS[key] for key in ("unet", "recyclenet")})
    controller = TrainController(BundleRegistry(), view, runner, methods)
    names, chosen = view.last("set_starts")
    assert (names != [], chosen) == (True, -1)
    assert view.state.message == NO_DATASET
    controller.edit(TrainForm(dataset=str(made_dataset(tmp_path / "dataset"))))
    names, chosen = view.last("set_starts")
    assert chosen >= 0
    assert "phantom" not in names[chosen]
    controller.pick_start(0)
    assert view.last("set_start_note")[0] == "does not fit"
    controller.edit(TrainForm(dataset=str(made_dataset(tmp_path / "another"))))
    names, chosen = view.last("set_starts")
    assert chosen == 0


def test_nothing_of_one_dataset_is_said_of_the_next(
    bundle: Path, view: Recorded, runner: ImmediateRunner, tmp_path: Path
) -> None:
    waiting: list[tuple[Any, Any]] = []
    methods = MethodRegistry({"unet": METHODS["unet"]})
    registry = BundleRegistry([bundle])
    controller = TrainController(registry, view, runner, methods, lambda *asked: waiting.append(asked))
    first, second = (TrainForm(str(made_dataset(tmp_path / name))) for name in ("first", "second"))

    def answer(asked: tuple[Any, Any]) -> None:
        work, take = asked
        take(work())

    controller.edit(first)
    assert view.last("set_starts")[1] == -1  # not before it is known what fits
    answer(waiting[0])
    chosen = view.last("set_starts")[1]
    assert chosen >= 0
    assert view.last("set_known")[0].sentence
    controller.edit(second)
    assert (view.last("set_starts")[1], view.last("set_known")[0].sentence) == (-1, "")
    assert view.last("set_start_note") == ("", "")
    answer(waiting[0])  # late
    assert view.last("set_known")[0].sentence == ""
    answer(waiting[1])
    assert view.last("set_starts")[1] == chosen
    controller.edit(TrainForm())
    assert (view.last("set_starts")[1], view.last("set_known")[0].sentence) == (-1, "")
    assert view.state.message == NO_DATASET
    controller.edit(second)
    answer(waiting[-1])
    assert view.last("set_known")[0].dataset == second.dataset


def test_a_receipt_says_what_was_gained(tmp_path: Path) -> None:
    record = {
        "name": "better",
        "provenance": {
            "cases": 12,
            "dataset": "Livers",
            "iterations": 90,
            "planned_iterations": 1000,
            "minutes": 2.0,
            "device": "cpu",
            "initial": {"name": "liver", "told": ["initialised anew: spleen; taken over: liver"]},
        },
        "metrics": {"fine_tuning": {"cases": 3, "dice_before": 0.8125, "dice_after": 0.875}},
    }
    made = receipt(record, tmp_path, 130.0)
    assert made.lines == (
        "Fine-tuned from liver on 12 cases of Livers.",
        "Initialised anew: spleen; taken over: liver.",
        "Dice 0.812 before, 0.875 after, on 3 held-back cases.",
        "90 of 1,000 iterations, ended by the time limit of 2 min, in 2.2 min, on cpu.",
        f"Lies in {tmp_path}.",
    )
    empty = {"provenance": {"cases": 1}, "metrics": {"validation": {"cases": 2, "dice": {"mean": None}}}}
    assert (
        "No label was found or drawn in 2 held-back cases, so the Dice is not known."
        in receipt(empty, tmp_path, 4.0).lines
    )
    alone = receipt({"provenance": {"cases": 1, "iterations": 5}}, tmp_path, 4.0)
    assert alone.lines[:2] == ("Trained from scratch on 1 case.", "No case was held back, so its Dice is not known.")
    some = receipt({"provenance": {"cases": 3, "cases_learned": 2, "iterations": 5}}, tmp_path, 4.0)
    assert some.lines[0] == "Trained from scratch on 2 of 3 cases."
