"""Tell when the voxels of a labels layer change, whoever changes them, and whether the layer is shown or hidden."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from napari.layers import Labels

from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.label_history import history_of
from voxtrace.plugin.layers.step_array import StepArray


class LabelWatch:
    """Calls back when labels of the layer that is followed were changed.

    napari tells of what a tool draws. After undo, redo, a stroke that is given up, a correction and what programs
    write, it only draws the layer anew, which it does for another slice, too: then a change is told where neither the
    slice nor the look of the layer is another. A hidden layer it does not draw: there :class:`LabelHistory` and the
    edits tell, and what programs write is not told.
    """

    def __init__(self, viewer: Any, callback: Callable[[], None]) -> None:
        self._viewer, self._callback = weakref.ref(compat.unwrapped(viewer)), callback
        self._followed: weakref.ref[Labels] | None = None  # a layer that is closed is let go
        self._look: Any = None

    @property
    def _layer(self) -> Labels | None:
        return self._followed() if self._followed is not None else None

    def follow(self, layer: Labels | None) -> None:
        """Follow another layer, or none."""
        layer, before = compat.unwrapped(layer), self._layer
        if layer is before:
            return
        if before is not None:
            for event, callback in self._events(before):
                event.disconnect(callback)
        self._followed = weakref.ref(layer) if layer is not None else None
        if layer is not None:
            for event, callback in self._events(layer):
                event.connect(callback)
        self._remember()

    def _events(self, layer: Labels) -> list[tuple[Any, Callable[..., None]]]:
        events, history = layer.events, history_of(layer)
        edited = [events.paint, history.undone, history.given_up]
        if isinstance(layer.data, StepArray):
            edited.append(layer.data.edit_changed)
        # hiding draws nothing; showing draws, and only then tells
        drawn, visible = (events.set_data, self._on_drawn), (events.visible, self._remember)
        told = ((event, self._on_told) for event in (events.labels_update, events.data))
        return [*told, drawn, visible, *((event, self._on_edited) for event in edited)]

    def _on_told(self, event: Any = None) -> None:
        self._remember()
        self._callback()

    def _on_drawn(self, event: Any = None) -> None:
        look = self._look
        self._remember()
        if look == self._look:
            self._callback()

    def _on_edited(self, event: Any = None) -> None:
        layer = self._layer
        if layer is not None and not layer.visible:
            self._on_told()

    def _remember(self, event: Any = None) -> None:
        layer, viewer = self._layer, self._viewer()
        if layer is None or viewer is None:
            self._look = None
            return
        dims = viewer.dims
        place = (tuple(dims.point)[-layer.ndim :], tuple(dims.order), dims.ndisplay)
        alone = layer.selected_label if layer.show_selected_label else None
        self._look = (*place, layer.visible, layer.contour, id(layer.colormap), alone)
