"""Plugins > VoxTrace > Correct: draw on labels, correct whole labels, keep what was corrected."""

from __future__ import annotations

from typing import Any

from voxtrace.plugin.controllers.autosave import AutosaveController
from voxtrace.plugin.controllers.correct import CorrectController
from voxtrace.plugin.controllers.keep import KeepController
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.correct import QtCorrectView
from voxtrace.plugin.views.keep import QtKeepView
from voxtrace.plugin.views.pdf import write_pdf
from voxtrace.plugin.views.widgets import Panel
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import ThreadRunner


class CorrectWidget(Panel):
    """Corrects the labels on screen."""

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        self.view, self.keep_view = QtCorrectView(), QtKeepView()
        super().__init__(self.view, self.keep_view)
        self.runner, self.keeper = runner or ThreadRunner(), ThreadRunner()
        state = viewer_state_of(napari_viewer)
        self._settings = state.settings
        self.controller = CorrectController(napari_viewer, self.view, self.runner, state.current, state.edits)
        self.autosave = state.autosave.controller if state.autosave is not None else None
        self.keep = KeepController(
            napari_viewer,
            self.keep_view,
            self.keeper,
            self.controller,
            state.edits,
            write_pdf,
            state.dataset_changed.emit,
            lambda: state.bundle_registry.bundles,
        )
        self._connect()

    def _connect(self) -> None:
        view, controller = self.view, self.controller
        view.label_picked.connect(controller.pick_label)
        view.tool_picked.connect(controller.pick_tool)
        view.brush_changed.connect(controller.set_brush)
        view.in_3d_changed.connect(controller.set_in_3d)
        view.protect_changed.connect(controller.set_protect)
        view.undo_asked.connect(controller.undo)
        view.redo_asked.connect(controller.redo)
        view.operation_asked.connect(controller.apply)
        self.keep_view.everything_asked.connect(self.keep.save_everything)
        self.keep_view.case_asked.connect(self.keep.add_case)
        self.keep_view.stop_asked.connect(self.keep.stop)
        self.keep_view.patient.setChecked(self._settings.values.include_patient_name)
        self.keep_view.patient.toggled.connect(self._remember_patient)
        for leave in (self.runner.abandon, self.keeper.abandon, controller.close, self.keep.close):
            self.destroyed.connect(leave)
        if self.autosave is not None:
            self._offer(self.autosave)

    def _remember_patient(self, included: bool) -> None:
        self._settings.update(include_patient_name=included)

    def _offer(self, autosave: AutosaveController) -> None:
        """Offer edits that were not saved."""
        offer = self.view.offer_recovery
        self.view.restore_asked.connect(autosave.restore)
        self.view.discard_asked.connect(autosave.discard)
        autosave.offered.connect(offer)
        offer(autosave.sentence)
        self.destroyed.connect(lambda: autosave.offered.disconnect(offer))
