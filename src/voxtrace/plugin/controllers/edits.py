"""Drawing on results: edits get a station of their own, the viewer goes there, and a log is kept."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import Any

import numpy as np
from napari.layers import Labels
from psygnal import Signal

from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.label_history import history_of
from voxtrace.plugin.controllers.layers import label_source
from voxtrace.plugin.layers.edited_station import Change
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.plugin.models.correction import Correction
from voxtrace.plugin.models.provenance import ShownLabels, shown_labels
from voxtrace.plugin.models.stations import step_name
from voxtrace.trace.edits import Edit
from voxtrace.volume import Array

DRAWING = ("paint", "erase", "fill", "polygon")


class EditController:
    """Follows what is drawn on the labels layers of one viewer."""

    changed = Signal(object)  # the layer that was edited, or whose edits were undone or redone
    saved = Signal(object)  # the layer that was saved

    def __init__(self, viewer: Any, current: CurrentResult) -> None:
        self._viewer, self._current = viewer, current
        self._drawn: dict[str, list[Any]] = {}  # unique id of a layer without steps -> history items and their edits
        self._connected: set[str] = set()
        self._named: Edit | None = None  # what is being done to a layer without steps, if it is no stroke
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        viewer.mouse_drag_callbacks.append(self._on_press)
        self._on_layers()

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._viewer.layers.events.inserted.disconnect(self._on_layers)
        self._viewer.layers.events.removed.disconnect(self._on_layers)
        self._viewer.mouse_drag_callbacks.remove(self._on_press)

    def edits(self, layer: Labels) -> tuple[Edit, ...]:
        """Return what was changed on a layer, in order, without what was undone."""
        if isinstance(layer.data, StepArray):
            return layer.data.edits
        noted = self._drawn.get(layer.unique_id, [])
        kept = compat.undoable(layer)
        done = [any(atom is one for one in kept) for atom, _ in noted]
        # napari forgets the oldest of many changes: what came before the first that it knows is in effect, too
        return tuple(edit for i, (_, edit) in enumerate(noted) if done[i] or any(done[i:]))

    def start(self, layer: Labels, station: int) -> None:
        """Make the edited station of a layer with steps, as a copy of a station, and go there."""
        layer.data.start_edit(station)
        self._go_to_edited(layer)

    def fit_lengths(self) -> None:
        """Give every result as many stations as the longest: a shorter one keeps its last answer."""
        layers = [layer for layer in self._viewer.layers if isinstance(layer.data, StepArray)]
        longest = max((layer.data.stations for layer in layers), default=0)
        for layer in layers:
            before = layer.data.shape[0]
            layer.data.length = longest
            if layer.data.shape[0] != before:
                compat.remeasure(layer)

    def _on_layers(self, event: Any = None) -> None:
        for layer in self._viewer.layers:
            if isinstance(layer, Labels) and layer.unique_id not in self._connected:
                self._connect(layer)
        self.fit_lengths()

    def _connect(self, layer: Labels) -> None:
        self._connected.add(layer.unique_id)
        layer.events.paint.connect(lambda event: self._on_paint(layer, event.value))
        if isinstance(layer.data, StepArray):
            layer.data.edit_started.connect(lambda station: self._on_started(layer))
            layer.data.edit_changed.connect(lambda: self._on_changed(layer))
            history_of(layer).given_up.connect(lambda: self._on_given_up(layer))
        else:
            history_of(layer).undone.connect(lambda: self.changed.emit(layer))

    def _on_press(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Go to the edited station before a tool draws, and let the whole stroke read and write there."""
        layer = viewer.layers.selection.active
        if not isinstance(layer, Labels) or not isinstance(layer.data, StepArray) or str(layer.mode) not in DRAWING:
            return
        self._make_current(layer)
        if layer.data.stations > layer.data.n_steps and not self._current.is_edited:
            self._go_to_edited(layer)
            viewer.status = "There are edited labels already: drawing goes on there."
        with layer.data.held():
            yield
            while event.type == "mouse_move":
                yield

    def _on_started(self, layer: Labels) -> None:
        if layer not in self._viewer.layers:
            return
        self.fit_lengths()
        compat.remeasure(layer)  # it has one station more, which the slider must reach
        self._make_current(layer)
        self._current.announce_edit()  # first: who follows the slider must know the station that it goes to
        self._go_to_edited(layer)
        self._viewer.status = f"Edits begin as a copy of {origin_of(layer)}; the steps stay as they were computed."

    def _go_to_edited(self, layer: Labels) -> None:
        self._make_current(layer)
        self._current.go(layer.data.n_steps)

    def _make_current(self, layer: Labels) -> None:
        if self._current.layer is not layer:
            self._current.show(layer)

    def apply(self, layer: Labels, correction: Correction, what: str, label: int, index: int | None = None) -> int:
        """Change voxels as one undoable edit, and return how many changed.

        ``index`` is the station that a layer with steps is corrected from, or the frame of a layer over time; by
        default the one on screen.
        """
        index = self._index(layer) if index is None else index
        if correction.where.size:
            if isinstance(layer.data, StepArray):
                self.start(layer, index)
            edit = edit_of(layer, what, label, int(correction.where.size))
            if isinstance(layer.data, StepArray):
                self._apply_to_steps(layer, correction, edit)
            else:
                self._apply_to_array(layer, correction, edit, index)
            layer.refresh(extent=False)
        return int(correction.where.size)

    def _index(self, layer: Labels) -> int:
        """Return the station or frame of a layer that is on screen; 0 for a single volume."""
        if layer.ndim < 4:
            return 0
        here = round(float(self._viewer.dims.point[self._viewer.dims.ndim - 4]))
        return max(0, min(here, int(layer.data.shape[0]) - 1))

    def _apply_to_steps(self, layer: Labels, correction: Correction, edit: Edit) -> None:
        change = layer.data.change(correction.where, correction.values, edit)
        compat.push_undo(layer, (change, change.before, change.after))

    def _apply_to_array(self, layer: Labels, correction: Correction, edit: Edit, frame: int) -> None:
        shape = layer.data.shape
        where = correction.where + frame * int(np.prod(shape[-3:]))
        indices = np.unravel_index(where, shape)
        atom = (indices, np.asarray(layer.data[indices]), correction.values)
        layer.data[indices] = correction.values
        self._named = edit
        compat.push_undo(layer, atom)
        self._named = None

    def _on_paint(self, layer: Labels, item: list[Any]) -> None:
        """Note a stroke; of a layer with steps, exchange what napari keeps for its undo by the change itself."""
        if not isinstance(layer.data, StepArray):
            edit = self._named or _stroke(layer, np.concatenate([_drawn(atom) for atom in item]))
            self._drawn.setdefault(layer.unique_id, []).append((item[0], edit))
            self.changed.emit(layer)
        elif not any(isinstance(atom[0], Change) for atom in item):
            layer.data.when_drawn(lambda: _exchange(layer, item))

    def _on_given_up(self, layer: Labels) -> None:
        """Take back what is left of a stroke on steps: what was drawn on a step lies in the edited labels."""
        layer.data.forget_drawn()
        layer.refresh(extent=False)

    def _on_changed(self, layer: Labels) -> None:
        self.changed.emit(layer)
        if layer is self._current.layer and layer in self._viewer.layers:
            self._current.announce_edit()


