"""Show a place: sliders and camera move there, and the corners around it are marked."""

from __future__ import annotations

from functools import partial
from typing import Any

from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.slice_lines import SliceLines
from voxtrace.plugin.layers.display_space import layer_transform
from voxtrace.plugin.layers.outlines import FRAME_COLOUR, corners
from voxtrace.plugin.models.places import zoom_for
from voxtrace.trace.disagreement import Place
from voxtrace.volume import Geometry


class PlaceFrame:
    """The corners around the place on screen; one layer, which is made with the first place."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._lines = SliceLines(viewer, "Look here", width_px=2.0, colour=FRAME_COLOUR)

    def show(self, place: Place, geometry: Geometry) -> None:
        """Move to a place on a grid and mark it."""
        self._move(place, geometry)
        self._lines.show(partial(corners, place.box, geometry=geometry), geometry)

    def remove(self) -> None:
        """Take the frame away."""
        self._lines.remove()

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._lines.close()

    def _move(self, place: Place, geometry: Geometry) -> None:
        """Move every slider to the middle of a place, and let it fill a third of the canvas."""
        dims, transform = self._viewer.dims, layer_transform(geometry)
        z, y, x = place.voxel
        index = (geometry.shape[0] - 1 - z, y, x)
        world = [transform.translate_mm[axis] + transform.scale_mm[axis] * index[axis] for axis in range(3)]
        dims.set_point(range(dims.ndim - 3, dims.ndim), world)  # at once: each event reads a slice
        shown = [axis - (dims.ndim - 3) for axis in dims.displayed[-2:]]  # 0 to 2 of (Z, Y, X)
        camera = compat.camera(self._viewer)
        if min(shown) < 0:
            return
        box, spacing = place.box, geometry.spacing_mm
        mm = [(box[axis + 3] - box[axis]) * spacing[axis] for axis in shown]
        middle = {axis: (box[axis] + box[axis + 3] - 1) / 2 for axis in range(3)}
        middle[0] = geometry.shape[0] - 1 - middle[0]
        axes = [axis - (dims.ndim - 3) for axis in dims.displayed]
        centre = [transform.translate_mm[axis] + transform.scale_mm[axis] * middle[axis] for axis in axes]
        camera.center = (*camera.center[: 3 - len(centre)], *centre)
        camera.zoom = zoom_for((mm[0], mm[1]), compat.canvas_size(self._viewer))
