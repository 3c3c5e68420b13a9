"""Opacity and outlines of new results, as the preferences say."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels

from voxtrace.plugin.layers import display
from voxtrace.plugin.models.settings import ViewerSettings

OUTLINE_PX = 2


class ResultStyle:
    """Gives each result that is added to a viewer its look; what a person changes afterwards stays."""

    def __init__(self, viewer: Any, settings: ViewerSettings) -> None:
        self._settings = settings
        viewer.layers.events.inserted.connect(self._on_inserted)

    def _on_inserted(self, event: Any) -> None:
        layer = event.value
        source = layer.metadata.get(display.KEY)
        if isinstance(layer, Labels) and isinstance(source, display.LabelSource) and source.kind == "labels":
            layer.opacity = self._settings.values.label_opacity
            layer.contour = OUTLINE_PX if self._settings.values.label_outline else layer.contour
