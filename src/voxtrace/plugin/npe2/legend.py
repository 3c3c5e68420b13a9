"""A legend joined with the layer that it lists; the panel that shows it fills its rows."""

from __future__ import annotations

from typing import Any

from psygnal import SignalInstance

from voxtrace.plugin.controllers.compat import unwrapped
from voxtrace.plugin.controllers.legend import LegendController, Listed
from voxtrace.plugin.views.legend import LegendView
from voxtrace.plugin.work.threads import in_background


def join_legend(viewer: Any, view: LegendView, listed: Listed, changed: SignalInstance) -> LegendController:
    """Let the buttons of a legend act on the layer that it lists; keep what is returned, and close it with the panel.

    Whatever fills the rows must be connected to ``changed`` before.
    """
    controller = LegendController(unwrapped(viewer), view, in_background, listed, changed)
    view.shown_asked.connect(controller.show_label)
    view.solo_asked.connect(controller.solo)
    view.jump_asked.connect(controller.jump)
    view.opacity_asked.connect(controller.set_opacity)
    view.outline_asked.connect(controller.set_outline)
    return controller
