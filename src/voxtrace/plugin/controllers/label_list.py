"""The legend of a label map that is no result: names, and mL counted in a thread, again after each edit."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from napari.layers import Labels
from psygnal import Signal

from voxtrace.plugin.controllers.label_watch import LabelWatch
from voxtrace.plugin.controllers.layers import label_source
from voxtrace.plugin.controllers.scans import shown_labels
from voxtrace.plugin.layers.display import LabelSource
from voxtrace.plugin.models.panel_state import LegendRow


class LabelListView(Protocol):
    """The setter of the legend."""

    def show_labels(self, rows: Sequence[LegendRow]) -> None:
        """List labels; none hides the legend."""


class LabelListController:
    """Lists the labels of the label map on screen; results of a model have their legend in the Segment panel."""

    changed = Signal()  # another layer is listed, or none

    def __init__(
        self,
        viewer: Any,
        view: LabelListView,
        background: Callable[[Callable[[], Any], Callable[[Any], None]], None],
    ) -> None:
        self._viewer, self._view, self._background = weakref.ref(viewer), view, background
        self._layer: Labels | None = None
        self._edits = LabelWatch(viewer, self._count)
        layers = viewer.layers
        self._events = (layers.selection.events.active, layers.events.removed, layers.events.reordered)
        for event in self._events:
            event.connect(self.refresh)
        layers.events.inserted.connect(self._on_inserted)
        for layer in layers:
            self._watch(layer)
        self.refresh()

    def close(self) -> None:
        """Disconnect from the viewer."""
        viewer = self._viewer()
        if viewer is not None:
            for event in self._events:
                event.disconnect(self.refresh)
            viewer.layers.events.inserted.disconnect(self._on_inserted)
            for layer in viewer.layers:
                layer.events.visible.disconnect(self.refresh)
        self._follow(None)

    @property
    def layer(self) -> Labels | None:
        """The layer whose labels are listed."""
        return self._layer

    def refresh(self, event: Any = None) -> None:
        """List the labels on screen."""
        viewer = self._viewer()
        layer = shown_labels(viewer) if viewer is not None else None
        source = _listed(layer)
        if layer is self._layer and source is not None:
            return
        self._follow(layer if source is not None else None)
        self._view.show_labels(_rows(source, None) if source is not None else ())
        self._count()
        self.changed.emit()

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)
        self.refresh()

    def _watch(self, layer: Any) -> None:
        if isinstance(layer, Labels):
            layer.events.visible.connect(self.refresh)

    def _count(self) -> None:
        layer, source = self._layer, _listed(self._layer)
        if layer is not None and source is not None:
            counted = partial(voxel_counts, layer.data)
            self._background(counted, partial(self._on_counted, weakref.ref(layer), source))

    def _on_counted(self, layer: Callable[[], Labels | None], source: LabelSource, counts: Mapping[int, int]) -> None:
        if self._layer is not None and layer() is self._layer:
            self._view.show_labels(_rows(source, counts))

    def _follow(self, layer: Labels | None) -> None:
        self._edits.follow(layer)
        self._layer = layer


def voxel_counts(data: Any) -> dict[int, int]:
    """Return label value -> voxels of a label map (Z, Y, X), read slice by slice."""
    totals = np.zeros(1, np.int64)
    for index in range(data.shape[0]):
        counts = np.bincount(np.ravel(np.asarray(data[index])))
        totals = np.pad(totals, (0, max(0, counts.size - totals.size)))
        totals[: counts.size] += counts
    return {value: int(count) for value, count in enumerate(totals) if value and count}


def _listed(layer: Labels | None) -> LabelSource | None:
    """Return the source of a label map that is listed here: three axes, not made by a model in this window."""
    source = label_source(layer) if layer is not None else None
    listed = source is not None and source.trace is None and source.kind == "labels"
    return source if listed and layer is not None and layer.ndim == 3 else None


def _rows(source: LabelSource, counts: Mapping[int, int] | None) -> tuple[LegendRow, ...]:
    ml = source.geometry.voxel_ml
    return tuple(
        LegendRow(
            value,
            source.colours.get(value, (1.0, 1.0, 1.0)),
            name,
            None if counts is None else counts.get(value, 0) * ml,
        )
        for value, name in sorted(source.names.items())
        if value
    )
