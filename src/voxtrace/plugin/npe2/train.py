"""Plugins > VoxTrace > Train or fine-tune: the panel, with view and controller joined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from voxtrace.plugin.controllers.train import TrainController
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.messages import TrainPreview
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.charts import preload_pyqtgraph
from voxtrace.plugin.views.train import QtTrainView
from voxtrace.plugin.views.widgets import Panel
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import LatestInBackground, ThreadRunner


class TrainWidget(Panel):
    """Trains on a dataset folder, from a bundle or from scratch, with live curves."""

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        state = viewer_state_of(napari_viewer)
        self.view, self.runner = QtTrainView(), runner or ThreadRunner(state.engine_turn)
        super().__init__(self.view)
        preload_pyqtgraph()
        self._viewer, self._state = napari_viewer, state
        self._learned: Any = None  # the layer of the held-back case
        background = LatestInBackground()
        self.controller = TrainController(
            state.bundle_registry, self.view, self.runner, state.method_registry, background, self._show_preview
        )
        self.view.edited.connect(self.controller.edit)
        self.view.start_picked.connect(self.controller.pick_start)
        self.view.start_asked.connect(self.controller.start)
        self.view.stop_asked.connect(self.controller.stop)
        self.view.use_asked.connect(self._use)
        state.dataset_changed.connect(self.controller.set_dataset)
        if state.dataset is not None:  # a case was added before this panel opened
            self.controller.set_dataset(state.dataset)
        for leave in (self.runner.abandon, self.controller.close, background.close):
            self.destroyed.connect(leave)
        self.destroyed.connect(lambda: state.dataset_changed.disconnect(self.controller.set_dataset, missing_ok=True))

    def _use(self, folder: Path) -> None:
        """Choose the new bundle in the Segment panel."""
        self._state.open_dock("segment").controller.browse(folder)

    def _show_preview(self, preview: TrainPreview) -> None:
        """Show the held-back case as it is learned: a result whose steps are validations; the last is shown."""
        data, about, _ = preview.labels
        if preview.scan:
            scan = [self._viewer.add_image(pixels, **kept) for pixels, kept, _ in preview.scan]
            source = replace(about["metadata"][display.KEY], scan=scan[0].unique_id)
            about["metadata"][display.KEY] = source
            self._learned = self._viewer.add_labels(data, **about)
        elif self._learned in self._viewer.layers:
            shown = self._learned
            before = shown.metadata[display.KEY]
            shown.data = data
            shown.metadata[display.KEY] = replace(about["metadata"][display.KEY], scan=before.scan)
        current = self._state.current
        if current.layer is not None and current.layer.name == self._learned.name:
            current.show(current.layer)
            current.go(current.steps - 1)
