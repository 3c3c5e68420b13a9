"""Fine-tuning from the window, with the trainer itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from made import bundle_folder, labels, scan
from made_methods import Schooled
from voxtrace.bundle import load
from voxtrace.errors import Cancelled
from voxtrace.methods import METHODS
from voxtrace.plan import Plan
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.npe2.segment import SegmentWidget
from voxtrace.plugin.npe2.train import TrainWidget
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.work import jobs
from voxtrace.training import TrainRequest, device, setup


def made_dataset(folder: Path, n_cases: int = 3) -> Path:
    """Write a dataset in nnU-Net's raw layout; the last case is kept for validation."""
    names = [f"case_{n}" for n in range(n_cases)]
    for n, name in enumerate(names):
        scan(folder / "imagesTr" / f"{name}_0000.nii.gz", seed=n)
        labels(folder / "labelsTr" / f"{name}.nii.gz", block=4 + n)
    record = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "one": 1, "two": 2}, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(record))
    (folder / "splits_final.json").write_text(json.dumps([{"train": names[:-1], "val": names[-1:]}]))
    return folder


def test_a_bundle_fine_tuned_in_the_window_is_in_the_segment_picker(
    make_napari_viewer_proxy: Any, qtbot: Any, bundle: Path, tmp_path: Path
) -> None:
    viewer = make_napari_viewer_proxy()
    viewer_state_of(viewer)._bundle_registry = BundleRegistry([bundle])
    segment, train = SegmentWidget(viewer), TrainWidget(viewer)
    for widget in (segment, train):
        viewer.window.add_dock_widget(widget, name=type(widget).__name__)
    train.view.dataset.setText(str(made_dataset(tmp_path / "dataset")))
    train.view.out.setText(str(tmp_path / "better"))
    train.view.iterations.setValue(4)
    train.view.state.start.click()
    qtbot.waitUntil(lambda: not train.runner.busy, timeout=240_000)
    assert train.view.state.message.text() == "Done. better is now in the picker of the Segment panel."
    assert [segment.view.bundle.itemText(i) for i in range(2)] == ["tiny", "better"]
    assert len(train.view.chart.points["dice"][0]) >= 1


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
    assert asked == {"device": "cuda", "memory_gb": 12.0, "iterations": 4}
