"""Plugins > VoxTrace > Segment and step through: the panel, with views and controllers joined."""

from __future__ import annotations

from typing import Any

from voxtrace.plugin.controllers.passport import PassportController
from voxtrace.plugin.controllers.save import SaveController
from voxtrace.plugin.controllers.segment import SegmentController
from voxtrace.plugin.controllers.steps import StepsController
from voxtrace.plugin.models.messages import SegmentResult
from voxtrace.plugin.npe2.legend import join_legend
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.charts import preload_pyqtgraph
from voxtrace.plugin.views.save import QtSaveView
from voxtrace.plugin.views.segment import QtSegmentView
from voxtrace.plugin.views.steps import QtStepsView
from voxtrace.plugin.views.widgets import Panel
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import ThreadRunner


class SegmentWidget(Panel):
    """Segments the open scan with a bundle and steps through the result."""

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        self.view, self.steps_view, self.save_view = QtSegmentView(), QtStepsView(), QtSaveView()
        super().__init__(self.view, self.steps_view, self.save_view)
        preload_pyqtgraph()
        self.runner, self.saver = runner or ThreadRunner(), ThreadRunner()
        self.steps = StepsController(napari_viewer, self.steps_view)
        self.legend = join_legend(napari_viewer, self.steps_view.legend)
        self.passport = PassportController(napari_viewer, self.view.passport)
        self.save = SaveController(napari_viewer, self.save_view, self.saver, viewer_state_of(napari_viewer).edits)
        state = viewer_state_of(napari_viewer)
        self.controller = SegmentController(
            napari_viewer, state.bundle_registry, self.view, self.runner, self._step_through, state.method_registry
        )
        self._connect()

    def _connect(self) -> None:
        view, controller = self.view, self.controller
        view.bundle_picked.connect(controller.pick_bundle)
        view.folder_picked.connect(controller.browse)
        view.channel_picked.connect(controller.pick_channel)
        view.preset_picked.connect(controller.set_preset)
        view.start_asked.connect(controller.start)
        view.stop_asked.connect(controller.cancel)
        self.steps_view.step_asked.connect(self.steps.go)
        self.steps_view.next_asked.connect(self.steps.advance)
        self.steps_view.settled_asked.connect(self.steps.show_settled)
        self.save_view.path_picked.connect(self.save.save)
        parts = (controller, self.steps, self.legend, self.passport, self.save)
        for leave in (self.runner.abandon, self.saver.abandon, *(part.close for part in parts)):
            self.destroyed.connect(leave)

    def _step_through(self, layer: Any, result: SegmentResult) -> None:
        self.steps.show(layer, result.summary, result.settled)
