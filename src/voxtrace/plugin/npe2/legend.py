"""A legend joined with the labels on screen; the panel that shows it fills its rows."""

from __future__ import annotations

from typing import Any

from voxtrace.plugin.controllers.compat import unwrapped
from voxtrace.plugin.controllers.legend import LegendController
from voxtrace.plugin.views.legend import LegendView
from voxtrace.plugin.work.threads import in_background


def join_legend(viewer: Any, view: LegendView) -> LegendController:
    """Let the buttons of a legend act on the labels on screen; keep what is returned, and close it with the panel."""
    controller = LegendController(unwrapped(viewer), view, in_background)
    view.shown_asked.connect(controller.show_label)
    view.solo_asked.connect(controller.solo)
    view.jump_asked.connect(controller.jump)
    view.opacity_asked.connect(controller.set_opacity)
    view.outline_asked.connect(controller.set_outline)
    return controller
