"""Plugins > VoxTrace > Train or fine-tune: the panel, with view and controller joined."""

from __future__ import annotations

from typing import Any

from voxtrace.plugin.controllers.train import TrainController
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.charts import preload_pyqtgraph
from voxtrace.plugin.views.train import QtTrainView
from voxtrace.plugin.views.widgets import Panel
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import ThreadRunner


class TrainWidget(Panel):
    """Trains on a dataset folder, from a bundle or from scratch, with live curves."""

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        self.view, self.runner = QtTrainView(), runner or ThreadRunner()
        super().__init__(self.view)
        preload_pyqtgraph()
        state = viewer_state_of(napari_viewer)
        self.controller = TrainController(state.bundle_registry, self.view, self.runner, state.method_registry)
        self.view.edited.connect(self.controller.edit)
        self.view.start_picked.connect(self.controller.pick_start)
        self.view.start_asked.connect(self.controller.start)
        self.view.stop_asked.connect(self.controller.stop)
        for leave in (self.runner.abandon, self.controller.close):
            self.destroyed.connect(leave)
