"""Cancelling the engine at random moments leaves no thread, no file, no memory and no layer."""

from __future__ import annotations

import gc
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from made import bundle_folder
from made import volume as noisy_volume
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.bundles import BundleRegistry

pytest.importorskip("qtpy", reason="the extra 'gui' is not installed")

from pace import resident_mib
from voxtrace.plugin.npe2.segment import SegmentWidget
from voxtrace.plugin.npe2.viewer_state import viewer_state_of

WITHIN_S = 2.0  # a second is the promise; the machine of the tests may be busy
MANY, FEW = 50, 5
LEAK_MIB = 40.0


@pytest.fixture
def widget(make_napari_viewer_proxy: Any, tmp_path: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(display, "IN_MEMORY_BYTES", 0)  # so that the trace is written to disk while it is made
    viewer = make_napari_viewer_proxy()
    bundle = bundle_folder(tmp_path / "tiny", cycles=3)
    viewer_state_of(viewer)._bundle_registry = BundleRegistry([bundle])
    [(data, about, _)] = display.image_layers(noisy_volume(shape=(16, 40, 40)))
    viewer.add_image(data, **about)
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="segment")
    widget.controller.pick_bundle(0)
    qtbot.waitUntil(lambda: not widget.controller.models.pending, timeout=10_000)
    widget.scratch = scratch
    return widget


def press_start(widget: Any) -> None:
    widget.view.state.start.click()
    if widget.view.state.remedy.isVisible():
        widget.view.state.remedy.click()


def run_to_its_end(widget: Any, qtbot: Any) -> float:
    """Segment once, and return how long it took."""
    began = time.monotonic()
    press_start(widget)
    qtbot.waitUntil(lambda: not widget.runner.busy, timeout=120_000)
    assert widget.view.state.message.text().startswith("Done in"), widget.view.state.message.text()
    return time.monotonic() - began


def cancel_at(moment_s: float, widget: Any, qtbot: Any) -> float:
    """Start, press Cancel after a while, and return how long the engine's thread then went on."""
    press_start(widget)
    qtbot.wait(round(1000 * moment_s))
    if not widget.runner.busy:
        return 0.0  # it was faster
    pressed = time.monotonic()
    widget.view.state.stop.click()
    assert widget.view.state.message.text() == "Stopped. Nothing was changed."
    assert widget.view.state.start.isEnabled()
    turn = widget.state.engine_turn
    qtbot.waitUntil(lambda: not turn.locked(), timeout=20_000)
    return time.monotonic() - pressed


def cancel_again_and_again(times: int, widget: Any, qtbot: Any) -> None:
    took_s = run_to_its_end(widget, qtbot)  # everything is loaded now
    layers = list(widget._viewer.layers)
    threads, files = set(threading.enumerate()), set(widget.scratch.iterdir())
    before_mib, moments = 0.0, random.Random(0)
    waits = []
    for number in range(times):
        waits.append(cancel_at(moments.uniform(0.0, took_s), widget, qtbot))
        del widget._viewer.layers[len(layers) :]  # the run may have been faster than the press
        gc.collect()
        if number == times // 5:
            gc.collect()
            before_mib = resident_mib()
    qtbot.wait(100)  # the last event of the last run may still be on its way
    gc.collect()
    assert list(widget._viewer.layers) == layers
    assert set(widget.scratch.iterdir()) <= files
    left = [t.name for t in set(threading.enumerate()) - threads if t.name.startswith("voxtrace") and t.is_alive()]
    assert left == []
    assert resident_mib() - before_mib < LEAK_MIB
    assert max(waits) < WITHIN_S, sorted(waits)
    run_to_its_end(widget, qtbot)


def test_a_few_cancels_leave_nothing(widget: Any, qtbot: Any) -> None:
    cancel_again_and_again(FEW, widget, qtbot)


@pytest.mark.slow
def test_fifty_cancels_at_random_moments_leave_nothing(widget: Any, qtbot: Any) -> None:
    cancel_again_and_again(MANY, widget, qtbot)


def test_a_run_that_is_started_right_after_a_cancel_waits_for_its_turn(widget: Any, qtbot: Any) -> None:
    run_to_its_end(widget, qtbot)
    press_start(widget)
    qtbot.wait(50)
    widget.view.state.stop.click()
    press_start(widget)
    qtbot.waitUntil(lambda: not widget.runner.busy, timeout=120_000)
    assert widget.view.state.message.text().startswith("Done in")


def test_closing_the_scan_during_a_run_is_clean(widget: Any, qtbot: Any) -> None:
    press_start(widget)
    qtbot.wait(100)
    widget._viewer.layers.clear()
    assert "the run was stopped" in widget.view.state.message.text()
    turn = widget.state.engine_turn
    qtbot.waitUntil(lambda: not turn.locked(), timeout=20_000)
    qtbot.wait(50)
    assert list(widget._viewer.layers) == []
    assert list(widget.scratch.iterdir()) == []


def test_closing_the_panel_during_a_run_is_clean(widget: Any, qtbot: Any) -> None:
    turn = widget.state.engine_turn
    press_start(widget)
    qtbot.wait(100)
    viewer, scratch = widget._viewer, widget.scratch
    viewer.window.remove_dock_widget(widget)
    widget.deleteLater()
    qtbot.waitUntil(lambda: not turn.locked(), timeout=20_000)
    qtbot.wait(100)
    assert [layer.ndim for layer in viewer.layers] == [3]
    assert list(scratch.iterdir()) == []
