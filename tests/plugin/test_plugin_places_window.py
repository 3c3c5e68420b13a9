"""The docks "Look here next" and "Compare" in a real window: run under a display, or xvfb-run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("qtpy", reason="the extra 'gui' is not installed")

from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication

from voxtrace.plugin.layers import display
from voxtrace.plugin.models import places
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.trace import Trace
from voxtrace.volume import Geometry, LabelMap, Volume

SHAPE = (8, 60, 62)
GEOMETRY = Geometry.from_spacing(SHAPE, (3.0, 1.0, 1.0))
LARGE = (slice(2, 4), slice(10, 24), slice(10, 26))
SMALL = (slice(5, 7), slice(40, 52), slice(40, 52))


def drawn(*tumours: Any) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:7, 4:56, 4:58] = 1
    for one in tumours:
        labels[one] = 2
    return labels


def members() -> Trace:
    maps = [drawn(LARGE), drawn(), drawn(SMALL)]
    names = {0: "background", 1: "liver", 2: "tumour"}
    seeds = {f"seed {k}": one[None] for k, one in enumerate(maps)}
    return Trace(drawn()[None], {}, np.zeros((0, 6), np.int64), {}, GEOMETRY, names, members=seeds)


@pytest.fixture
def viewer(make_napari_viewer_proxy: Any) -> Any:
    viewer = make_napari_viewer_proxy()
    viewer_state_of(viewer)._bundle_registry = BundleRegistry([])
    scan = Volume(np.zeros((1, *SHAPE), np.int16), GEOMETRY, "CT", ("CT",), "scan")
    for data, about, _ in display.image_layers(scan):
        image = viewer.add_image(data, **about)
    data, about, _ = display.trace_layer(members(), "result", image.unique_id)
    viewer.add_labels(data, **about)
    return viewer


@pytest.fixture
def dock(viewer: Any, qtbot: Any) -> Any:
    widget = viewer_state_of(viewer).open_dock("places")
    qtbot.waitUntil(lambda: widget.controller.review is not None, timeout=20_000)
    return widget


def test_the_list_is_walked_through_by_keys(dock: Any, viewer: Any, qtbot: Any) -> None:
    table = dock.view.table
    shown = [[table.item(row, column).text() for column in range(5)] for row in range(table.rowCount())]
    assert [row[:4] for row in shown] == [
        ["1", "1.34", "liver", "2 of 3 seeds say liver, 1 says tumour"],
        ["2", "0.86", "liver", "2 of 3 seeds say liver, 1 says tumour"],
    ]
    dock.view.setFocus()
    for key, row, text in (
        (Qt.Key.Key_N, 0, "0 of 2 places"),
        (Qt.Key.Key_Return, 1, "1 of 2 places"),
        (Qt.Key.Key_Backspace, 0, "1 of 2 places"),
        (Qt.Key.Key_Z, 0, "0 of 2 places"),
        (Qt.Key.Key_O, 1, "1 of 2 places"),
    ):
        qtbot.keyClick(dock.view, key)
        assert table.currentRow() == row, key
        assert dock.view.progress.text().startswith(text)
    layer = viewer.layers["result"]
    assert (np.asarray(layer.data.station(1))[::-1][LARGE] == 2).all()
    assert viewer.dims.point[0] == 1  # the edited labels are on screen


def test_selecting_a_row_frames_the_place(dock: Any, viewer: Any) -> None:
    dock.view.table.selectRow(1)
    assert dock.controller.review.current == 1
    assert viewer_state_of(viewer).current.z in (5, 6)
    assert len(viewer.layers["Look here"].data) == 8
    dock.view.contours.click()
    assert len(viewer.layers["Any says so"].data) > 0
    assert viewer.layers.selection.active.name == "result"


def test_every_control_has_a_name_and_a_tooltip(dock: Any, viewer: Any) -> None:
    compare = viewer_state_of(viewer).open_dock("compare").view
    for view in (dock.view, compare):
        for control in (*getattr(view, "buttons", {}).values(), view.table):
            assert control.toolTip() or control is compare.table
            assert control.accessibleName() or control.text()
    for button in (compare.side, compare.differences, compare.vote, compare.score, compare.copy, compare.run):
        assert button.toolTip()


def test_closing_the_dock_takes_lines_and_keys_away(dock: Any, viewer: Any, qtbot: Any) -> None:
    dock.view.next_asked.emit()
    assert "Look here" in viewer.layers
    viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    qtbot.waitUntil(lambda: "Look here" not in viewer.layers, timeout=5_000)
    assert not {"N", "Z"} & {str(key) for key in viewer.layers["result"].keymap}


def test_results_are_compared_and_their_differences_listed(viewer: Any, qtbot: Any) -> None:
    other = LabelMap(drawn(SMALL), GEOMETRY, {1: "liver", 2: "tumour"}, name="other")
    data, about, _ = display.label_layer(other)
    viewer.add_labels(data, **about)
    state = viewer_state_of(viewer)
    dock = state.open_dock("compare")
    view = dock.view
    view.reference.setCurrentIndex(1)
    view.reference.activated.emit(1)
    view.score.click()
    qtbot.waitUntil(lambda: view.table.rowCount() > 0, timeout=20_000)
    assert [view.table.item(row, 1).text() for row in range(3)] == ["liver", "mean", "tumour"]
    view.copy.click()
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None
    assert clipboard.text().startswith("result,label,dice,nsd_1mm,hd95_mm,volume_ml,reference_ml\nresult,liver,0.99")
    view.differences.click()
    qtbot.waitUntil(lambda: not dock.runner.busy, timeout=20_000)
    listed = state.open_dock("places")
    qtbot.waitUntil(lambda: listed.controller.review is not None, timeout=20_000)
    assert listed.view.table.item(0, 3).text() == "other says tumour; result says liver"
    view.results.item(1).setCheckState(Qt.CheckState.Unchecked)
    view.side.click()
    assert view.message.text() == "Tick two results or more of one scan."
    assert not view.side.isChecked()


def test_a_result_of_one_answer_says_what_to_do(viewer: Any, qtbot: Any) -> None:
    viewer.layers.remove(viewer.layers["result"])
    dock = viewer_state_of(viewer).open_dock("places")
    assert dock.view.message.text() == places.NOTHING_OPEN
    assert dock.view.table.isHidden() or not dock.view.table.isVisible()
