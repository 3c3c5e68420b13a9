"""Draw on labels and correct whole labels, in mm and by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from napari.layers import Labels

from voxtrace import palette
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController, shown_in
from voxtrace.plugin.controllers.layers import label_source
from voxtrace.plugin.models import correct_form
from voxtrace.plugin.models.correct_form import DrawState, LabelChoice, OperationChoice
from voxtrace.plugin.models.correction import Box, Correction, Operation
from voxtrace.plugin.models.panel_state import PanelState, working
from voxtrace.plugin.work.correcting import correcting
from voxtrace.plugin.work.events import Done, Event, Failed, Progressed, Runner
from voxtrace.volume import Triple

_LAYER_EVENTS = ("mode", "brush_size", "n_edit_dimensions", "preserve_labels")


class CorrectView(Protocol):
    """The setters of the Correct section."""

    def set_target(self, sentence: str, labels: Sequence[LabelChoice]) -> None:
        """Show which labels are corrected, and the labels that can be drawn; none disables the section."""

    def set_drawing(self, state: DrawState) -> None:
        """Show the tool, label and brush in use."""

    def set_log(self, lines: str) -> None:
        """Show the last edits."""

    def show_state(self, state: PanelState) -> None:
        """Show the state of a job."""


class CorrectController:
    """Connects a viewer's labels, a runner and the Correct section."""

    def __init__(
        self, viewer: Any, view: CorrectView, runner: Runner, current: CurrentResult, edits: EditController
    ) -> None:
        self._viewer, self._view, self._runner, self._current, self._edits = viewer, view, runner, current, edits
        self._layer: Labels | None = None
        self._target: tuple[str, tuple[LabelChoice, ...]] | None = None
        viewer.layers.selection.events.active.connect(self.refresh)
        viewer.layers.events.removed.connect(self.refresh)
        viewer.dims.events.order.connect(self._show_drawing)
        for signal in self._signals:
            signal.connect(self.refresh)
        self.refresh()

    @property
    def _signals(self) -> tuple[Any, ...]:
        return self._current.result_changed, self._current.step_changed, self._edits.changed

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._viewer.layers.selection.events.active.disconnect(self.refresh)
        self._viewer.layers.events.removed.disconnect(self.refresh)
        self._viewer.dims.events.order.disconnect(self._show_drawing)
        for signal in self._signals:
            signal.disconnect(self.refresh)
        self._follow(None)

    @property
    def layer(self) -> Labels | None:
        """The labels layer that is corrected: the selected one, else the current result."""
        active = self._viewer.layers.selection.active
        layer = active if isinstance(active, Labels) else self._current.layer
        return layer if layer in self._viewer.layers else None

    def refresh(self, *_: Any) -> None:
        """Update from the current layers and what is on screen."""
        layer = self.layer
        self._follow(layer)
        if layer is None:
            self._set_target(correct_form.target_sentence("", "", ()), ())
            self._view.set_log("")
            return
        edits = self._edits.edits(layer)
        words = shown_in(self._viewer, layer.data, self._edits).words
        self._set_target(correct_form.target_sentence(layer.name, words, edits), _choices(layer))
        self._view.set_log(correct_form.edit_lines(edits))
        self._show_drawing()

    def pick_label(self, value: int) -> None:
        """Draw this label."""
        if self._layer is not None:
            self._layer.selected_label = value

    def pick_tool(self, tool: str) -> None:
        """Use one of napari's tools on the layer."""
        layer = self.layer
        if layer is not None:
            self._viewer.layers.selection.active = layer
            layer.mode = tool

    def set_brush(self, diameter_mm: float) -> None:
        """Set the brush's diameter."""
        if self._layer is not None:
            self._layer.brush_size = max(1, round(diameter_mm / self._finest_mm(self._layer)))

    def set_in_3d(self, wanted: bool) -> None:
        """Draw in three directions, or in the slice on screen."""
        if self._layer is not None:
            self._layer.n_edit_dimensions = 3 if wanted else 2

    def set_protect(self, wanted: bool) -> None:
        """Let drawing change background and its own label only."""
        if self._layer is not None:
            self._layer.preserve_labels = wanted

    def undo(self) -> None:
        """Take the last change back."""
        if self._layer is not None:
            before = self._edits.edits(self._layer)
            self._layer.undo()
            after = self._edits.edits(self._layer)
            self._tell(
                f"Taken back: {before[-1].sentence[6:]}." if len(after) < len(before) else "Nothing to take back."
            )

    def redo(self) -> None:
        """Make the last change that was taken back again."""
        if self._layer is not None:
            before = self._edits.edits(self._layer)
            self._layer.redo()
            after = self._edits.edits(self._layer)
            self._tell(
                f"Made again: {after[-1].sentence[6:]}." if len(after) > len(before) else "Nothing to make again."
            )

    def _tell(self, sentence: str) -> None:
        self.refresh()
        if not self._runner.busy:
            self._view.show_state(PanelState(sentence))

    def apply(self, choice: OperationChoice) -> None:
        """Correct the selected label in a thread."""
        layer = self.layer
        if layer is None or self._runner.busy:
            return
        label, index, axis = int(layer.selected_label), self._index(layer), self._axis
        box = self._box(layer, choice, axis)
        operation = Operation(choice.kind, label, choice.amount, choice.in_plane, axis, box, choice.protect)
        self._view.show_state(PanelState(f"{choice.words[:1].upper()}{choice.words[1:]} …", "busy", busy=True))
        job = partial(correcting, layer.data, index, operation, _spacing(layer), choice.words)
        self._runner.start(job, partial(self._on_event, layer, label, index, choice))

    def _on_event(self, layer: Labels, label: int, index: int, choice: OperationChoice, event: Event) -> None:
        if isinstance(event, Progressed):
            self._view.show_state(working(event.progress))
        elif isinstance(event, Done):
            self._finish(layer, label, index, choice, event.result)
        else:
            message = event.sentence if isinstance(event, Failed) else "Stopped; nothing was changed."
            self._view.show_state(PanelState(message, "error"))

    def _finish(self, layer: Labels, label: int, index: int, choice: OperationChoice, found: Correction) -> None:
        if layer not in self._viewer.layers:
            self._view.show_state(PanelState("The layer was closed while it was corrected; nothing was changed."))
            return
        count = self._edits.apply(layer, found, choice.words, label, index)
        name = next((one.name for one in _choices(layer) if one.value == label), f"label {label}")
        voxel_ml = float(np.prod(_spacing(layer))) / 1000
        message = correct_form.changed_sentence(choice.words, name, count, voxel_ml)
        self._view.show_state(PanelState(message, "done" if count else "hint"))

    def _set_target(self, sentence: str, labels: tuple[LabelChoice, ...]) -> None:
        if (sentence, labels) != self._target:
            self._target = (sentence, labels)
            self._view.set_target(sentence, labels)

    def _show_drawing(self, event: Any = None) -> None:
        layer = self._layer
        if layer is None:
            return
        self._view.set_drawing(
            DrawState(
                tool=str(layer.mode),
                label=int(layer.selected_label),
                brush_mm=float(layer.brush_size) * self._finest_mm(layer),
                in_3d=layer.n_edit_dimensions > 2,
                protect=bool(layer.preserve_labels),
            )
        )

    def _follow(self, layer: Labels | None) -> None:
        if layer is self._layer:
            return
        if self._layer is not None:
            for name in _LAYER_EVENTS:
                getattr(self._layer.events, name).disconnect(self._show_drawing)
            self._layer.events.selected_label.disconnect(self.refresh)
        self._layer = layer
        if layer is not None:
            for name in _LAYER_EVENTS:
                getattr(layer.events, name).connect(self._show_drawing)
            layer.events.selected_label.connect(self.refresh)  # without names it is the one that is offered

    def _finest_mm(self, layer: Labels) -> float:
        """Return the size of a voxel that napari counts a brush in: the smallest in the directions that are painted."""
        more = self._viewer.dims.ndim - layer.ndim  # axes of the viewer that the layer does not have
        order = [axis - more for axis in self._viewer.dims.order if axis >= more]
        return float(np.abs(layer.scale[order[-layer.n_edit_dimensions :]]).min())

    @property
    def _axis(self) -> int:
        """The spatial axis along which slices lie, 0 to 2; in a 3-D view the first."""
        dims = self._viewer.dims
        hidden = [axis - (dims.ndim - 3) for axis in dims.not_displayed if axis >= dims.ndim - 3]
        return int(hidden[-1]) if hidden else 0

    def _index(self, layer: Labels) -> int:
        """Return the station or frame on screen."""
        if layer.ndim < 4:
            return 0
        here = round(float(self._viewer.dims.point[self._viewer.dims.ndim - 4]))
        return max(0, min(here, int(layer.data.shape[0]) - 1))

    def _box(self, layer: Labels, choice: OperationChoice, axis: int) -> Box | None:
        if choice.scope == "volume":
            return None
        shape = layer.data.shape[-3:]
        box = [slice(0, int(n)) for n in shape]
        if choice.scope == "slice":
            point = layer.world_to_data(self._viewer.dims.point)[-3:]
            here = max(0, min(round(float(point[axis])), int(shape[axis]) - 1))
            box[axis] = slice(here, here + 1)
        else:
            low, high = np.asarray(layer.corner_pixels)[:, -3:]
            shown = [a - (self._viewer.dims.ndim - 3) for a in self._viewer.dims.displayed]
            for one in shown:
                box[one] = slice(max(0, int(low[one])), min(int(high[one]) + 1, int(shape[one])))
        return box[0], box[1], box[2]


def _spacing(layer: Labels) -> Triple:
    first, second, third = (float(abs(v)) for v in layer.scale[-3:])
    return first, second, third


def _choices(layer: Labels) -> tuple[LabelChoice, ...]:
    """Return the labels that can be drawn: those with a name, else the one that napari has selected."""
    source = label_source(layer)
    if source is not None and source.names:
        colours = palette.colours(sorted(source.names), source.colours)
        return tuple(LabelChoice(value, name, colours[value]) for value, name in source.names.items() if value)
    value = int(layer.selected_label)
    red, green, blue = (float(v) for v in layer.get_color(value)[:3]) if value else (0.0, 0.0, 0.0)
    return (LabelChoice(value, f"label {value}", (red, green, blue)),)
