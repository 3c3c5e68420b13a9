"""Fine-tuning from the window, with the trainer itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from made import labels, scan
from voxtrace.plugin.bundles import Shelf
from voxtrace.plugin.finetune import FineTuneWidget
from voxtrace.plugin.segment import SegmentWidget
from voxtrace.plugin.session import session_of


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
    session_of(viewer)._shelf = Shelf([bundle])
    segment, train = SegmentWidget(viewer), FineTuneWidget(viewer)
    for widget in (segment, train):
        viewer.window.add_dock_widget(widget, name=type(widget).__name__)
    train.view.dataset.setText(str(made_dataset(tmp_path / "dataset")))
    train.view.out.setText(str(tmp_path / "better"))
    train.view.iterations.setValue(4)
    train.view.state.start.click()
    qtbot.waitUntil(lambda: not train.runner.busy, timeout=240_000)
    assert train.view.state.message.text() == "Done. better is now in the picker of the Segment panel."
    assert [segment.view.bundle.itemText(i) for i in range(2)] == ["tiny", "better"]
    assert len(train.view.chart._points["dice"][0]) >= 1


def test_stop_leaves_a_checkpoint_to_resume_from(
    make_napari_viewer_proxy: Any, qtbot: Any, bundle: Path, tmp_path: Path
) -> None:
    viewer = make_napari_viewer_proxy()
    session_of(viewer)._shelf = Shelf([bundle])
    train = FineTuneWidget(viewer)
    viewer.window.add_dock_widget(train, name="train")
    train.view.dataset.setText(str(made_dataset(tmp_path / "dataset")))
    train.view.out.setText(str(tmp_path / "better"))
    train.view.iterations.setValue(10_000)
    train.view.state.start.click()
    qtbot.waitUntil(lambda: "Iteration" in train.view.state.message.text(), timeout=240_000)
    train.view.state.stop.click()
    qtbot.waitUntil(lambda: not train.runner.busy, timeout=60_000)
    assert "Press Resume to go on" in train.view.state.message.text()
    assert train.view.state.start.text() == "Resume"
    assert (tmp_path / "better.work" / "checkpoint.pt").is_file()
