"""The Correct section in a real window: the mouse draws, buttons work, PDF is printed, closing is clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QComboBox, QDoubleSpinBox, QLineEdit

from voxtrace.plugin.layers import display
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.pdf import write_pdf
from voxtrace.trace import Trace
from voxtrace.volume import Geometry, Volume

SHAPE = (5, 40, 40)
GEOMETRY = Geometry.from_spacing(SHAPE, (3.0, 2.0, 2.0))


@pytest.fixture
def viewer(make_napari_viewer_proxy: Any) -> Any:
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1280, 800)
    return viewer


@pytest.fixture
def layer(viewer: Any) -> Any:
    labels = np.zeros((3, *SHAPE), np.uint8)
    labels[:, 1:4, 5:10, 5:10] = 1
    names = {0: "background", 1: "liver", 2: "spleen"}
    trace = Trace(labels, {}, np.zeros((0, 6), np.int64), {}, GEOMETRY, names, "cycle")
    data, about, _ = display.image_layers(Volume(np.zeros((1, *SHAPE), np.int16), GEOMETRY, "CT", (), "scan"))[0]
    scan = viewer.add_image(data, **about)
    data, about, _ = display.trace_layer(trace, "result", scan.unique_id)
    return viewer.add_labels(data, **about)


@pytest.fixture
def dock(viewer: Any, layer: Any, qtbot: Any) -> Any:
    dock = viewer_state_of(viewer).open_dock("correct")
    qtbot.wait(200)
    return dock


def test_a_stroke_of_the_mouse_on_a_step_lands_in_the_edited_labels(
    viewer: Any, layer: Any, dock: Any, qtbot: Any
) -> None:
    state = viewer_state_of(viewer)
    state.current.go(0)
    dock.view.label.setCurrentIndex(1)
    dock.view.label.activated.emit(1)
    dock.view.buttons["paint"].click()
    dock.view.brush.setValue(6.0)
    qtbot.wait(100)
    native = viewer.__wrapped__.window._qt_viewer.canvas.native
    start = native.rect().center()
    QTest.mousePress(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, start)
    for step in range(6):
        QTest.mouseMove(native, start + QPoint(12 * step, 0))
        qtbot.wait(30)
    QTest.mouseRelease(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, start + QPoint(60, 0))
    qtbot.waitUntil(lambda: state.current.is_edited, timeout=5_000)
    np.testing.assert_array_equal(layer.data[:3], np.asarray(state.current.trace.labels)[:, ::-1])
    drawn = np.argwhere(layer.data[3] == 2)
    assert len(set(drawn[:, 0])) == 1
    assert np.ptp(drawn[:, 2]) > np.ptp(drawn[:, 1])  # a stroke to the right
    assert len(state.edits.edits(layer)) == 1
    assert "1 edit on cycle 1" in dock.view.target.text()
    dock.view.undo.click()
    assert not (layer.data[3] == 2).any()
    dock.view.redo.click()
    assert len(np.argwhere(layer.data[3] == 2)) == len(drawn)


def test_a_correction_runs_in_a_thread_and_can_be_undone(viewer: Any, layer: Any, dock: Any, qtbot: Any) -> None:
    view = dock.view
    view.kind.setCurrentText("Grow")
    view.amount.setValue(2.0)
    view.apply.click()
    qtbot.waitUntil(lambda: "voxels of liver changed" in view.message.text(), timeout=10_000)
    assert np.count_nonzero(layer.data[3]) > np.count_nonzero(layer.data[2])
    assert "grow 2 mm liver" in view.log.text()
    view.undo.click()
    np.testing.assert_array_equal(layer.data[3], layer.data[2])
    assert view.log.text() == "Nothing was edited yet."


def test_everything_is_saved_with_a_pdf(viewer: Any, layer: Any, dock: Any, qtbot: Any, tmp_path: Path) -> None:
    dock.keep.save_everything(tmp_path / "kept", False)
    qtbot.waitUntil(lambda: dock.keep_view.message.text().startswith("Saved"), timeout=60_000)
    pdf = (tmp_path / "kept/report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert pdf.count(b"/Subtype /Image") >= 3


def test_a_page_that_is_too_long_goes_on_on_the_next(tmp_path: Path, qapp: Any) -> None:
    write_pdf("<p>one line</p>" * 200, tmp_path / "long.pdf", "long")
    assert (tmp_path / "long.pdf").read_bytes().count(b"/Type /Page\n") >= 3


def test_every_control_has_a_name_and_a_tooltip(viewer: Any, dock: Any) -> None:
    for kind in (QAbstractButton, QComboBox, QDoubleSpinBox, QLineEdit):
        for control in dock.findChildren(kind):
            if isinstance(control.parent(), (QComboBox, QDoubleSpinBox)):
                continue  # the line inside a spin box
            assert control.toolTip(), control
            assert control.accessibleName() or getattr(control, "text", str)(), control


def test_edits_that_were_not_saved_are_offered_in_the_section(
    viewer: Any, layer: Any, dock: Any, qtbot: Any, unsaved_edits: Path
) -> None:
    state = viewer_state_of(viewer)
    layer.paint((1, 2, 20, 20), 2)
    edited = layer.data.edited
    assert state.autosave.timer.isActive()
    state.autosave.controller.keep_now()
    source = layer.metadata[display.KEY]
    viewer.layers.remove(layer)
    fresh, about, _ = display.trace_layer(source.trace, "again", source.scan)
    again = viewer.add_labels(fresh, **about)
    assert not dock.view.recovery.isHidden()
    assert "1 edit on cycle 2" in dock.view.recovery_text.text()
    dock.view.restore_asked.emit()
    qtbot.waitUntil(lambda: again.data.edited is not None, timeout=10_000)
    np.testing.assert_array_equal(again.data.edited, edited)
    assert dock.view.recovery.isHidden()
