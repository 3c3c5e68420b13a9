"""The dock "Think longer here", with view and controller joined."""

from __future__ import annotations

from typing import Any

from voxtrace.plugin.controllers.compat import unwrapped
from voxtrace.plugin.controllers.think import ThinkController
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.think import QtThinkView
from voxtrace.plugin.views.widgets import Panel
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import LatestInBackground, ThreadRunner


class ThinkWidget(Panel):
    """Computes one part of the current result again, and keeps or drops the second answer."""

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        self.view = QtThinkView()
        super().__init__(self.view)
        state = viewer_state_of(napari_viewer)
        self.runner = runner or ThreadRunner(state.engine_turn)
        self.background = LatestInBackground()
        self.controller = ThinkController(
            unwrapped(napari_viewer),
            state.current,
            state.edits,
            state.bundle_registry,
            state.method_registry,
            self.view,
            self.runner,
            self.background,
        )
        self._connect()

    def _connect(self) -> None:
        view, controller = self.view, self.controller
        view.think_asked.connect(controller.think)
        view.stop_asked.connect(controller.cancel)
        view.draw_asked.connect(controller.draw)
        view.keep_asked.connect(controller.keep)
        view.drop_asked.connect(controller.drop)
        for leave in (controller.close, self.background.close):
            self.destroyed.connect(leave)
