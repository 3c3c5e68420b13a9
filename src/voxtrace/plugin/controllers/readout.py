"""Write the intensity, the label and the position of the voxel under the cursor onto the canvas."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from voxtrace.plugin.controllers import compat
from voxtrace.plugin.controllers.label_watch import LabelWatch
from voxtrace.plugin.controllers.layers import known_source, label_source, shows_ct
from voxtrace.plugin.controllers.scans import shown_labels, shown_scan, transform_of
from voxtrace.plugin.layers.display_space import OBLIQUE_FROM_DEG
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.plugin.models import planes
from voxtrace.plugin.models.readout import readout, settled_plane


class ReadoutController:
    """Follows the cursor in 2-D; whichever layer is active, the scan on screen is read."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)
        self._text = ""
        self._settled: tuple[Any, int, Any] = (None, -1, None)  # trace and slice, and the map of that slice
        self._edits = LabelWatch(viewer, self.refresh)
        active = viewer.layers.selection.events.active
        for event in (viewer.cursor.events.position, viewer.dims.events.ndisplay, active):
            event.connect(self.refresh)
        for layer in viewer.layers:
            layer.events.visible.connect(self.refresh)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def text(self) -> str:
        """What is written; ``""`` outside the scan."""
        return self._text

    def refresh(self, event: Any = None) -> None:
        """Write about the voxel under the cursor."""
        viewer = self._viewer()
        if viewer is None:
            return
        text = self._words(viewer, tuple(viewer.cursor.position)) if viewer.dims.ndisplay == 2 else ""
        if text != self._text:
            self._text = text
            compat.set_corner_text(viewer, "readout", "top_left", text)

    def _words(self, viewer: Any, world: tuple[float, ...]) -> str:
        scan = shown_scan(viewer)
        transform = transform_of(scan) if scan is not None else None
        if scan is None or transform is None or len(world) != viewer.dims.ndim:
            return ""
        value = scan.get_value(world, world=True)
        if value is None:
            return ""
        spatial = world[-3:]
        shape = tuple(int(n) for n in scan.data.shape[-3:])
        voxel = planes.voxel_at(spatial, transform, shape)
        label, settled = self._label(viewer, world)
        return readout(float(value), shows_ct(scan), _position(scan, spatial, voxel, shape), label, settled)

    def _label(self, viewer: Any, world: tuple[float, ...]) -> tuple[str, str]:
        layer = shown_labels(viewer)
        self._edits.follow(layer)
        value = layer.get_value(world, world=True) if layer is not None else None
        if layer is None or not value:
            return "", ""
        source = label_source(layer)
        name = source.names.get(int(value), f"label {int(value)}") if source is not None else f"label {int(value)}"
        return name, self._settled_words(layer, world) if source is not None and source.trace is not None else ""

    def _settled_words(self, layer: Labels, world: tuple[float, ...]) -> str:
        """Return when the voxel settled; ``""`` for a trace of one step.

        The steps of one axial slice are read at once and kept, so that moving the cursor reads nothing.
        """
        source, transform = label_source(layer), transform_of(layer)
        assert source is not None
        trace = source.trace
        edited = isinstance(layer.data, StepArray) and layer.data.is_edited(round(float(world[0])))
        if trace is None or transform is None or edited or trace.labels.shape[0] < 2:
            return ""
        shape = trace.labels.shape[1:]
        i, row, column = planes.voxel_at(world[-3:], transform, shape)
        if self._settled[0] is not trace or self._settled[1] != i:
            viewer = self._viewer()
            if viewer is not None and viewer.dims.displayed[0] == viewer.dims.ndim - 3:
                return ""  # in other planes each move of the cursor would read another slice of every step
            self._settled = (trace, i, settled_plane(trace.labels[:, shape[0] - 1 - i]))
        return f"settled at {trace.step_word} {self._settled[2][row, column]}"

    def _on_removed(self, event: Any = None) -> None:
        self._settled = (None, -1, None)
        self.refresh()

    def _on_inserted(self, event: Any) -> None:
        event.value.events.visible.connect(self.refresh)
        self.refresh()


def _position(
    scan: Image, world: tuple[float, ...], voxel: tuple[int, int, int], shape: tuple[int, ...]
) -> tuple[float, ...]:
    """Return the position in the patient along (I, P, L): for an oblique scan that of the voxel, which is exact."""
    source = known_source(scan)
    if source is None or source.volume.geometry.obliquity_deg < OBLIQUE_FROM_DEG:
        return world
    s, p, left = source.volume.geometry.world_mm(np.asarray((shape[0] - 1 - voxel[0], voxel[1], voxel[2]), float))
    return (-float(s), float(p), float(left))
