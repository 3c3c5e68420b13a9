"""Plugins > VoxTrace > Segment and step through: the panel, with views and controllers joined."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer

from voxtrace.plugin.controllers.compat import unwrapped
from voxtrace.plugin.controllers.passport import PassportController
from voxtrace.plugin.controllers.save import SaveController
from voxtrace.plugin.controllers.segment import SegmentController
from voxtrace.plugin.controllers.steps import StepsController
from voxtrace.plugin.npe2.commands import ask_and_open
from voxtrace.plugin.npe2.first_steps import FirstSteps
from voxtrace.plugin.npe2.idle_warmup import IdleWarmup
from voxtrace.plugin.npe2.legend import join_legend
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.charts import preload_pyqtgraph
from voxtrace.plugin.views.save import QtSaveView
from voxtrace.plugin.views.segment import QtSegmentView
from voxtrace.plugin.views.steps import QtStepsView
from voxtrace.plugin.views.widgets import Panel
from voxtrace.plugin.work import warm
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import LatestInBackground, ThreadRunner


class SegmentWidget(Panel):
    """Segments the open scan with a bundle and steps through the result."""

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        self.view, self.steps_view, self.save_view = QtSegmentView(), QtStepsView(), QtSaveView()
        self.state = viewer_state_of(napari_viewer)
        self.first_steps = FirstSteps(self.state.settings, unwrapped(napari_viewer), self.state.current)
        super().__init__(self.first_steps, self.view, self.steps_view, self.save_view)
        preload_pyqtgraph()
        self._viewer = unwrapped(napari_viewer)
        self.runner, self.saver = runner or ThreadRunner(self.state.engine_turn), ThreadRunner()
        self.background = LatestInBackground()
        self.passport = PassportController(napari_viewer, self.view.passport)
        self.steps = StepsController(self.state.current, self.steps_view, lambda: self.state.bundle_registry.bundles)
        current = self.state.current
        self.legend = join_legend(napari_viewer, self.steps_view.legend, current, current.result_changed)
        self.save = SaveController(napari_viewer, self.save_view, self.saver, current, self.state.edits)
        self.controller = SegmentController(
            self._viewer,
            self.state.bundle_registry,
            self.view,
            self.runner,
            lambda layer, result: self._soon.start(),
            self.state.method_registry,
            self.background,
            self._open_scan,
        )
        self._soon = QTimer(self)  # the rulers open once the result is drawn, not in the same moment
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(lambda: self.state.open_dock("rulers"))
        # napari compiles how labels are coloured when the first ones are drawn; here a thread does it before
        self.warming = LatestInBackground()
        self.warming(warm.prepare_layers, self._warm_up)
        self._connect()

    def _connect(self) -> None:
        view, controller = self.view, self.controller
        view.open_asked.connect(self._open_scan)
        view.scan_picked.connect(controller.pick_scan)
        view.bundle_picked.connect(controller.pick_bundle)
        view.folder_picked.connect(controller.browse)
        view.channel_picked.connect(controller.pick_channel)
        view.start_asked.connect(controller.start)
        view.stop_asked.connect(controller.cancel)
        view.remedy_asked.connect(controller.help)
        view.region.picked.connect(controller.pick_region)
        view.region.draw_asked.connect(controller.draw_region)
        view.dock_asked.connect(self.state.open_dock)
        self.save_view.path_picked.connect(self.save.save)
        self.state.current.result_changed.connect(self._offer_next)
        self._offer_next()
        parts = (controller, self.steps, self.legend, self.passport, self.save, self.background, self.warming)
        for leave in (self.saver.abandon, *(part.close for part in parts)):
            self.destroyed.connect(leave)
        self.destroyed.connect(lambda: self.state.current.result_changed.disconnect(self._offer_next))

    def _warm_up(self, _: None) -> None:
        """Go on with what only the thread of the window can prepare."""
        if self.isVisible():  # the window may have been closed meanwhile
            self._warmup = IdleWarmup(self, self._viewer)

    def _offer_next(self) -> None:
        self.view.show_next(self.state.current.layer is not None)

    def _open_scan(self) -> None:
        """Ask for a scan and open it."""
        ask_and_open(self._viewer)
