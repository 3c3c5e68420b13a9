"""The dock "Look here next": places where answers differ, with views and controllers joined."""

from __future__ import annotations

from typing import Any

from voxtrace.plugin.controllers.places import PlacesController
from voxtrace.plugin.controllers.trust import TrustController
from voxtrace.plugin.npe2.settings import viewer_settings
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.places import QtPlacesView
from voxtrace.plugin.views.widgets import Panel
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import LatestInBackground, ThreadRunner


class PlacesWidget(Panel):
    """Lists the places where the answers of the current result differ, and walks through them."""

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        self.view = QtPlacesView()
        super().__init__(self.view)
        self.runner, self.background = runner or ThreadRunner(), LatestInBackground()
        state, settings = viewer_state_of(napari_viewer), viewer_settings()
        self.controller = PlacesController(
            napari_viewer,
            self.view,
            state.current,
            state.edits,
            self.runner,
            lambda: settings.values.undecided_limit_ml,
            state.open_dock,
        )
        self.trust = TrustController(self.view, state.current, lambda: state.bundle_registry.bundles, self.background)
        self._connect()

    def _connect(self) -> None:
        view, controller = self.view, self.controller
        view.source_picked.connect(controller.choose)
        view.place_picked.connect(controller.jump)
        view.contours_toggled.connect(controller.show_contours)
        view.contours_picked.connect(controller.pick_contours)
        for asked, act in (
            (view.accept_asked, controller.accept),
            (view.repaint_asked, controller.repaint),
            (view.replace_asked, controller.replace),
            (view.back_asked, controller.back),
            (view.undo_asked, controller.undo),
            (view.next_asked, controller.next),
        ):
            asked.connect(act)
        for leave in (self.runner.abandon, controller.close, self.trust.close, self.background.close):
            self.destroyed.connect(leave)
