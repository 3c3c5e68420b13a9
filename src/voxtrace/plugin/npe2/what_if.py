"""The dock "What if", with view and controller joined."""

from __future__ import annotations

from typing import Any

from voxtrace.plugin.controllers.compat import unwrapped
from voxtrace.plugin.controllers.what_if import WhatIfController
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.what_if import QtWhatIfView
from voxtrace.plugin.views.widgets import Panel
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import LatestInBackground, ThreadRunner


class WhatIfWidget(Panel):
    """Shows what other settings would have cost and changed, and runs one of them."""

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        self.view = QtWhatIfView()
        super().__init__(self.view)
        state = viewer_state_of(napari_viewer)
        self.runner = runner or ThreadRunner(state.engine_turn)
        self.background, self.compare = LatestInBackground(), LatestInBackground()
        self.controller = WhatIfController(
            unwrapped(napari_viewer),
            state.current,
            state.bundle_registry,
            state.method_registry,
            self.view,
            self.runner,
            self.background,
            self.compare,
        )
        self.view.run_asked.connect(self.controller.run_row)
        self.view.stop_asked.connect(self.controller.cancel)
        for leave in (self.controller.close, self.background.close, self.compare.close):
            self.destroyed.connect(leave)
