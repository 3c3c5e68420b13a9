"""Layers of thin lines that are computed for the slice on screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from napari.layers import Vectors

from voxtrace.plugin.controllers import compat
from voxtrace.plugin.layers.outlines import Lines, SlicePosition, colours_of, lines_layer, slice_at
from voxtrace.volume import Geometry, Triple

Draw = Callable[[SlicePosition], Lines]


class SliceLines:
    """One vectors layer, redrawn when the slice, the plane or the zoom changes; hidden in 3-D.

    Parameters
    ----------
    width_px
        Width of the lines on screen.
    colours
        Label value -> colour; None draws every line in ``colour``.
    """

    def __init__(self, viewer: Any, name: str, width_px: float, colour: Triple = (1.0, 1.0, 1.0)) -> None:
        self._viewer, self._name, self._width_px, self._colour = viewer, name, width_px, colour
        self._layer: Vectors | None = None
        self._draw: Draw | None = None
        self._geometry: Geometry | None = None
        self._colours: Mapping[int, Triple] | None = None
        self._drawn: int | None = None  # the label whose colour all lines have
        dims = viewer.dims.events
        self._moves = (dims.point, dims.order, dims.ndisplay)
        for event in self._moves:
            event.connect(self.redraw)
        compat.camera(viewer).events.zoom.connect(self._on_zoom)

    @property
    def layer(self) -> Vectors | None:
        """The layer, where it is open."""
        return self._layer if self._layer is not None and self._layer in self._viewer.layers else None

    def show(self, draw: Draw, geometry: Geometry, colours: Mapping[int, Triple] | None = None) -> None:
        """Draw lines on the slices of a grid."""
        self._draw, self._geometry, self._colours = draw, geometry, colours
        if self.layer is None:
            active = self._viewer.layers.selection.active
            self._drawn = None
            self._layer = self._viewer.add_vectors(**lines_layer(self._name, self._colour))
            self._viewer.layers.selection.active = active
        self.redraw()
        self._on_zoom()

    def remove(self) -> None:
        """Take the layer away."""
        layer, self._layer, self._draw = self.layer, None, None
        if layer is not None:
            self._viewer.layers.remove(layer)

    def close(self) -> None:
        """Disconnect from the viewer."""
        for event in self._moves:
            event.disconnect(self.redraw)
        compat.camera(self._viewer).events.zoom.disconnect(self._on_zoom)
        self.remove()

    def redraw(self, event: Any = None) -> None:
        """Draw the lines of the slice on screen."""
        layer = self.layer
        if layer is None or self._draw is None:
            return
        where = self._where
        if layer.visible != (where is not None):  # napari lays the whole canvas out anew, even for the same value
            layer.visible = where is not None
        if where is None:
            return
        lines = self._draw(where)
        before = len(layer.data)
        layer.data = lines.vectors
        if self._colours is not None and len(lines.labels):
            one = int(lines.labels[0]) if (lines.labels == lines.labels[0]).all() else None
            # fewer lines of the same colour keep it; napari gives further ones its own
            if one is None or one != self._drawn or len(lines.labels) > before:
                layer.edge_color = colours_of(lines, self._colours)
            self._drawn = one

    @property
    def _where(self) -> SlicePosition | None:
        dims = self._viewer.dims
        if dims.ndisplay != 2 or self._geometry is None:
            return None
        hidden = [axis - (dims.ndim - 3) for axis in dims.not_displayed if axis >= dims.ndim - 3]
        return slice_at(self._geometry, hidden[0], dims.point[hidden[0] + dims.ndim - 3]) if len(hidden) == 1 else None

    def _on_zoom(self, event: Any = None) -> None:
        layer = self.layer
        if layer is not None:
            width = self._width_px / max(compat.camera(self._viewer).zoom, 1e-6) / layer.scale[-1]
            if not np.isclose(width, layer.edge_width):
                layer.edge_width = float(width)
