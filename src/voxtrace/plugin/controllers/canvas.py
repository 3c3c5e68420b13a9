"""What is written on the canvas, and how mouse and keys move through a scan."""

from __future__ import annotations

import weakref
from typing import Any

from napari.layers import Image

from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.contrast import ContrastController
from voxtrace.plugin.controllers.layers import known_source, map_source
from voxtrace.plugin.controllers.navigation import NavigationController
from voxtrace.plugin.controllers.readout import ReadoutController
from voxtrace.plugin.layers import contrast
from voxtrace.plugin.layers.display_space import camera_letters, edge_letters, viewpoint
from voxtrace.plugin.models.settings import ViewerSettings


class CanvasController:
    """Orientation letters at the edges, the scale bar, and in 3-D the side from which the patient is seen.

    Attributes
    ----------
    navigation
        Planes, slices and steps by wheel and keys.
    contrast
        Presets, and window and level by dragging.
    readout
        Position and intensity under the cursor.
    """

    def __init__(self, viewer: Any, settings: ViewerSettings) -> None:
        self._viewer = weakref.ref(viewer)
        self.navigation = NavigationController(viewer)
        self.contrast, self.readout = ContrastController(viewer, settings), ReadoutController(viewer)
        dims, camera = viewer.dims.events, compat.camera(viewer).events
        for event in (dims.order, dims.ndisplay, dims.axis_labels, camera.orientation, camera.angles):
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
        letters, seen = _letters(viewer, bool(self.navigation.spatial))
        compat.set_edge_letters(viewer, letters)
        compat.set_corner_text(viewer, "viewpoint", "top_left", seen)
        if letters:
            compat.scale_bar(viewer).visible = True


def _letters(viewer: Any, is_scan: bool) -> tuple[dict[str, str], str]:
    """Return the letters at the edges of the canvas, and for a 3-D view from where the patient is seen."""
    dims, camera = viewer.dims, compat.camera(viewer)
    if not len(viewer.layers):
        return {}, ""
    if dims.ndisplay == 3:
        if not is_scan:
            return {}, ""
        return dict(camera_letters(camera.view_direction, camera.up_direction)), viewpoint(camera.view_direction)
    return dict(edge_letters(compat.axis_names(viewer), dims.displayed, [str(way) for way in camera.orientation2d])), ""
