"""Keep edits that were not saved, offer them when they are wanted again, forget them when they are saved.

Edits of a result are offered with the same result; labels without steps, drawn by hand or opened from a file, with the
scan that they lie on, and come back as a layer of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from psygnal import Signal

from voxtrace.errors import GeometryError
from voxtrace.plugin.controllers.edits import EditController
from voxtrace.plugin.controllers.layers import TRANSFORM, add_layers, known_source, label_source, timepoint_count
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.manual_labels import geometry_drawn_on
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.plugin.work import recovery
from voxtrace.plugin.work.recovery import Unsaved
from voxtrace.trace.edits import EditedLabels
from voxtrace.volume import Geometry, LabelMap

SPATIAL = 3  # axes of labels that lie on one scan
Background = Callable[[Callable[[], Any], Callable[[Any], None], Callable[[str], None]], Any]


class AutosaveController:
    """Knows which layers have unsaved edits; a timer asks it to keep them."""

    offered = Signal(str)  # a sentence that offers edits that were not saved; "" when there are none any more

    def __init__(self, viewer: Any, edits: EditController, background: Background) -> None:
        self._viewer, self._edits, self._background = viewer, edits, background
        self._unsaved: dict[str, tuple[Labels, Path]] = {}  # unique id -> layer, and where its edits are kept
        self._offers: dict[str, EditedLabels] = {}
        self._restored: dict[str, Image] = {}  # unique id of labels that were restored -> the scan they lie on
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
        return [Unsaved(folder, layer.data, self._edits.edits(layer)) for layer, folder in waiting]

    def _restore(self, layer: Layer, found: EditedLabels) -> None:
        if layer not in self._viewer.layers:
            return
        if isinstance(layer, Image):
            [added] = add_layers(self._viewer, [_restored(layer, found)])
            self._restored[added.unique_id] = layer
        else:
            layer.data.restore(found.labels, found.edits, found.began)
            layer.refresh(extent=False)

    def _tell(self, sentence: str) -> None:
        self._viewer.status = sentence

    def _on_changed(self, layer: Labels) -> None:
        if not isinstance(layer.data, StepArray) or layer.data.edited_from is not None:
            # found out now: when the window closes, the scan is gone before
            folder = None if layer.unique_id in self._unsaved else self._folder(layer)
            if folder is not None:
                self._unsaved[layer.unique_id] = (layer, folder)
            # who draws anew does not want the old edits
            scan = self._scan_below(layer)
            offered = [self._offers.pop(one.unique_id, None) for one in (layer, scan) if one is not None]
            if any(found is not None for found in offered):
                self.offered.emit("")

    def _on_saved(self, layer: Labels) -> None:
        self._unsaved.pop(layer.unique_id, None)
        self._forget(layer)

    def _on_inserted(self, event: Any) -> None:
        layer = event.value
        begun = isinstance(layer.data, StepArray) and layer.data.edited_from is not None
        wanted = isinstance(layer, Image) or isinstance(layer.data, StepArray)
        folder = self._folder(layer) if wanted and not begun else None
        found = recovery.kept(folder) if folder is not None else None
        if found is not None:
            self._offers[layer.unique_id] = found
            self.offered.emit(recovery.offer(found))

    def _on_active(self, event: Any = None) -> None:
        self.offered.emit(self.sentence)

    def _forget(self, layer: Labels) -> None:
        folder = self._folder(layer)
        if folder is not None and folder.exists():
            self._tasks.append(self._background(lambda: recovery.forget(folder), _ignore, _ignore))

    def _folder(self, layer: Layer) -> Path | None:
        """Return where edits of a result are kept; of a scan or of other labels, where labels that lie on it are."""
        if not isinstance(layer, Labels):
            known = known_source(layer)
            return recovery.drawn_folder(known.volume) if known is not None and known.channel == 0 else None
        if not isinstance(layer.data, StepArray):
            scan = self._scan_below(layer)
            return self._folder(scan) if scan is not None else None
        return self._result_folder(layer)

    def _scan_below(self, layer: Labels) -> Image | None:
        """Return the scan on which labels without steps lie; None where none is open or they cannot be placed."""
        if (scan := self._restored.get(layer.unique_id)) in self._viewer.layers:
            return scan
        if not isinstance(layer.data, np.ndarray) or layer.ndim != SPATIAL:
            return None
        scans = [x for x in self._viewer.layers if isinstance(x, Image) and timepoint_count(x) == 1]
        known = {x: source for x in scans if (source := known_source(x)) is not None and source.channel == 0}
        try:
            geometry = self._geometry(layer, [source.volume.geometry for source in known.values()])
        except GeometryError:
            return None
        return next((x for x, source in known.items() if source.volume.geometry.is_close(geometry)), None)

    def _geometry(self, layer: Labels, scans: list[Geometry]) -> Geometry:
        source = label_source(layer)
        if source is not None:
            return source.geometry
        attributes = {key: getattr(layer, key) for key in TRANSFORM}
        return geometry_drawn_on(layer.data.shape, attributes, scans)

    def _result_folder(self, layer: Labels) -> Path | None:
        source = label_source(layer)
        if source is None or source.kind != "labels":
            return None
        scan = next((x for x in self._viewer.layers if x.unique_id == source.scan), None)
        known = known_source(scan) if scan is not None else None
        return recovery.recovery_folder(source, known.volume if known is not None else None)


def _restored(scan: Image, found: EditedLabels) -> display.LayerData:
    """Return the layer of labels that were drawn on a scan and not saved."""
    source = known_source(scan)
    assert source is not None, "there was an offer from it"
    labels = LabelMap(np.asarray(found.labels), source.volume.geometry, name=f"{scan.name} · restored labels")
    return display.label_layer(labels)


def _ignore(_: Any) -> None:
    """Nothing waits for a recovery file."""
