"""The box of a scan that is visible, drawn or given in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from napari.layers import Image, Layer, Shapes

from voxtrace.errors import UsageError
from voxtrace.plugin.layers.display import KEY
from voxtrace.plugin.models.measures import MeasureSource
from voxtrace.plugin.models.region import Box, clipped_box
from voxtrace.volume import Shape

RegionKind = Literal["whole", "visible", "drawn", "numbers"]
DRAWN = "region"  # name of the layer in which a box is drawn


def region_box(viewer: Any, scan: Image, kind: RegionKind, numbers: Sequence[int] = ()) -> Box | None:
    """Return the box of a scan, or None for the whole of it.

    Parameters
    ----------
    viewer, scan
        The viewer, and the layer of the scan.
    kind
        The whole scan, the part inside the canvas, the rectangle that was drawn last as a region, or numbers.
    numbers
        First and last slice, row and column, counted from 1: (z0, z1, y0, y1, x0, x1).

    Raises
    ------
    UsageError
        Nothing was drawn, or nothing of the scan lies in the box.
    """
    if kind == "whole":
        return None
    shape = _canonical_shape(scan)
    corners = {"visible": _visible, "drawn": _drawn}
    if kind == "numbers":
        start, stop = [n - 1 for n in numbers[::2]], list(numbers[1::2])
        found = clipped_box(start, stop, shape)
    else:
        low, high = corners[kind](viewer, scan)
        found = clipped_box(*_canonical(low, high, shape), shape)
    if found is None:
        raise UsageError("nothing of the scan lies in the chosen region. Choose another, or the whole scan.")
    return None if found.covers(shape) else found


def start_drawing(viewer: Any, scan: Image) -> None:
    """Add a layer in which a rectangle is drawn over a scan, or take up the one that is there."""
    layer = next((x for x in viewer.layers if isinstance(x, Shapes) and x.name == DRAWN), None)
    if layer is None:
        about = {"scale": scan.scale[-3:], "translate": scan.translate[-3:], "units": scan.units[-3:]}
        layer = viewer.add_shapes(
            ndim=3,
            name=DRAWN,
            edge_color="#ffd54a",
            face_color="transparent",
            edge_width=float(max(scan.scale[-3:])),
            axis_labels=scan.axis_labels[-3:],
            **about,
        )
    viewer.layers.selection.active = layer
    layer.mode = "add_rectangle"


def voxel_under_cursor(viewer: Any, scan: Image) -> Shape:
    """Return the canonical voxel (z, y, x) of a scan under the cursor, or at the sliders where that lies outside."""
    shape = _canonical_shape(scan)
    world = np.asarray(viewer.cursor.position, float)
    inside = [np.asarray(scan.world_to_data(w))[-3:] for w in (world[-scan.ndim :], _point(viewer, scan))]
    at = next((p for p in inside if np.all(p > -0.5) and np.all(p < np.asarray(shape) - 0.5)), inside[-1])
    z, y, x = (int(np.clip(round(float(v)), 0, n - 1)) for v, n in zip(at, shape, strict=True))
    return shape[0] - 1 - z, y, x


def _point(viewer: Any, scan: Layer) -> Any:
    return np.asarray(viewer.dims.point, float)[-scan.ndim :]


def _visible(viewer: Any, scan: Image) -> tuple[Any, Any]:
    """Return the corners, in voxels along (I, P, L), of what the canvas shows; hidden axes are whole."""
    if viewer.dims.ndisplay == 3:
        raise UsageError("the visible part is a rectangle of a slice. Switch to 2-D, or draw a box.")
    corners = np.asarray(scan.corner_pixels, float)[:, -3:]
    low, high = corners[0], corners[1] + 1
    shown = [axis - (viewer.dims.ndim - 3) for axis in viewer.dims.displayed]
    for axis in range(3):
        if axis not in shown:
            low[axis], high[axis] = 0, scan.data.shape[-3:][axis]
    return low, high


def _drawn(viewer: Any, scan: Image) -> tuple[Any, Any]:
    """Return the corners, in voxels along (I, P, L), of the last shape; it reaches through every slice."""
    layer = _drawn_layer(viewer)
    if layer is None:
        raise UsageError("no rectangle was drawn. Press Draw, then drag over the scan.")
    chosen = sorted(layer.selected_data)[-1:] or [len(layer.data) - 1]
    vertices = np.asarray(layer.data[chosen[0]], float)
    world = np.stack([np.asarray(layer.data_to_world(vertex))[-3:] for vertex in vertices])
    voxels = np.stack([np.asarray(scan.world_to_data(w))[-3:] for w in _padded(world, scan.ndim)])
    low, high = voxels.min(0) + 0.5, voxels.max(0) + 0.5  # borders of voxel i are i − 0.5 and i + 0.5
    for axis in range(3):
        if high[axis] - low[axis] < 1e-6:  # the axis that was looked along
            low[axis], high[axis] = 0, scan.data.shape[-3:][axis]
    return low, high


def _drawn_layer(viewer: Any) -> Shapes | None:
    """Return the layer of the region: the one made for it, else the active one, else the topmost; no measurements."""
    found = [x for x in reversed(viewer.layers) if isinstance(x, Shapes) and len(x.data)]
    found = [x for x in found if not isinstance(x.metadata.get(KEY), MeasureSource)]
    active = viewer.layers.selection.active
    return min(found, key=lambda x: (x.name != DRAWN, x is not active), default=None)


def _padded(world: Any, ndim: int) -> Any:
    return np.pad(world, ((0, 0), (ndim - 3, 0)))


def _canonical(low: Any, high: Any, shape: Shape) -> tuple[list[float], list[float]]:
    """Return the corners along (z, y, x): z runs against I."""
    return [shape[0] - float(high[0]), *map(float, low[1:])], [shape[0] - float(low[0]), *map(float, high[1:])]


def _canonical_shape(scan: Image) -> Shape:
    z, y, x = (int(n) for n in scan.data.shape[-3:])
    return z, y, x
