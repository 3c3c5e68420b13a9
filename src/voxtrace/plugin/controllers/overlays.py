"""Layers beside a result that are made when they are asked for: decisions, windows and the map of settled voxels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from napari.layers import Labels

from voxtrace.palette import ramp
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.layers import display, routing, window_boxes
from voxtrace.plugin.work.latest import Latest
from voxtrace.trace import INDEX, Trace
from voxtrace.trace.places import along_slices, window_groups
from voxtrace.volume import Triple

SETTLED, CONTOURS, WINDOWS = "settled", "settled contours", "windows"


@dataclass(frozen=True, eq=False)
class OverlayKind:
    """A layer that can be asked for: what it is called, and how its data are made."""

    key: str
    title: str
    make: Callable[[str], display.LayerData]


class OverlaysView(Protocol):
    """The setters for layers beside the result."""

    def set_overlays(self, choices: Sequence[tuple[str, str, bool]]) -> None:
        """Offer layers: key, title, whether it is shown."""

    def set_ramp(self, colours: Sequence[Triple], word: str) -> None:
        """Show the colour of each step while the map of settled voxels is shown; none hides them."""


class OverlaysController:
    """Adds layers beside the current result, and hides its labels while the map of settled voxels is shown."""

    def __init__(self, viewer: Any, current: CurrentResult, view: OverlaysView, queue: Latest) -> None:
        self._viewer, self._current, self._view, self._queue = viewer, current, view, queue
        self._kinds: tuple[OverlayKind, ...] = ()
        self._made: dict[tuple[str, str], Labels] = {}  # result's unique id and key -> layer
        self._asked: set[str] = set()  # keys whose layer is being made and shall be shown
        self._hidden: set[str] = set()  # unique ids of results hidden under their map of settled voxels
        current.result_changed.connect(self.refresh)
        viewer.layers.events.removed.connect(self._on_removed)
        self.refresh()

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._current.result_changed.disconnect(self.refresh)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for layer in self._made.values():
            layer.events.visible.disconnect(self._on_visible)
        self._queue.clear()

    def refresh(self) -> None:
        """Offer what the current result has; layers of other results are hidden."""
        trace, layer = self._current.trace, self._current.layer
        self._queue.clear()
        self._asked = set()
        self._kinds = kinds_of(trace) if trace is not None else ()
        for (owner, _), made in self._made.items():
            if layer is None or owner != layer.unique_id:
                made.visible = False
        self._on_visible()

    def show(self, key: str, shown: bool) -> None:
        """Show or hide a layer; the first time it is made in a thread."""
        layer = self._current.layer
        if layer is None:
            return
        stored = SETTLED if key == CONTOURS else key
        known = self._made.get((layer.unique_id, stored))
        if known is not None:
            self._set_shown(key, known, shown)
        elif shown:
            self._asked.add(key)
            kind = next(kind for kind in self._kinds if kind.key == stored)
            name = f"{layer.name} · {kind.title[0].lower()}{kind.title[1:]}"
            self._queue.submit(stored, lambda cancel: kind.make(name), partial(self._add, layer, stored))
        else:
            self._asked.discard(key)

    def _add(self, layer: Labels, key: str, made: display.LayerData) -> None:
        if layer not in self._viewer.layers:
            return
        data, about, _ = made
        active = self._viewer.layers.selection.active
        added = self._viewer.add_labels(data, **about | {"visible": False})
        added.editable = False
        if key not in (SETTLED, WINDOWS):  # tints lie over the scan and under the labels
            self._viewer.layers.move(self._viewer.layers.index(added), self._viewer.layers.index(layer))
        self._made[layer.unique_id, key] = added
        added.events.visible.connect(self._on_visible)
        self._viewer.layers.selection.active = active if active in self._viewer.layers else layer
        for asked in [key, *([CONTOURS] if key == SETTLED else [])]:
            if asked in self._asked:
                self._asked.discard(asked)
                self._set_shown(asked, added, True)

    def _set_shown(self, key: str, layer: Labels, shown: bool) -> None:
        if shown and key in (SETTLED, CONTOURS):
            layer.contour = 1 if key == CONTOURS else 0
        layer.visible = shown
        self._offer()

    def _on_visible(self, event: Any = None) -> None:
        """Hide the labels under the map of settled voxels, whoever showed it, and show them again after it."""
        layer, settled = self._current.layer, self._layer(SETTLED)
        if layer is not None and settled is not None and settled.visible and layer.visible:
            self._hidden.add(layer.unique_id)
            layer.visible = False
        elif settled is None or not settled.visible:
            self._restore()
        self._offer()

    def _restore(self) -> None:
        layer = self._current.layer
        if layer is not None and layer.unique_id in self._hidden:
            self._hidden.discard(layer.unique_id)
            layer.visible = True

    def _offer(self) -> None:
        settled, trace = self._layer(SETTLED), self._current.trace
        shown = settled is not None and settled.visible
        choices = []
        for kind in self._kinds:
            layer = self._layer(kind.key)
            visible = layer is not None and layer.visible
            filled = kind.key != SETTLED or (layer is not None and not layer.contour)
            choices.append((kind.key, kind.title, visible and filled))
            if kind.key == SETTLED:
                contours = visible and not filled
                choices.append((CONTOURS, f"{kind.title}, as contours", contours))
        self._view.set_overlays(choices)
        steps = int(trace.labels.shape[0]) if trace is not None and shown else 0
        self._view.set_ramp(tuple(ramp(steps).values()), trace.step_word if trace is not None else "")

    def _layer(self, key: str) -> Labels | None:
        layer = self._current.layer
        return self._made.get((layer.unique_id, key)) if layer is not None else None

    def _on_removed(self, event: Any = None) -> None:
        gone = [key for key, layer in self._made.items() if layer not in self._viewer.layers]
        for key in gone:
            del self._made[key]
        if gone:
            self._on_visible()


def kinds_of(trace: Trace) -> tuple[OverlayKind, ...]:
    """Return the layers that a trace can show beside its labels."""
    found = []
    if int(trace.labels.shape[0]) > 1:
        title = f"Settled at which {trace.step_word}"
        found.append(OverlayKind(SETTLED, title, partial(display.settled_layer, trace)))
    smaller = window_boxes.has_windows_in_slices(trace)
    for name, unit in trace.units.items():
        if unit == INDEX and (name in trace.slice_facts or name in trace.facts):
            words = name.replace("_", " ")
            found.append(OverlayKind(f"slices:{name}", f"Slices by {words}", partial(_slices, trace, name)))
            if smaller and name in trace.facts:
                make = partial(window_boxes.decisions_layer, trace, name)
                found.append(OverlayKind(f"windows:{name}", f"Windows by {words}", make))
    if smaller:
        found.append(OverlayKind(WINDOWS, "Boxes of windows", partial(_boxes, trace)))
    return tuple(found)


def _slices(trace: Trace, fact: str, name: str) -> display.LayerData:
    row = next(row for row in along_slices(trace, int(trace.labels.shape[0]) - 1) if row.name == fact)
    known = [int(v) for v in row.values if v == v]
    words = [row.value_name(v) for v in range(max([len(row.value_names) - 1, *known, 0]) + 1)]
    return routing.routing_layer(trace, row.values, words, row.costs, name)


def _boxes(trace: Trace, name: str) -> display.LayerData:
    return window_boxes.boxes_layer(trace, window_groups(trace), name)
