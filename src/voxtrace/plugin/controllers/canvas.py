"""Furnishes the canvas while a scan is shown: letters at its edges, a scale bar, a contrast slider with room."""

from __future__ import annotations

import weakref
from typing import Any

from napari.layers import Image

from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.layers import known_source
from voxtrace.plugin.layers import contrast
from voxtrace.plugin.layers.display_space import edge_letters


class CanvasController:
    """Follows the viewer's axes: another orientation of the slices, another pair of letters; none in 3-D."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)
        dims = viewer.dims.events
        for event in (dims.order, dims.ndisplay, dims.axis_labels, compat.camera(viewer).events.orientation):
            event.connect(self.refresh)
        viewer.layers.events.inserted.connect(self._welcome)
        viewer.layers.events.removed.connect(self.refresh)
        self.refresh()

    def _welcome(self, event: Any) -> None:
        source = known_source(event.value) if isinstance(event.value, Image) else None
        if source is not None:
            event.value.contrast_limits_range = contrast.widest(source.volume, source.channel)
        self.refresh()

    def refresh(self, event: Any = None) -> None:
        """Write the letters that fit what is shown now."""
        viewer = self._viewer()
        if viewer is None:
            return
        dims, camera = viewer.dims, compat.camera(viewer)
        shown = dims.displayed if len(viewer.layers) and dims.ndisplay == 2 else ()
        letters = edge_letters(dims.axis_labels, shown, [str(way) for way in camera.orientation2d])
        compat.set_edge_letters(viewer, dict(letters))
        if letters:
            compat.scale_bar(viewer).visible = True
