"""A real window: run under a display, or xvfb-run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from made import scan
from made_layers import made_segmented, made_trace, made_volume
from voxtrace.errors import Cancelled
from voxtrace.plugin.controllers import compat
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.work import jobs

pytest.importorskip("qtpy", reason="the extra 'gui' is not installed")

from voxtrace.plugin.npe2.segment import SegmentWidget
from voxtrace.plugin.npe2.train import TrainWidget
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.work.threads import ThreadRunner, without_freezing


@pytest.fixture
def viewer(make_napari_viewer_proxy: Any, bundle: Path) -> Any:
    viewer = make_napari_viewer_proxy()
    viewer_state_of(viewer)._bundle_registry = BundleRegistry([bundle])
    return viewer


@pytest.fixture
def widget(viewer: Any, qtbot: Any) -> Any:
    for data, about, _ in display.image_layers(made_volume()):
        viewer.add_image(data, **about)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="segment")
    widget.controller.pick_bundle(0)  # a made-up scan of few voxels: no model fits it, so none is offered unasked
    qtbot.waitUntil(lambda: not widget.controller.models.pending, timeout=10_000)
    return widget


def press_segment(widget: SegmentWidget, qtbot: Any) -> None:
    widget.view.state.start.click()
    qtbot.waitUntil(lambda: not widget.runner.busy, timeout=60_000)


def use(monkeypatch: pytest.MonkeyPatch, job: Callable[..., Any]) -> None:
    monkeypatch.setattr(jobs, "segment", job)


def predict(request: Any, cancel: Any) -> Any:
    return (yield from made_segmented(made_trace(), request))


def test_the_panel_and_the_rulers_follow_naparis_slider(
    widget: Any, viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, predict)
    press_segment(widget, qtbot)
    rulers = viewer_state_of(viewer).open_dock("rulers")  # it is open already
    assert not rulers.view.is_empty
    assert widget.steps_view.title.text() == "Cycle 3 of 3"
    viewer.dims.set_current_step(0, 1)
    assert widget.steps_view.title.text() == "Cycle 2 of 3"
    rulers.command("first")
    assert viewer.dims.current_step[0] == 0
    assert widget.steps_view.legend.texts == [("liver", "0.01 mL"), ("spleen", "0.00 mL")]


def test_a_runtime_error_in_the_thread_turns_the_panel_red(
    widget: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(request: Any, cancel: Any) -> Any:
        yield jobs.JobStage("going")
        raise RuntimeError("the kernel broke")

    use(monkeypatch, broken)
    press_segment(widget, qtbot)
    assert "the kernel broke" in widget.view.state.message.text()
    assert widget.view.state.message.property("tone") == "error box"
    assert widget.view.state.start.isEnabled()


def test_cancel_acts_within_the_run(widget: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(request: Any, cancel: Any) -> Any:
        while not cancel():
            yield jobs.JobStage("going", 1, 9)
            time.sleep(0.01)
        raise Cancelled("stopped.")

    use(monkeypatch, endless)
    widget.view.state.start.click()
    qtbot.waitUntil(lambda: widget.view.state.message.text() == "going · about 1 s left", timeout=5_000)
    assert widget.view.state.bar.maximum() == 9
    assert not widget.view.bundle.isEnabled()
    widget.view.state.stop.click()
    qtbot.waitUntil(lambda: not widget.runner.busy, timeout=2_000)
    assert widget.view.bundle.isEnabled()
    assert "Stopped" in widget.view.state.message.text()


def test_a_late_answer_of_an_earlier_job_is_dropped(qtbot: Any) -> None:
    runner, heard = ThreadRunner(), []

    def slow(cancel: Any) -> Any:
        yield "first"
        time.sleep(0.2)
        return "first"

    def quick(cancel: Any) -> Any:
        yield "second"
        return "second"

    runner.start(slow, heard.append)
    runner.start(quick, heard.append)
    qtbot.waitUntil(lambda: not runner.busy, timeout=5_000)
    qtbot.wait(300)
    assert [event.result for event in heard if hasattr(event, "result")] == ["second"]
    assert all(getattr(event, "progress", "second") == "second" for event in heard)


def test_the_window_goes_on_painting_while_a_file_is_read(qtbot: Any) -> None:
    from qtpy.QtCore import QTimer

    beats: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(time.perf_counter()))
    timer.start(5)

    def read() -> str:
        time.sleep(0.3)
        return "read"

    assert without_freezing(read) == "read"
    assert len(beats) > 10
    timer.stop()


def test_the_engine_itself_segments_in_the_window(widget: Any, viewer: Any, qtbot: Any) -> None:
    press_segment(widget, qtbot)
    assert widget.view.state.message.text().startswith("Done in")
    assert viewer.layers[-1].data.shape[0] == 3
    assert widget.steps_view.title.text() == "Cycle 3 of 3"


def test_an_opened_file_gets_letters_and_a_scale_bar(viewer: Any, qtbot: Any, tmp_path: Path) -> None:
    viewer.open(str(scan(tmp_path / "scan.nii.gz")), plugin="voxtrace")
    overlays = compat._overlays(viewer)
    assert (overlays["voxtrace_left"].text, overlays["voxtrace_top"].text) == ("R", "A")
    viewer.dims.order = (1, 0, 2)
    assert overlays["voxtrace_top"].text == "S"
    viewer.dims.ndisplay = 3
    assert (overlays["voxtrace_left"].text, overlays["voxtrace_top"].text) == (
        "R",
        "S",
    )  # the first 3-D view is frontal
    assert overlays["voxtrace_viewpoint"].text == "seen from the front"
    assert compat.scale_bar(viewer).visible


def test_a_damaged_file_shows_a_sentence_in_the_window(viewer: Any, tmp_path: Path) -> None:
    from napari.utils.notifications import notification_manager

    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8b not a volume")
    viewer.open(str(tmp_path / "broken.nii.gz"), plugin="voxtrace")
    assert len(viewer.layers) == 0
    assert "broken.nii.gz" in notification_manager.records[-1].message


def test_the_training_panel_draws_its_curves(viewer: Any, qtbot: Any) -> None:
    widget = TrainWidget(viewer)
    viewer.window.add_dock_widget(widget, name="fine-tune")
    qtbot.waitUntil(lambda: widget.view.start.count() > 2, timeout=60_000)  # until a thread has brought the methods
    names = [widget.view.start.itemText(i) for i in range(widget.view.start.count())]
    assert names[0] == "tiny"
    assert {"RecycleNet, from scratch", "U-Net, from scratch"} < set(names)
    assert not widget.view.state.start.isEnabled()
    phases = ("easy", "hard")
    widget.view.clear_curves()
    widget.view.add_report(jobs.TrainReport(1, 4, {"dice": 1.0, "cross_entropy": 0.5}, None, "easy", phases))
    widget.view.add_report(jobs.TrainReport(3, 4, {"dice": 1.0, "cross_entropy": 0.25}, 0.5, "hard", phases))
    curves = widget.view.chart._curves
    assert curves["loss"].getData()[1].tolist() == [1.5, 1.25]
    assert curves["cross_entropy (term)"].getData()[1].tolist() == [0.5, 0.25]
    assert curves["dice"].getData()[0].tolist() == [3.0]
    assert [mark.label.format for mark in widget.view.chart._marks] == ["easy", "hard"]
    widget.view.clear_curves()
    assert set(curves) == {"loss", "dice"}


def test_closing_the_window_stops_the_run(
    widget: Any, viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[bool] = []

    def endless(request: Any, cancel: Any) -> Any:
        try:
            while not cancel():
                yield jobs.JobStage("going")
                time.sleep(0.01)
            raise Cancelled("stopped.")
        finally:
            ended.append(True)

    use(monkeypatch, endless)
    widget.view.state.start.click()
    qtbot.waitUntil(lambda: widget.view.state.message.text() == "going", timeout=5_000)
    viewer.close()
    qtbot.waitUntil(lambda: bool(ended), timeout=5_000)
