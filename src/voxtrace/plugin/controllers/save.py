"""Save what is on screen of the selected labels layer, or of the current result, in a chosen format."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Protocol

from napari.layers import Labels

from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.edits import EditController, shown_in
from voxtrace.plugin.controllers.layers import folder_of, label_source, open_scans
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.formats import suggested_name
from voxtrace.plugin.models.provenance import ShownLabels
from voxtrace.plugin.work import saving
from voxtrace.plugin.work.events import Done, Event, Failed, Progressed, Runner

_NO_IMAGES = "DICOM formats refer to the images that were segmented: open their series, or name the folder they lie in."


class SaveView(Protocol):
    """The setters of the panel's last section."""

    def set_target(self, target: str, suggestion: str, folder: Path | None) -> None:
        """Show which labels would be saved (``""`` for none), their suggested file name, and the scan's folder."""

    def ask_images(self) -> Path | None:
        """Ask for the folder with the DICOM images that were segmented; None when the user cancels."""

    def show_state(self, state: panel_state.PanelState) -> None:
        """Show the state."""


class SaveController:
    """Connects a viewer's labels, a runner and the panel's last section."""

    def __init__(
        self, viewer: Any, view: SaveView, runner: Runner, current: CurrentResult, edits: EditController
    ) -> None:
        self._viewer, self._view, self._runner, self._current, self._edits = viewer, view, runner, current, edits
        self._target: tuple[str, str, Path | None] | None = None
        for event in self._events:
            event.connect(self.refresh)
        edits.changed.connect(self.refresh)
        self.refresh()

    @property
    def _events(self) -> tuple[Any, ...]:
        layers = self._viewer.layers
        return (
            layers.selection.events.active,
            layers.events.inserted,
            layers.events.removed,
            self._viewer.dims.events.point,
            self._current.result_changed,
        )

    def close(self) -> None:
        """Disconnect from the viewer."""
        for event in self._events:
            event.disconnect(self.refresh)
        self._edits.changed.disconnect(self.refresh)

    @property
    def layer(self) -> Labels | None:
        """The selected labels layer, else the current result, else the topmost one; of results the visible ones."""
        active, current = self._viewer.layers.selection.active, self._current.layer
        if isinstance(active, Labels):
            return active
        if current is not None and current.visible:
            return current
        results = (x for x in reversed(self._viewer.layers) if isinstance(x, Labels) and x.visible and _is_result(x))
        return next(results, None)

    def refresh(self, event: Any = None) -> None:
        """Update from the current layers and what is on screen."""
        layer = self.layer
        if layer is None:
            self._set(("", "", None))
            return
        words = self._shown(layer).words
        target = f"{words} of “{layer.name}”" if words else f"“{layer.name}”"
        self._set((target, suggested_name(layer.name), folder_of(layer, self._viewer.layers)))

    def _set(self, target: tuple[str, str, Path | None]) -> None:
        if target != self._target:
            self._target = target
            self._view.set_target(*target)

    def _shown(self, layer: Labels) -> ShownLabels:
        return shown_in(self._viewer, layer.data, self._edits)

    def save(self, path: Path) -> None:
        """Save what is on screen; where a DICOM format needs its source images, ask for their folder."""
        layer = self.layer
        if layer is None or self._runner.busy:
            return
        attributes, scans = layer.as_layer_data_tuple()[1], open_scans(self._viewer.layers)
        lacking = saving.needs_source_images(path, attributes, scans)
        images = self._view.ask_images() if lacking else None
        if lacking and images is None:
            self._view.show_state(panel_state.PanelState(f"{path.name} was not saved. {_NO_IMAGES}", "error"))
            return
        self._view.show_state(panel_state.PanelState(f"Saving {path.name} …", "busy", busy=True))
        shown = self._shown(layer)
        job = partial(saving.saving, path, layer.data, attributes, scans, images, shown)
        self._runner.start(job, partial(self._on_event, layer, shown))

    def _on_event(self, layer: Labels, shown: ShownLabels, event: Event) -> None:
        if isinstance(event, Progressed):
            self._view.show_state(panel_state.working(event.progress))
        elif isinstance(event, Done):
            message = saving.saved_message(event.result, layer.name, shown.words)
            self._view.show_state(panel_state.PanelState(message, "done"))
            if shown.is_edited:
                self._edits.saved.emit(layer)
        else:
            message = event.sentence if isinstance(event, Failed) else "Stopped; nothing was saved."
            self._view.show_state(panel_state.PanelState(message, "error"))


def _is_result(layer: Labels) -> bool:
    source = label_source(layer)
    return source is not None and source.kind == "labels"
