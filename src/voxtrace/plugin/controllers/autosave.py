"""Keep edits that were not saved, offer them when the same result is shown again, forget them when they are saved."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Labels
from psygnal import Signal

from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.layers import known_source, label_source
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.plugin.work import recovery
from voxtrace.plugin.work.recovery import Unsaved
from voxtrace.trace.edits import EditedLabels

Background = Callable[[Callable[[], Any], Callable[[Any], None], Callable[[str], None]], Any]


class AutosaveController:
    """Knows which layers have unsaved edits; a timer asks it to keep them."""

    offered = Signal(str)  # a sentence that offers edits that were not saved; "" when there are none any more

    def __init__(self, viewer: Any, edits: EditController, background: Background) -> None:
        self._viewer, self._edits, self._background = viewer, edits, background
        self._unsaved: dict[str, tuple[Labels, Path]] = {}  # unique id -> layer, and where its edits are kept
        self._offers: dict[str, EditedLabels] = {}
        self._tasks: list[Any] = []
        edits.changed.connect(self._on_changed)
        edits.saved.connect(self._on_saved)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.selection.events.active.connect(self._on_active)

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._edits.changed.disconnect(self._on_changed)
        self._edits.saved.disconnect(self._on_saved)
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._viewer.layers.selection.events.active.disconnect(self._on_active)

    @property
    def has_unsaved(self) -> bool:
        """Whether edits wait to be kept."""
        return bool(self._unsaved)

    @property
    def sentence(self) -> str:
        """What is offered for the selected layer; ``""`` for nothing."""
        layer = self._viewer.layers.selection.active
        found = self._offers.get(layer.unique_id) if layer is not None else None
        return recovery.offer(found) if found is not None else ""

    def keep(self) -> None:
        """Keep unsaved edits, in a thread."""
        for unsaved in self._take():
            self._tasks = [self._background(partial(recovery.try_keep, unsaved), _ignore, _ignore)]

    def keep_now(self) -> None:
        """Keep unsaved edits before the window closes."""
        for unsaved in self._take():
            recovery.try_keep(unsaved)

    def restore(self) -> None:
        """Take the offered edits of the selected layer as its edited labels."""
        layer = self._viewer.layers.selection.active
        if layer is None or self._offers.pop(layer.unique_id, None) is None:
            return
        folder = self._folder(layer)
        assert folder is not None, "there was an offer from it"
        read = self._background(
            lambda: recovery.recovered(folder), lambda found: self._restore(layer, found), self._tell
        )
        self._tasks.append(read)
        self.offered.emit("")

    def discard(self) -> None:
        """Remove the offered edits of the selected layer."""
        layer = self._viewer.layers.selection.active
        if layer is not None and self._offers.pop(layer.unique_id, None) is not None:
            self._forget(layer)
            self.offered.emit("")

    def _take(self) -> list[Unsaved]:
        waiting, self._unsaved = list(self._unsaved.values()), {}
        return [Unsaved(folder, layer.data, layer.data.edits) for layer, folder in waiting]

    def _restore(self, layer: Labels, found: EditedLabels) -> None:
        if layer in self._viewer.layers:
            layer.data.restore(found.labels, found.edits, found.began)
            layer.refresh(extent=False)

    def _tell(self, sentence: str) -> None:
        self._viewer.status = sentence

    def _on_changed(self, layer: Labels) -> None:
        if isinstance(layer.data, StepArray) and layer.data.edited_from is not None:
            # found out now: when the window closes, the scan is gone before
            folder = None if layer.unique_id in self._unsaved else self._folder(layer)
            if folder is not None:
                self._unsaved[layer.unique_id] = (layer, folder)
            # who draws anew does not want the old edits
            if self._offers.pop(layer.unique_id, None) is not None:
                self.offered.emit("")

    def _on_saved(self, layer: Labels) -> None:
        self._unsaved.pop(layer.unique_id, None)
        if isinstance(layer.data, StepArray):
            self._forget(layer)

    def _on_inserted(self, event: Any) -> None:
        layer = event.value
        folder = self._folder(layer) if isinstance(layer, Labels) and isinstance(layer.data, StepArray) else None
        found = recovery.kept(folder) if folder is not None and layer.data.edited_from is None else None
        if found is not None:
            self._offers[layer.unique_id] = found
            self.offered.emit(recovery.offer(found))

    def _on_active(self, event: Any = None) -> None:
        self.offered.emit(self.sentence)

    def _forget(self, layer: Labels) -> None:
        folder = self._folder(layer)
        if folder is not None and folder.exists():
            self._tasks.append(self._background(lambda: recovery.forget(folder), _ignore, _ignore))

    def _folder(self, layer: Labels) -> Path | None:
        source = label_source(layer)
        if source is None or source.kind != "labels":
            return None
        scan = next((x for x in self._viewer.layers if x.unique_id == source.scan), None)
        known = known_source(scan) if scan is not None else None
        return recovery.recovery_folder(source, known.volume if known is not None else None)


def _ignore(_: Any) -> None:
    """Nothing waits for a recovery file."""
