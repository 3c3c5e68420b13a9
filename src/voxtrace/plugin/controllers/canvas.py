"""Orientation letters, the scale bar and the range of the contrast slider while a scan is shown."""

from __future__ import annotations

import weakref
from typing import Any

from napari.layers import Image

from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.layers import known_source, map_source
from voxtrace.plugin.layers import contrast
from voxtrace.plugin.layers.display_space import edge_letters


class CanvasController:
    """Updates the orientation letters when the viewer's axes change; there are none in 3-D."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)
        dims = viewer.dims.events
        for event in (dims.order, dims.ndisplay, dims.axis_labels, compat.camera(viewer).events.orientation):
            event.connect(self.refresh)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self.refresh)
        self.refresh()

    def _on_inserted(self, event: Any) -> None:
        source = known_source(event.value) if isinstance(event.value, Image) else None
        if source is not None:
            event.value.contrast_limits_range = contrast.limits_range(source.volume, source.channel)
        if map_source(event.value) is not None:
            compat.show_colour_bar(event.value)
        self.refresh()

    def refresh(self, event: Any = None) -> None:
        """Write the letters for the current view."""
        viewer = self._viewer()
        if viewer is None:
            return
        dims, camera = viewer.dims, compat.camera(viewer)
        shown = dims.displayed if len(viewer.layers) and dims.ndisplay == 2 else ()
        letters = edge_letters(dims.axis_labels, shown, [str(way) for way in camera.orientation2d])
        compat.set_edge_letters(viewer, dict(letters))
        if letters:
            compat.scale_bar(viewer).visible = True
