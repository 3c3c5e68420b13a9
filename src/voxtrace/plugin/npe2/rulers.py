"""The dock below the canvas: the time ruler and the place ruler of the current result."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from voxtrace.plugin.controllers.film import FilmController
from voxtrace.plugin.controllers.overlays import OverlaysController
from voxtrace.plugin.controllers.place_ruler import PlaceRulerController
from voxtrace.plugin.controllers.time_ruler import TimeRulerController
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.rulers import RulersView
from voxtrace.plugin.work.latest_queue import LatestQueue

CANVAS_KEYS = {  # on the canvas; in the dock the keys need no Alt
    "Alt-Left": "previous",
    "Alt-Right": "next",
    "Alt-Home": "first",
    "Alt-End": "last",
    "Alt-P": "play",
    "Alt-M": "most changed",
}


HIGH_PX = 900  # from this height of the window the layer list fits above the dock


class RulersWidget(QWidget):
    """Shows how the current result came about along its steps and along its slices."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        window = getattr(napari_viewer, "__wrapped__", napari_viewer).window._qt_window
        self._window = weakref.ref(window)  # else the dock would keep a window that was closed
        _share_corners(window)
        self.view = RulersView()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view)
        current = self._current = viewer_state_of(napari_viewer).current
        self.queues = {name: LatestQueue() for name in ("film", "time", "place", "overlays")}
        view, queues = self.view, self.queues
        self.film = FilmController(napari_viewer, current, view, queues["film"])
        self.time = TimeRulerController(
            napari_viewer, current, view, queues["time"], lambda counted: self.film.set_extent(counted.extent)
        )
        self.place = PlaceRulerController(current, view, queues["place"])
        self.overlays = OverlaysController(napari_viewer, current, view, queues["overlays"])
        settings = viewer_state_of(napari_viewer).settings
        self.view.bar.set_speed(settings.values.steps_per_second)
        self.view.bar.speed_picked.connect(lambda speed: settings.update(steps_per_second=speed))
        self._connect()
        _bind_keys(napari_viewer, self)
        self._show_charts()

    def _connect(self) -> None:
        bar, view, time, place = self.view.bar, self.view, self.time, self.place
        view.film.wanted.connect(self.film.want)
        for strip in (view.film, view.lanes):
            strip.station_picked.connect(time.go)
        for source in (bar, view.film, view.lanes, view.place):
            source.commanded.connect(self.command)
        bar.next_asked.connect(time.advance)
        bar.lane_toggled.connect(time.show_lane)
        bar.reference_picked.connect(time.compare_with)
        bar.place_picked.connect(place.choose)
        bar.overlay_toggled.connect(self.overlays.show)
        view.place.slice_picked.connect(place.go)
        view.place.hovered.connect(place.hover)
        self._current.result_changed.connect(self._show_charts)
        time.refresh()  # the film strip asks for its thumbnails again, now that it is heard
        leave = (self.film.close, time.close, place.close, self.overlays.close)
        for close in (*leave, *(queue.clear for queue in self.queues.values())):
            self.destroyed.connect(close)
        self.destroyed.connect(lambda: self._current.result_changed.disconnect(self._show_charts))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Share the window's corners anew, as its height may be another."""
        super().resizeEvent(event)
        window = self._window()
        if window is not None:
            _share_corners(window)

    def command(self, name: str) -> None:
        """Do what a key or button asks: one of the names below."""
        actions: dict[str, Callable[[], None]] = {
            "previous": lambda: self.time.move(-1),
            "next": lambda: self.time.move(1),
            "first": lambda: self.time.go(0),
            "last": self.time.go_last,
            "play": self.view.bar.play.toggle,
            "most changed": self.time.go_most_changed,
            "slice above": lambda: self.place.move(-1),
            "slice below": lambda: self.place.move(1),
        }
        actions[name]()

    def _show_charts(self) -> None:
        trace = self._current.trace
        self.view.set_charts(trace.charts if trace is not None else ())


def _share_corners(window: Any) -> None:
    """Give the panels on the right the whole height, and the dock the corner below the layer list, where it fits.

    In a low window the layer list would not fit above the dock; there the layer list keeps its corner, and the dock
    takes the one below the panels.
    """
    area, corner = Qt.DockWidgetArea, Qt.Corner
    high = window.height() >= HIGH_PX
    window.setCorner(corner.BottomLeftCorner, area.BottomDockWidgetArea if high else area.LeftDockWidgetArea)
    window.setCorner(corner.BottomRightCorner, area.RightDockWidgetArea if high else area.BottomDockWidgetArea)


def _bind_keys(viewer: Any, widget: RulersWidget) -> None:
    """Bind keys of the canvas for as long as the widget lives."""
    found = weakref.ref(widget)

    def bound(command: str) -> Callable[[Any], None]:
        def act(viewer: Any) -> None:
            alive = found()
            if alive is not None:
                alive.command(command)

        return act

    for key, command in CANVAS_KEYS.items():
        viewer.bind_key(key, bound(command), overwrite=True)
    widget.destroyed.connect(lambda: [viewer.keymap.pop(key, None) for key in CANVAS_KEYS])
