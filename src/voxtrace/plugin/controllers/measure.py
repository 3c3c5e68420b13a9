"""Measure on the scan: lines and regions are napari shapes, measured on the slice they were drawn on."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from napari.layers import Image, Shapes

from voxtrace.plugin.controllers.label_rows import LabelRows, shown_index
from voxtrace.plugin.controllers.layers import shows_ct
from voxtrace.plugin.controllers.navigation import NavigationController
from voxtrace.plugin.controllers.scans import shown_labels, shown_scan, transform_of
from voxtrace.plugin.layers.display import KEY
from voxtrace.plugin.layers.display_space import AXES, UNITS, LayerTransform
from voxtrace.plugin.models import measures, planes
from voxtrace.plugin.models.measures import Measurement, MeasureSource
from voxtrace.plugin.models.readout import slice_position
from voxtrace.plugin.work.events import Runner

MODES = {
    "line": "add_line",
    "ellipse": "add_ellipse",
    "rectangle": "add_rectangle",
    "polygon": "add_polygon",
    "select": "select",
}
_FINISHED = ("added", "changed", "removed")
_COLOUR = "#ffd54a"


class MeasureView(Protocol):
    """The setters of the measuring dock."""

    def show_measurements(self, rows: Sequence[Measurement]) -> None:
        """List measurements."""

    def show_tool(self, tool: str) -> None:
        """Mark the tool in use; ``""`` for none."""

    def show_message(self, message: str, *, is_error: bool = False) -> None:
        """Show a sentence; ``""`` hides it."""


class MeasureController:
    """Joins the tools with a shapes layer for each scan."""

    def __init__(self, viewer: Any, view: MeasureView, navigation: NavigationController, runner: Runner) -> None:
        self._viewer, self._view, self._navigation = weakref.ref(viewer), view, navigation
        self._layer: Shapes | None = None
        self._rows: tuple[Measurement, ...] = ()
        self._timepoint: int | None = None  # that the rows are of
        self._labels = LabelRows(viewer, runner, self._show, self._say)
        viewer.layers.selection.events.active.connect(self._on_active)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.dims.events.point.connect(self._on_point)
        self._show()

    def close(self) -> None:
        """Disconnect from the viewer."""
        viewer = self._viewer()
        if viewer is not None:
            viewer.layers.selection.events.active.disconnect(self._on_active)
            viewer.layers.events.removed.disconnect(self._on_removed)
            viewer.dims.events.point.disconnect(self._on_point)
        self._labels.close()
        self._follow(None)

    @property
    def table(self) -> str:
        """Every measurement as comma-separated values."""
        return measures.as_csv((*self._rows, *self._labels.rows))

    def use(self, tool: str) -> None:
        """Draw with a tool of ``MODES`` on the scan on screen."""
        viewer, scan = self._viewer(), self._scan
        transform = transform_of(scan) if scan is not None else None
        if viewer is None or scan is None or transform is None:
            self._view.show_message("Open a scan to measure on it.")
            self._view.show_tool("")
            return
        viewer.dims.ndisplay = 2
        layer = self._layer_of(viewer, scan, transform)
        viewer.layers.selection.active = layer
        layer.visible = True
        layer.mode = MODES[tool]
        self._view.show_message(_HINTS[tool])

    def clear(self) -> None:
        """Remove every measurement of the scan on screen."""
        self._labels.forget()
        if self._layer is not None:
            self._layer.data = []
        self.refresh()

    def measure_labels(self) -> None:
        """List volume and intensities of the labels on screen, computed in a thread."""
        viewer, scan = self._viewer(), self._scan
        labels = shown_labels(viewer) if viewer is not None else None
        if viewer is None or scan is None or labels is None:
            self._view.show_message("There are no labels on screen.")
            return
        same = transform_of(labels) == transform_of(scan) and labels.data.shape[-3:] == scan.data.shape[-3:]
        if not same or scan.ndim != 3:
            self._view.show_message("These labels lie on another grid than the scan on screen.", is_error=True)
            return
        self._labels.count(labels, scan, _unit(scan))

    def refresh(self, event: Any = None) -> None:
        """Measure every shape anew and write the results beside them."""
        if event is not None and str(getattr(event.action, "value", event.action)) not in _FINISHED:
            return
        layer, scan = self._layer, self._measured_scan
        if layer is None or scan is None:
            self._rows = ()
            self._show()
            return
        self._timepoint = self._shown_timepoint(scan)
        found = [self._measure(layer, scan, index) for index in range(layer.nshapes)]
        self._rows = tuple(row for row, _ in found)
        features = {"measure": [row.text() for row, _ in found], "plane": [plane for _, plane in found]}
        with layer.events.data.blocker(self.refresh):
            layer.features = features
        self._show()

    @property
    def _scan(self) -> Image | None:
        viewer = self._viewer()
        return shown_scan(viewer) if viewer is not None and self._navigation.spatial else None

    @property
    def _measured_scan(self) -> Image | None:
        """The scan that the shapes were drawn on, where it is still open."""
        viewer = self._viewer()
        if viewer is None or self._layer is None:
            return None
        wanted = self._layer.metadata[KEY].scan
        return next((x for x in viewer.layers if isinstance(x, Image) and x.unique_id == wanted), None)

    def _measure(self, layer: Shapes, scan: Image, index: int) -> tuple[Measurement, int]:
        """Return the measurement of a shape, and the plane it lies in."""
        points, kind = np.asarray(layer.data[index], np.float64), str(layer.shape_type[index])
        kept = layer.features["plane"].iloc[index] if "plane" in layer.features else None
        drawn = self._navigation.plane if kept is None or np.isnan(kept) else int(kept)
        axis = measures.plane_of(points, drawn)
        transform = transform_of(scan)
        assert transform is not None, "checked when the layer was made"
        rows, columns = planes.plane_axes(axis)
        place = int(np.clip(round(float(points[0, axis])), 0, scan.data.shape[-3 + axis] - 1))
        volume = scan.data if self._timepoint is None else scan.data[self._timepoint]
        mm = planes.world_of(points[0], transform)[axis]
        return measures.measure(
            kind,  # type: ignore[arg-type]
            points[:, (rows, columns)],
            (transform.scale_mm[rows], transform.scale_mm[columns]),
            np.asarray(planes.slice_of(volume, axis, place)),
            f"{index + 1} {kind}",
            f"{planes.NAMES[axis]}, {slice_position(axis, mm)}",
            _unit(scan),
        ), axis

    def _shown_timepoint(self, scan: Image) -> int | None:
        return shown_index(self._viewer(), scan) if scan.ndim == 4 else None

    def _layer_of(self, viewer: Any, scan: Image, transform: LayerTransform) -> Shapes:
        known = _drawn_on(viewer, scan)
        if known is not None:
            self._follow(known)
            return known
        layer = viewer.add_shapes(
            ndim=3,
            name=f"Measurements · {scan.name}",
            scale=transform.scale_mm,
            translate=transform.translate_mm,
            units=UNITS,
            axis_labels=AXES,
            metadata={KEY: MeasureSource(scan.unique_id)},
            features={"measure": np.empty(0, object), "plane": np.empty(0, float)},
            text={"string": "{measure}", "color": _COLOUR, "size": 11, "anchor": "upper_left"},
            edge_color=_COLOUR,
            face_color="transparent",
            edge_width=0.4,
            opacity=1.0,
        )
        self._follow(layer)
        return layer

    def _follow(self, layer: Shapes | None) -> None:
        if layer is self._layer:
            return
        if self._layer is not None:
            self._layer.events.data.disconnect(self.refresh)
            self._layer.events.mode.disconnect(self._on_mode)
        self._layer = layer
        if layer is not None:
            layer.events.data.connect(self.refresh)
            layer.events.mode.connect(self._on_mode)

    def _on_mode(self, event: Any = None) -> None:
        used = str(self._layer.mode) if self._layer is not None else ""
        self._view.show_tool(next((tool for tool, mode in MODES.items() if mode == used), ""))

    def _on_active(self, event: Any = None) -> None:
        viewer = self._viewer()
        active = viewer.layers.selection.active if viewer is not None else None
        if active is not None and isinstance(active.metadata.get(KEY), MeasureSource):
            self._follow(active)
            self.refresh()
            self._on_mode()
            return
        self._view.show_tool("")
        scan = self._scan
        if viewer is not None and scan is not None and scan is not self._measured_scan:
            self._follow(_drawn_on(viewer, scan))
            self.refresh()

    def _on_point(self, event: Any = None) -> None:
        """Measure anew where another time point is shown."""
        scan = self._measured_scan
        if scan is not None and self._shown_timepoint(scan) != self._timepoint:
            self.refresh()

    def _on_removed(self, event: Any = None) -> None:
        viewer = self._viewer()
        closed = self._layer not in viewer.layers or self._measured_scan is None if viewer is not None else True
        if self._layer is not None and closed:
            self._follow(None)
            self.refresh()

    def _show(self) -> None:
        self._view.show_measurements((*self._rows, *self._labels.rows))

    def _say(self, sentence: str, is_error: bool) -> None:
        self._view.show_message(sentence, is_error=is_error)


_HINTS = {
    "line": "Drag a line; its length is written beside it.",
    "ellipse": "Drag an ellipse; with Shift it is a circle.",
    "rectangle": "Drag a rectangle.",
    "polygon": "Click the corners; a double click closes the region.",
    "select": "Drag a shape or its corners; Delete removes it.",
}


def _drawn_on(viewer: Any, scan: Image) -> Shapes | None:
    """Return the layer of the shapes that were drawn on a scan."""
    sources = ((layer, layer.metadata.get(KEY)) for layer in viewer.layers)
    return next((x for x, of in sources if isinstance(of, MeasureSource) and of.scan == scan.unique_id), None)


def _unit(scan: Image) -> str:
    return "HU" if shows_ct(scan) else ""
