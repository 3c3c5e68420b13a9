"""Keep the film strip at the plane that the viewer shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from napari.layers import Image, Labels

from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.plugin.models.thumbnails import Crop, around, colour_table, whole
from voxtrace.plugin.work.film import FilmRequest, Thumbnails, film
from voxtrace.plugin.work.lane_counts import Extent
from voxtrace.plugin.work.latest import Latest

Wanted = tuple[tuple[int, int], ...]


class FilmView(Protocol):
    """The setters of the film strip."""

    def set_thumbnails(self, pictures: Mapping[tuple[int, int], Any], sentence: str) -> None:
        """Show pictures (H, W, 3) by row and station; the sentence names the plane."""


class FilmController:
    """Draws thumbnails when the plane, the labels, the contrast or the colours change."""

    def __init__(self, viewer: Any, current: CurrentResult, view: FilmView, queue: Latest) -> None:
        self._viewer, self._current, self._view, self._queue = viewer, current, view, queue
        self._wanted: Wanted = ()
        self._most = (64, 96)
        self._rows: Sequence[StepArray] = ()
        self._extent: Extent = (0, 0, 0, 0, 0, 0)
        self._watched: list[Any] = []
        self._drawn = (-1, -1)  # axis and index of the plane that was asked for last
        dims = viewer.dims.events
        for event in (dims.point, dims.order, dims.ndisplay):
            event.connect(self._on_plane)
        current.result_changed.connect(self._on_result)
        current.edited.connect(self.refresh)
        self._on_result()

    def close(self) -> None:
        """Disconnect from the viewer."""
        dims = self._viewer.dims.events
        for event in (dims.point, dims.order, dims.ndisplay):
            event.disconnect(self._on_plane)
        for event in self._watched:
            event.disconnect(self.refresh)
        self._watched = []
        self._current.result_changed.disconnect(self._on_result)
        self._current.edited.disconnect(self.refresh)

    def want(self, wanted: Wanted, most: tuple[int, int]) -> None:
        """Draw these rows and stations, at most so many pixels high and wide."""
        self._wanted, self._most = wanted, most
        self.refresh()

    def set_extent(self, extent: Extent) -> None:
        """Show the part of each plane around this box of canonical voxels."""
        self._extent = extent
        self.refresh()

    def _on_plane(self, event: Any = None) -> None:
        """Draw the thumbnails anew where another plane is shown; going along the steps shows the same one."""
        stations = self._current.stations
        if stations is not None and self._plane(stations) != self._drawn:
            self.refresh()

    def refresh(self, event: Any = None) -> None:
        """Draw the thumbnails anew."""
        request = self._request()
        if request is not None:
            self._drawn = request.axis, request.index
            self._queue.submit("film", partial(film, request), partial(self._show, self._sentence(request)))

    def _show(self, sentence: str, pictures: Thumbnails) -> None:
        self._view.set_thumbnails(pictures, sentence)

    def _on_result(self) -> None:
        for event in self._watched:
            event.disconnect(self.refresh)
        self._watched, self._rows, self._extent = [], (), (0, 0, 0, 0, 0, 0)
        stations, trace, layer = self._current.stations, self._current.trace, self._current.layer
        if stations is None or trace is None or layer is None:
            return
        self._rows = (stations, *(StepArray(row.labels) for row in trace.rows[1:]))
        self._watched = [layer.events.colormap]
        if (scan := self._current.scan) is not None:
            self._watched.append(scan.events.contrast_limits)
        for event in self._watched:
            event.connect(self.refresh)
        self.refresh()

    def _request(self) -> FilmRequest | None:
        source, stations = self._current.source, self._current.stations
        # Edits are of the answer alone: the other rows have no station for them.
        wanted = tuple((row, k) for row, k in self._wanted if row < len(self._rows) and k < self._rows[row].stations)
        if source is None or stations is None or not wanted:
            return None
        axis, index = self._plane(stations)
        shown = [a for a in range(3) if a != axis]
        spacing = source.geometry.spacing_mm
        scan, limits = self._scan(stations.shape[1:])
        return FilmRequest(
            self._rows,
            wanted,
            axis,
            index,
            scan,
            limits,
            self._crop(shown, stations.shape[1:]),
            (spacing[shown[0]], spacing[shown[1]]),
            self._most,
            colour_table(source.colours, self._hidden),
        )

    @property
    def _hidden(self) -> frozenset[int]:
        """The labels that the legend hides: their colour on the canvas is transparent."""
        colours = getattr(self._current.layer.colormap, "color_dict", {}) if self._current.layer is not None else {}
        return frozenset(value for value, rgba in colours.items() if value and rgba[3] == 0)

    def _plane(self, stations: StepArray) -> tuple[int, int]:
        """Return the axis 0, 1 or 2 of (I, P, L) that the viewer looks along, and the index there; axial in 3-D."""
        dims, layer = self._viewer.dims, self._current.layer
        assert layer is not None, "there is a result"
        hidden = [axis for axis in range(3) if dims.ndim - 3 + axis not in dims.displayed]
        axis = hidden[0] if len(hidden) == 1 else 0
        world = float(dims.point[dims.ndim - 3 + axis])
        index = round((world - float(layer.translate[1 + axis])) / float(layer.scale[1 + axis]))
        return axis, max(0, min(index, stations.shape[1 + axis] - 1))

    def _crop(self, shown: Sequence[int], shape: Sequence[int]) -> Crop:
        size = (shape[shown[0]], shape[shown[1]])
        z0, y0, x0, z1, y1, x1 = self._extent
        box = ((shape[0] - z1, shape[0] - z0), (y0, y1), (x0, x1))
        (top, bottom), (left, right) = box[shown[0]], box[shown[1]]
        return around((top, left, bottom, right), size) if z1 > z0 else whole(size)

    def _scan(self, shape: Sequence[int]) -> tuple[Any, tuple[float, float]]:
        """Return the scan in display space and its contrast limits, of a part of a scan that part.

        None where the scan is closed or on another grid.
        """
        scan, layer = self._current.scan, self._current.layer
        if scan is None or layer is None or (part := _part(scan, layer, shape)) is None:
            return None, (0.0, 1.0)
        low, high = scan.contrast_limits
        data = scan.data
        if data.ndim == 4:  # over time
            at = int(self._viewer.dims.current_step[self._viewer.dims.ndim - 4])
            data = data[min(at, data.shape[0] - 1)]
        return data[part], (float(low), float(high))

    def _sentence(self, request: FilmRequest) -> str:
        name = ("axial", "coronal", "sagittal")[request.axis]
        return f"{name} slice {request.index}"


def _part(scan: Image, layer: Labels, shape: Sequence[int]) -> tuple[slice, slice, slice] | None:
    """Return where a layer of this shape lies on a scan's grid; None where the grids do not coincide."""
    scale = np.asarray(scan.scale[-3:])
    if not np.allclose(scale, layer.scale[-3:], rtol=1e-4):
        return None
    start = (np.asarray(layer.translate[-3:]) - scan.translate[-3:]) / scale
    first = np.rint(start).astype(int)
    inside = np.all(first >= 0) and np.all(first + np.asarray(shape) <= scan.data.shape[-3:])
    if not inside or not np.allclose(start, first, atol=0.01):
        return None
    z, y, x = (slice(int(a), int(a) + int(n)) for a, n in zip(first, shape, strict=True))
    return z, y, x
