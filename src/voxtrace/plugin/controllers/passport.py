"""Show the geometry passport of the selected scan."""

from __future__ import annotations

from typing import Any, Protocol

from napari.layers import Image, Layer

from voxtrace.plugin.controllers.layers import known_source, label_source
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.passports import PassportCard, card


class PassportView(Protocol):
    """The setter of the panel's geometry section."""

    def show_passport(self, card: PassportCard | None) -> None:
        """Show the findings of reading a scan; None hides the section."""


class PassportController:
    """Connects a viewer's selection with the panel's geometry section."""

    def __init__(self, viewer: Any, view: PassportView) -> None:
        self._viewer, self._view = viewer, view
        for event in self._events:
            event.connect(self.refresh)
        self.refresh()

    @property
    def _events(self) -> tuple[Any, ...]:
        layers = self._viewer.layers
        return layers.selection.events.active, layers.events.inserted, layers.events.removed

    def close(self) -> None:
        """Disconnect from the viewer."""
        for event in self._events:
            event.disconnect(self.refresh)

    def refresh(self, event: Any = None) -> None:
        """Update from the current selection."""
        source = next((known for layer in self._candidates() if (known := _source(layer))), None)
        self._view.show_passport(card(source.volume) if source else None)

    def _candidates(self) -> list[Layer]:
        """Return the selected layer, the scan it belongs to, and then the other layers from top to bottom."""
        layers, active = list(self._viewer.layers), self._viewer.layers.selection.active
        chosen = [active] if active in layers else []
        about = label_source(active) if chosen else None
        if about is not None:
            chosen += [layer for layer in layers if layer.unique_id == about.scan]
        return [*chosen, *reversed(layers)]


def _source(layer: Layer) -> display.ImageSource | None:
    return known_source(layer) if isinstance(layer, Image) else None
