"""Tell when the voxels of a labels layer change, whoever changes them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from napari.layers import Labels

from voxtrace.plugin.controllers import compat


class LabelWatch:
    """Calls back when labels of the layer that is followed were changed.

    napari tells of what a tool draws. After undo, redo, and what programs write, it only draws the layer anew, which it
    does for another slice, too: then a change is told where neither the slice nor the look of the layer is another, or
    where something else can be undone.
    """

    def __init__(self, viewer: Any, callback: Callable[[], None]) -> None:
        self._viewer, self._callback = weakref.ref(compat.unwrapped(viewer)), callback
        self._layer: Labels | None = None
        self._look: Any = None
        self._undoable: Any = None

    def follow(self, layer: Labels | None) -> None:
        """Follow another layer, or none."""
        layer = compat.unwrapped(layer)
        if self._layer is not None:
            for event, callback in self._events(self._layer):
                event.disconnect(callback)
        self._layer = layer
        if layer is not None:
            for event, callback in self._events(layer):
                event.connect(callback)
        self._remember()

    def _events(self, layer: Labels) -> tuple[tuple[Any, Callable[..., None]], ...]:
        events, told = layer.events, self._on_told
        # hiding draws nothing; showing draws, and only then tells
        drawn, visible = (events.set_data, self._on_drawn), (events.visible, self._remember)
        return (events.labels_update, told), (events.data, told), drawn, visible

    def _on_told(self, event: Any = None) -> None:
        self._remember()
        self._callback()

    def _on_drawn(self, event: Any = None) -> None:
        look, undoable = self._look, self._undoable
        self._remember()
        if look == self._look or undoable != self._undoable:
            self._callback()

    def _remember(self, event: Any = None) -> None:
        layer, viewer = self._layer, self._viewer()
        if layer is None or viewer is None:
            self._look = self._undoable = None
            return
        dims = viewer.dims
        place = (tuple(dims.point), tuple(dims.order), dims.ndisplay)
        look = (layer.visible, layer.contour, id(layer.colormap), layer.show_selected_label, layer.selected_label)
        self._look = (*place, *look)
        self._undoable = [id(atom) for atom in compat.undoable(layer)]