def shown_in(viewer: Any, data: Any, edits: EditController) -> ShownLabels:
    """Return which labels of a layer's data are on screen."""
    layer = next((x for x in viewer.layers if isinstance(x, Labels) and x.data is data), None)
    if layer is None:
        return shown_labels(data, None)
    station = round(float(viewer.dims.point[viewer.dims.ndim - 4])) if viewer.dims.ndim > 3 else 0
    return shown_labels(data, label_source(layer), station, edits.edits(layer))


def edit_of(layer: Labels, what: str, label: int, voxels: int = 0) -> Edit:
    """Return an entry of the log for something that is done now."""
    source = label_source(layer)
    name = "background" if label == 0 else (source.names if source else {}).get(label, f"label {label}")
    time = datetime.now().astimezone().isoformat(timespec="seconds")
    return Edit(time, what, label, name, voxels, origin_of(layer))


def origin_of(layer: Labels) -> str:
    """Return the name of the step that a layer's edited labels began from; ``""`` where there are none."""
    source = label_source(layer)
    if not isinstance(layer.data, StepArray) or layer.data.edited_from is None or source is None or not source.trace:
        return ""
    return step_name(source.trace, layer.data.edited_from)


def _exchange(layer: Labels, item: list[Any]) -> None:
    change = layer.data.note(lambda drawn: _stroke(layer, drawn))
    item[:] = [] if change is None else [(change, change.before, change.after)]


def _stroke(layer: Labels, drawn: Array) -> Edit:
    """Return the entry of the log for a stroke that drew these labels (N,)."""
    label = int(np.bincount(drawn).argmax())
    mode = str(layer.mode) if str(layer.mode) in DRAWING else "paint"
    return edit_of(layer, mode, label, int(drawn.size))


def _drawn(atom: tuple[Any, ...]) -> Array:
    """Return the labels (N,) that an entry of napari's history drew: (indices, before, after), or with a mask."""
    before, after = atom[-2:]
    return np.broadcast_to(np.ravel(after), np.size(before))
