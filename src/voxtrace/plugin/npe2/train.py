"""Plugins > VoxTrace > Train or fine-tune: the panel, put together."""

from __future__ import annotations

from typing import Any

from voxtrace.plugin.controllers.train import TrainController
from voxtrace.plugin.npe2.viewer_state import session_of
from voxtrace.plugin.views.charts import load_early
from voxtrace.plugin.views.train import TrainView
from voxtrace.plugin.views.widgets import Panel
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import ThreadRunner


class TrainWidget(Panel):
    """Trains on a dataset folder, from a bundle or from scratch, with live curves."""

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        self.view, self.runner = TrainView(), runner or ThreadRunner()
        super().__init__(self.view)
        load_early()
        session = session_of(napari_viewer)
        self.controller = TrainController(session.shelf, self.view, self.runner, session.catalogue)
        self.view.edited.connect(self.controller.edit)
        self.view.start_picked.connect(self.controller.pick_start)
        self.view.start_asked.connect(self.controller.start)
        self.view.stop_asked.connect(self.controller.stop)
        for leave in (self.runner.abandon, self.controller.close):
            self.destroyed.connect(leave)
