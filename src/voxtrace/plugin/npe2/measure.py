"""The measuring dock, with view and controller joined."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QApplication, QSizePolicy, QVBoxLayout, QWidget

from voxtrace.plugin.controllers.compat import unwrapped
from voxtrace.plugin.controllers.measure import MeasureController
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.measure import QtMeasureView
from voxtrace.plugin.views.theme import follow_theme
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import ThreadRunner


class MeasureWidget(QWidget):
    """Lengths, areas and intensities on the scan on screen."""

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        super().__init__()
        self.view, self.runner = QtMeasureView(), runner or ThreadRunner()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view, 1)
        self.view.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)  # takes the dock's height
        follow_theme(self)
        viewer = unwrapped(napari_viewer)
        navigation = viewer_state_of(viewer).canvas.navigation
        self.controller = MeasureController(viewer, self.view, navigation, self.runner)
        self.view.tool_asked.connect(self.controller.use)
        self.view.labels_asked.connect(self.controller.measure_labels)
        self.view.clear_asked.connect(self.controller.clear)
        self.view.copy_asked.connect(self._copy)
        for leave in (self.runner.abandon, self.controller.close):
            self.destroyed.connect(leave)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self.controller.table)
        self.view.show_message("Copied the table as comma-separated values.")
