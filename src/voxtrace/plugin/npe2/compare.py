"""The dock "Compare": several results of one scan, with views and controllers joined."""

from __future__ import annotations

from typing import Any

from voxtrace.plugin.controllers.compare import CompareController
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.compare import QtCompareView
from voxtrace.plugin.views.widgets import Panel
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import ThreadRunner
from voxtrace.trace.disagreement import Answers


class CompareWidget(Panel):
    """Compares results of one scan: side by side, where they differ, a vote, a table against a reference."""

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        self.view = QtCompareView()
        super().__init__(self.view)
        self._state = viewer_state_of(napari_viewer)
        self.runner, self.engine = runner or ThreadRunner(), runner or ThreadRunner(self._state.engine_turn)
        self.controller = CompareController(
            napari_viewer,
            self.view,
            self._state.current,
            self.runner,
            self.engine,
            self._state.bundle_registry,
            self._show_places,
        )
        self._connect()

    def _connect(self) -> None:
        view, controller = self.view, self.controller
        for asked, act in (
            (view.ticked, controller.tick),
            (view.reference_picked, controller.pick_reference),
            (view.side_by_side_toggled, controller.toggle_side_by_side),
            (view.differences_asked, controller.find_differences),
            (view.vote_asked, controller.vote),
            (view.score_asked, controller.score),
            (view.cancel_asked, controller.cancel),
            (view.models_asked, controller.run_models),
        ):
            asked.connect(act)
        for leave in (self.runner.abandon, self.engine.abandon, controller.close):
            self.destroyed.connect(leave)

    def _show_places(self, layer: Any, answers: Answers) -> None:
        self._state.open_dock("places").controller.compare(layer, (answers,))
