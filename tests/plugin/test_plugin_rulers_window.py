"""The rulers in a real window: run under a display, or xvfb-run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fakes import bundle as fake_bundle
from made_layers import made_volume
from made_methods import MadeRouting
from made_traces import made_trace
from voxtrace import inference
from voxtrace.inference.options import PredictOptions
from voxtrace.plugin.layers import display
from voxtrace.trace import Trace

pytest.importorskip("qtpy", reason="the extra 'gui' is not installed")

from qtpy.QtCore import QPoint, Qt

from voxtrace.plugin.npe2.rulers import RulersWidget
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.rulers import MOST_PX


@pytest.fixture
def viewer(make_napari_viewer_proxy: Any) -> Any:
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1280, 800)
    return viewer


def add_result(viewer: Any, trace: Trace, name: str = "result") -> Any:
    data, about, _ = display.trace_layer(trace, name)
    return viewer.add_labels(data, **about)


def settle(rulers: RulersWidget, qtbot: Any) -> None:
    """Wait until nothing is computed any more, and what was computed is shown."""
    qtbot.waitUntil(lambda: not any(queue.busy for queue in rulers.queues.values()), timeout=10_000)
    qtbot.wait(50)


@pytest.fixture
def rulers(viewer: Any, qtbot: Any) -> RulersWidget:
    add_result(viewer, made_trace())
    rulers = viewer_state_of(viewer).open_dock("rulers")
    settle(rulers, qtbot)
    return rulers  # type: ignore[no-any-return]


def test_before_a_result_the_dock_is_one_line(viewer: Any, qtbot: Any) -> None:
    rulers = viewer_state_of(viewer).open_dock("rulers")
    assert rulers.view.is_empty
    assert "Segment a scan" in rulers.view.empty.text()
    assert rulers.view.height() < 60
    assert not rulers.view.bar.isVisible()


def test_a_method_fills_both_rulers_by_what_it_declares(viewer: Any, qtbot: Any) -> None:
    volume = made_volume(modality="MR", channels=("image",))
    model = fake_bundle(MadeRouting(n_steps=2), spacing_mm=volume.geometry.spacing_mm)
    run = inference.segment(model, volume, PredictOptions(keep="all"))
    try:
        while True:
            next(run)
    except StopIteration as end:
        trace = end.value.trace
    add_result(viewer, trace)
    rulers = viewer_state_of(viewer).open_dock("rulers")
    settle(rulers, qtbot)
    view = rulers.view
    assert {key for key, _ in view.film.pictures} == {0}  # the second row waits until it is asked for
    assert view.bar.rows.isVisible()
    view.bar.rows.click()
    settle(rulers, qtbot)
    assert set(view.film.pictures) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    lanes = [action.text() for action in view.bar.lanes.menu().actions()]
    assert {"Cost", "Brightest", "Entropy"} <= set(lanes)
    places = [view.bar.places.itemText(k) for k in range(view.bar.places.count())]
    assert {"Choice", "Branch", "Cost", "Brightest", "Brightest, every round"} <= set(places)
    assert places.index("Choice") < places.index("Cost")
    layers = [action.text() for action in view.bar.overlays.menu().actions()]
    assert {"Slices by choice", "Slices by branch", "Settled at which round"} <= set(layers)
    assert view.bar.charts.isVisible()
    assert view.bar.charts.menu().actions()[0].text() == "sources"


def test_the_dock_stays_below_300_pixels_and_in_the_window(rulers: RulersWidget, viewer: Any, qtbot: Any) -> None:
    rulers.view.bar.rows.click()
    for lane in ("fact:brightest", "fact:cost_gflop", "relative", "surface"):
        rulers.time.show_lane(lane, True)
    settle(rulers, qtbot)
    assert len(rulers.view.lanes.lanes) == 6
    assert rulers.height() <= MOST_PX < 300
    assert rulers.window().height() <= 800


def test_a_click_on_the_film_moves_naparis_slider_and_back(rulers: RulersWidget, viewer: Any, qtbot: Any) -> None:
    film = rulers.view.film
    for station in (0, 2, 1):
        x = film._axis().centre(station)
        qtbot.mouseClick(film, Qt.MouseButton.LeftButton, pos=QPoint(round(x), 30))
        assert viewer.dims.current_step[0] == station
    viewer.dims.set_current_step(0, 2)
    assert film._current == 2
    lanes = rulers.view.lanes
    qtbot.mouseClick(lanes, Qt.MouseButton.LeftButton, pos=QPoint(round(lanes._axis().centre(0)), 10))
    assert viewer.dims.current_step[0] == 0


def test_keys_go_along_the_steps(rulers: RulersWidget, viewer: Any, qtbot: Any) -> None:
    film = rulers.view.film
    for key, expected in (
        (Qt.Key.Key_Home, 0),
        (Qt.Key.Key_Right, 1),
        (Qt.Key.Key_End, 2),
        (Qt.Key.Key_Left, 1),
    ):
        qtbot.keyClick(film, key)
        assert viewer.dims.current_step[0] == expected
    viewer.dims.set_current_step(1, 5)
    qtbot.keyClick(rulers.view.place, Qt.Key.Key_Up)
    assert viewer.dims.current_step[1] == 4  # towards the head
    qtbot.keyClick(film, Qt.Key.Key_Down)
    assert viewer.dims.current_step[1] == 5
    qtbot.keyClick(rulers.view.place, Qt.Key.Key_M)
    assert viewer.dims.current_step[0] in (1, 2)
    qtbot.keyClick(film, Qt.Key.Key_Space)
    assert rulers.view.bar.timer.isActive()
    qtbot.keyClick(film, Qt.Key.Key_Space)
    assert not rulers.view.bar.timer.isActive()


def test_keys_of_the_canvas_collide_with_none_of_naparis(rulers: RulersWidget, viewer: Any) -> None:
    from napari.utils.shortcuts import _default_shortcuts

    from voxtrace.plugin.npe2.rulers import CANVAS_KEYS

    taken = {str(key) for keys in _default_shortcuts.values() for key in keys}
    ours = [key for key in viewer.keymap if "Alt" in str(key)]
    assert len(ours) >= len(CANVAS_KEYS)
    assert not {str(key) for key in ours} & taken


def test_playing_moves_naparis_slider_and_stops_at_the_end(rulers: RulersWidget, viewer: Any, qtbot: Any) -> None:
    bar = rulers.view.bar
    rulers.command("first")
    bar.loop.setChecked(False)
    bar.timer.setInterval(10)
    bar.play.click()
    qtbot.waitUntil(lambda: viewer.dims.current_step[0] == 2, timeout=5_000)
    qtbot.waitUntil(lambda: not bar.timer.isActive(), timeout=5_000)
    assert bar.play.text() == "▶ Play"


def test_a_click_on_the_place_ruler_shows_that_slice(rulers: RulersWidget, viewer: Any, qtbot: Any) -> None:
    place = rulers.view.place
    for number in (0, 11, 5):
        qtbot.mouseClick(place, Qt.MouseButton.LeftButton, pos=QPoint(round(place._axis().centre(number)), 10))
        assert viewer.dims.current_step[1] == number
    qtbot.mouseMove(place, QPoint(round(place._axis().centre(0)), 12))
    qtbot.waitUntil(lambda: place.readout_text.startswith("slice 0 · look"), timeout=2_000)


def test_one_step_needs_no_film(viewer: Any, qtbot: Any) -> None:
    trace = made_trace(steps=1)
    add_result(viewer, Trace(**{**vars(trace), "members": {}, "extras": {}}))
    rulers = viewer_state_of(viewer).open_dock("rulers")
    settle(rulers, qtbot)
    view = rulers.view
    assert not view.film.isVisible()
    assert not view.lanes.isVisible()
    assert not view.bar.play.isVisible()
    assert view.place.isVisible()
    assert view.height() < 160


def test_the_rulers_are_read_in_both_themes(rulers: RulersWidget, viewer: Any, qtbot: Any) -> None:
    from voxtrace.plugin.views import strip

    def luminance(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot((0.2126, 0.7152, 0.0722), linear))

    for text in (strip.TEXT, strip.DIM, strip.MARK):
        for ground in (strip.GROUND, strip.RAISED):
            assert (luminance(text) + 0.05) / (luminance(ground) + 0.05) >= 4.5
    for theme in ("light", "dark"):
        viewer.theme = theme
        qtbot.wait(50)
        image = rulers.view.film.grab().toImage()
        assert image.pixelColor(3, image.height() - 3).name() == strip.GROUND  # the film is dark in every theme


def test_every_control_has_a_name_and_a_tooltip(rulers: RulersWidget) -> None:
    from qtpy.QtWidgets import QAbstractButton, QComboBox

    for kind in (QAbstractButton, QComboBox):
        for widget in rulers.view.bar.findChildren(kind):
            assert widget.accessibleName(), widget
            assert widget.toolTip(), widget
    for part in (rulers.view.film, rulers.view.lanes, rulers.view.place):
        assert part.accessibleName()


def test_a_chart_opens_in_a_window_of_its_own(rulers: RulersWidget, qtbot: Any) -> None:
    from voxtrace.plugin.views.node_charts import NodeChartDialog

    rulers.view.bar.charts.menu().actions()[0].trigger()
    [dialog] = rulers.view.findChildren(NodeChartDialog)
    assert dialog.chart.texts == [
        "level 0, stage 1: 75 % · 25 %",
        "level 0, stage 2: 50 % · 50 %",
        "level 1, stage 1: 100 % · 0 %",
    ]
    dialog.close()


def test_closing_the_result_and_the_dock_is_silent(rulers: RulersWidget, viewer: Any, qtbot: Any) -> None:
    rulers.time.show_lane("surface", True)
    viewer.layers.clear()
    assert rulers.view.is_empty
    add_result(viewer, made_trace(), "again")
    viewer.window.remove_dock_widget(rulers)
    rulers.close()
    rulers.deleteLater()
    qtbot.wait(50)
    viewer.dims.set_current_step(0, 0)
    assert not [key for key in viewer.keymap if "Alt-M" in str(key)]
