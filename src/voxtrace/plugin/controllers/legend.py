"""A legend acts on the layer that it lists: hide, show alone, opacity, outline, and jump to a label."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Container
from functools import partial
from typing import Any, Protocol

import numpy as np
from napari.layers import Labels
from psygnal import SignalInstance

from voxtrace import palette
from voxtrace.plugin.controllers.layers import label_source
from voxtrace.plugin.controllers.scans import transform_of
from voxtrace.plugin.models import planes
from voxtrace.plugin.models.label_places import fullest_voxel

_STYLE = ("opacity", "contour", "visible")


class LegendStyleView(Protocol):
    """The setters of a legend beside its rows."""

    def show_hidden(self, hidden: Container[int]) -> None:
        """Set which labels are hidden on the canvas."""

    def show_style(self, opacity: float, outlined: bool) -> None:
        """Set the opacity, 0 to 1, and whether labels are drawn as outlines."""


class Listed(Protocol):
    """What fills the rows of a legend."""

    @property
    def layer(self) -> Labels | None:
        """The layer whose labels are listed."""


class LegendController:
    """Acts on the layer that a legend lists.

    Parameters
    ----------
    listed, changed
        What fills the rows, and the signal that it lists another layer; the rows follow it first.
    """

    def __init__(
        self,
        viewer: Any,
        view: LegendStyleView,
        background: Callable[[Any, Any, Any], Any],
        listed: Listed,
        changed: SignalInstance,
    ) -> None:
        self._viewer, self._view, self._background = weakref.ref(viewer), view, background
        self._listed, self._changed = listed, changed
        self._hidden: weakref.WeakKeyDictionary[Labels, set[int]] = weakref.WeakKeyDictionary()
        self._followed: Labels | None = None
        self._search: Any = None
        changed.connect(self.refresh)
        self.refresh()

    def close(self) -> None:
        """Disconnect from what is listed."""
        self._changed.disconnect(self.refresh)
        self._follow(None)

    @property
    def layer(self) -> Labels | None:
        """The labels that the legend acts on."""
        layer = self._listed.layer
        return layer if layer is not None and label_source(layer) is not None else None

    def show_label(self, label: int, shown: bool) -> None:
        """Show or hide a label."""
        layer = self.layer
        if layer is not None:
            hidden = self._hidden.setdefault(layer, set())
            self._hide(layer, hidden - {label} if shown else hidden | {label})

    def solo(self, label: int) -> None:
        """Show a label alone; where it is alone already, show every label again."""
        layer, source = self.layer, label_source(self.layer) if self.layer is not None else None
        if layer is None or source is None:
            return
        others = {value for value in source.names if value} - {label}
        self._hide(layer, set() if self._hidden.get(layer) == others else others)

    def set_opacity(self, opacity: float) -> None:
        """Set the opacity of the labels, 0 to 1."""
        if self.layer is not None:
            self.layer.opacity = opacity

    def set_outline(self, outlined: bool) -> None:
        """Draw the labels as outlines, or filled."""
        if self.layer is not None:
            self.layer.contour = int(outlined)

    def jump(self, label: int) -> None:
        """Go to the slice with most of a label; the slices are counted in a thread."""
        viewer, layer = self._viewer(), self.layer
        if viewer is None or layer is None:
            return
        step = min(round(float(viewer.dims.point[viewer.dims.ndim - layer.ndim])), len(layer.data) - 1)
        search = partial(_find, layer.data, step if layer.ndim == 4 else None, label)
        self._search = self._background(search, partial(self._go, layer), lambda sentence: None)

    def refresh(self, event: Any = None) -> None:
        """Show the style of the layer."""
        layer = self.layer
        self._follow(layer)
        if layer is not None:
            self._view.show_style(float(layer.opacity), layer.contour > 0)
            self._view.show_hidden(self._hidden.get(layer, set()))

    def _hide(self, layer: Labels, hidden: set[int]) -> None:
        source = label_source(layer)
        assert source is not None
        self._hidden[layer] = hidden
        layer.colormap = palette.napari_colours(source.colours, hidden)
        self._view.show_hidden(hidden)

    def _go(self, layer: Labels, voxel: tuple[int, int, int] | None) -> None:
        viewer, transform = self._viewer(), transform_of(layer)
        if viewer is None or voxel is None or transform is None or layer not in viewer.layers:
            return
        axes = [viewer.dims.ndim - 3 + axis for axis in range(3)]
        viewer.dims.set_point(axes, planes.world_of(voxel, transform))

    def _follow(self, layer: Labels | None) -> None:
        if layer is self._followed:
            return
        for one, connect in ((self._followed, False), (layer, True)):
            for name in _STYLE if one is not None else ():
                emitter = one.events.emitters[name]  # type: ignore[union-attr]
                (emitter.connect if connect else emitter.disconnect)(self.refresh)
        self._followed = layer


def _find(data: Any, step: int | None, label: int) -> tuple[int, int, int] | None:
    return fullest_voxel(data if step is None else np.asarray(data[step]), label)
