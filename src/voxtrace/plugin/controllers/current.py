"""The result that a viewer shows: which layer, which station of its time ruler, which slice.

One object for each viewer, which every panel follows: what is shown, saved and counted is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from psygnal import Signal

from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.display_space import flip_z
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.plugin.models.stations import step_name
from voxtrace.trace import Trace
from voxtrace.volume import Array, LabelMap


class CurrentResult:
    """Follows the viewer's active layer and its sliders, and moves them.

    A station is a step of the trace, or at the end the edited labels. Stations, slices and voxels are counted from 0.
    Slices and voxels are those of the canonical grid: z ascends from inferior to superior.
    """

    result_changed = Signal()  # another layer, or none
    step_changed = Signal(int)  # the station on screen
    slice_changed = Signal(int)  # the slice (canonical z) on screen
    edited = Signal()  # the edited station was made or changed
    labels_changed = Signal()  # what is shown has other labels now: another station, or an edit

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.layer: Labels | None = None
        self._known = (-1, -1)  # station and slice that were last announced
        viewer.dims.events.point.connect(self._on_point)
        viewer.layers.selection.events.active.connect(self._on_active)
        viewer.layers.events.removed.connect(self._on_removed)
        self._on_active()

    @property
    def source(self) -> display.LabelSource | None:
        """Names, colours and grid of the labels, and their trace."""
        return result_source(self.layer) if self.layer is not None else None

    @property
    def trace(self) -> Trace | None:
        """The trace of the result."""
        source = self.source
        return source.trace if source is not None else None

    @property
    def scan(self) -> Image | None:
        """The image layer that was segmented, if it is still open."""
        wanted = self.source.scan if self.source is not None else ""
        return next((x for x in self._viewer.layers if isinstance(x, Image) and x.unique_id == wanted), None)

    @property
    def stations(self) -> StepArray | None:
        """The array that the layer shows."""
        data = self.layer.data if self.layer is not None else None
        return data if isinstance(data, StepArray) else None

    @property
    def steps(self) -> int:
        """Number of stations, the edited one included; 0 without a result."""
        stations = self.stations
        return stations.stations if stations is not None else 0

    @property
    def step(self) -> int:
        """The station on screen."""
        return max(0, min(round(self._point("step")), self.steps - 1))

    @property
    def is_edited(self) -> bool:
        """Whether the edited labels are on screen."""
        stations = self.stations
        return stations is not None and stations.is_edited(self.step)

    @property
    def z(self) -> int:
        """The slice on screen."""
        depth = self.stations.shape[1] if self.stations is not None else 1
        return depth - 1 - max(0, min(round(self._index(1)), depth - 1))

    @property
    def shown_step_name(self) -> str:
        """What is on screen, in words: ``"cycle 3"``, ``"edited"``, ``""`` without a result."""
        trace = self.trace
        if trace is None:
            return ""
        return "edited" if self.is_edited else step_name(trace, self.step)

    def show(self, layer: Labels) -> None:
        """Make a layer with steps the current result."""
        self.layer = layer
        self._known = (self.step, self.z)
        self.result_changed.emit()
        self.labels_changed.emit()

    def go(self, step: int) -> None:
        """Show a station."""
        if 0 <= step < self.steps:
            self._viewer.dims.set_point(self._axis("step"), step)

    def go_slice(self, z: int) -> None:
        """Show a slice."""
        stations, layer = self.stations, self.layer
        if stations is not None and layer is not None and 0 <= z < stations.shape[1]:
            self._viewer.dims.set_point(self._axis("I"), self._world(1, stations.shape[1] - 1 - z))

    def go_to(self, z: int, y: int, x: int) -> None:
        """Show a voxel: every slider moves there, and the camera is centred on it."""
        self.go_slice(z)
        if self.layer is None:
            return
        for axis, index in ((2, y), (3, x)):
            self._viewer.dims.set_point(self._viewer.dims.ndim - 4 + axis, self._world(axis, index))
        self._centre()

    def station_labels(self, station: int, z: int) -> Array:
        """Return the labels (Y, X) of one slice of a station."""
        stations = self.stations
        assert stations is not None, "there is no result"
        return stations[station, stations.shape[1] - 1 - z]

    def shown(self) -> LabelMap:
        """Return the label map that is on screen, on its scan's own grid; every voxel is read."""
        source, stations = self.source, self.stations
        assert source is not None, "there is no result"
        assert stations is not None, "there is no result"
        data = np.ascontiguousarray(flip_z(stations.station(self.step)))
        return LabelMap(data, source.geometry, source.names, source.colours, str(self.layer), source.note)

    def volumes_ml(self) -> Mapping[int, float | None]:
        """Return label value -> mL of what is on screen; None where it is not counted."""
        trace, stations = self.trace, self.stations
        if trace is None or stations is None:
            return {}
        counts = stations.counts(self.step)
        ml = trace.geometry.voxel_ml
        known = {value: int(n) * ml for value, n in enumerate(counts)} if counts is not None else {}
        return {value: known.get(value, 0.0 if known else None) for value in trace.names if value}

    def announce_edit(self) -> None:
        """Tell every panel that the edited labels changed."""
        self.edited.emit()
        self.labels_changed.emit()

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._viewer.dims.events.point.disconnect(self._on_point)
        self._viewer.layers.selection.events.active.disconnect(self._on_active)
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _axis(self, name: str) -> int:
        return int(self._viewer.dims.ndim) - {"step": 4, "I": 3, "P": 2, "L": 1}[name]

    def _point(self, name: str) -> float:
        axis = self._axis(name)
        return float(self._viewer.dims.point[axis]) if axis >= 0 else 0.0

    def _index(self, axis: int) -> float:
        """Return the index along an axis of the layer (1 to 3) under the viewer's sliders."""
        layer = self.layer
        if layer is None:
            return 0.0
        world = float(self._viewer.dims.point[self._viewer.dims.ndim - 4 + axis])
        return (world - float(layer.translate[axis])) / float(layer.scale[axis])

    def _world(self, axis: int, index: int) -> float:
        assert self.layer is not None
        return float(self.layer.translate[axis] + self.layer.scale[axis] * index)

    def _centre(self) -> None:
        from voxtrace.plugin.controllers import compat

        camera, dims = compat.camera(self._viewer), self._viewer.dims
        shown = [float(dims.point[axis]) for axis in dims.displayed]
        camera.center = (*camera.center[: 3 - len(shown)], *shown)

    def _on_point(self, event: Any = None) -> None:
        if self.layer is None:
            return
        before, self._known = self._known, (self.step, self.z)
        if before[0] != self._known[0]:
            self.step_changed.emit(self._known[0])
            self.labels_changed.emit()
        if before[1] != self._known[1]:
            self.slice_changed.emit(self._known[1])

    def _on_active(self, event: Any = None) -> None:
        layer = self._viewer.layers.selection.active
        if layer is not None and layer is not self.layer and result_source(layer) is not None:
            self.show(layer)

    def _on_removed(self, event: Any = None) -> None:
        if self.layer is None or self.layer in self._viewer.layers:
            return
        left = [x for x in reversed(self._viewer.layers) if result_source(x) is not None]
        visible = [x for x in left if x.visible]
        if found := next(iter(visible or left), None):
            self.show(found)
            return
        self.layer = None
        self.result_changed.emit()


def result_source(layer: Any) -> display.LabelSource | None:
    """Return the source of a layer that shows the steps of a trace, else None."""
    source = layer.metadata.get(display.KEY)
    is_result = isinstance(source, display.LabelSource) and source.trace is not None and source.kind == "labels"
    return source if is_result and isinstance(layer.data, StepArray) else None
