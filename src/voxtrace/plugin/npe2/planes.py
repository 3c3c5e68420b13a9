"""The planes dock: the two planes beside napari's canvas, and contrast, with view and controllers joined."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from voxtrace.plugin.controllers.compat import unwrapped
from voxtrace.plugin.controllers.label_list import LabelListController
from voxtrace.plugin.controllers.planes import PlanesController
from voxtrace.plugin.controllers.scans import shown_labels
from voxtrace.plugin.npe2.legend import join_legend
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.planes import QtPlanesView
from voxtrace.plugin.views.theme import follow_theme
from voxtrace.plugin.work.plane_volumes import PlaneVolumes
from voxtrace.plugin.work.threads import LatestInBackground, in_background


class PlanesWidget(QWidget):
    """The coronal and the sagittal plane beside the axial one, or whichever two the large canvas does not show."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = unwrapped(napari_viewer)
        state = viewer_state_of(self._viewer)
        canvas = state.canvas
        self.view = QtPlanesView()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view, 1)
        self.view.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)  # takes the dock's height
        follow_theme(self)
        self.view.cover(_canvas(self._viewer))
        self.planes = PlanesController(
            self._viewer, self.view, canvas.navigation, partial(PlaneVolumes, read=in_background), state.edits
        )
        self.contrast, self.navigation = canvas.contrast, canvas.navigation
        self.background = LatestInBackground()
        self.labels = LabelListController(self._viewer, self.view, self.background)
        self.legend = join_legend(self._viewer, self.view.legend, self.labels, self.labels.changed)
        self._connect()
        self._refresh()

    def _connect(self) -> None:
        for one in self.view.canvases:
            one.pointed.connect(self.planes.go)
            one.scrolled.connect(self.planes.scroll)
        self.view.plane_asked.connect(self._show_view)
        self.view.preset_asked.connect(self.contrast.apply)
        self.view.remember_asked.connect(self.contrast.remember)
        self.view.visibility_changed.connect(self._refresh)
        self.view.outline_asked.connect(self._outline)
        self.contrast.changed.connect(self._refresh_presets)
        for leave in (self.planes.close, self.labels.close, self.legend.close, self.background.close, self._leave):
            self.destroyed.connect(leave)

    def _show_view(self, plane: int) -> None:
        if plane == 3:
            self.navigation.show_solid()
        else:
            self.navigation.show_plane(plane)
        self.planes.refresh()

    def _outline(self, outlined: bool) -> None:
        labels = shown_labels(self._viewer)
        if labels is not None:
            labels.contour = int(outlined)

    def _refresh(self) -> None:
        self.planes.refresh()
        self._refresh_presets()

    def _refresh_presets(self) -> None:
        if not self.view.is_shown:
            return
        self.view.show_presets(self.contrast.offered, self.contrast.chosen, self.contrast.words)
        labels = shown_labels(self._viewer)
        self.view.show_outline(labels is not None and labels.contour > 0, labels is not None)

    def _leave(self) -> None:
        self.contrast.changed.disconnect(self._refresh_presets)


def _canvas(viewer: Any) -> QWidget | None:
    """Return the widget that napari draws the layers in; None where this napari has it elsewhere."""
    qt_viewer = getattr(getattr(viewer.window, "_qt_window", None), "_qt_viewer", None)
    native = getattr(getattr(qt_viewer, "canvas", None), "native", None)
    return native if isinstance(native, QWidget) else None
