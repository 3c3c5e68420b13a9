"""What a layer shows, asked of napari's layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from napari.layers import Image, Layer

from voxtrace.errors import GeometryError
from voxtrace.plugin.layers import contrast, display
from voxtrace.plugin.layers.manual_labels import drawn_geometry
from voxtrace.plugin.layers.timepoints import FramesLabels, FramesSource
from voxtrace.plugin.work.saving import OpenScan

_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


def add_layers(viewer: Any, layers: Sequence[display.LayerData]) -> list[Layer]:
    """Add layer data to a viewer and return the layers."""
    return [getattr(viewer, f"add_{kind}")(data, **about) for data, about, kind in layers]


def hide_earlier(layers: Iterable[Layer], scan: str) -> None:
    """Hide predictions of a scan that were made before, and every map of settled voxels; they stay in the list."""
    for layer in layers:
        source = label_source(layer)
        if source is not None and (source.scan == scan or source.kind == "settled"):
            layer.visible = False


def source_of(scan: Image, frame: int = 0) -> display.ImageSource:
    """Return the source of an image layer, also of one that another plugin opened; of one with frames, that frame.

    Raises
    ------
    GeometryError
        The layer is not three-dimensional.
    """
    known = scan.metadata.get(display.KEY)
    if isinstance(known, FramesSource):
        return known.at(frame)
    attributes = {key: getattr(scan, key) for key in ("name", "scale", "translate", "metadata")}
    return display.volume_of(scan.data, attributes)


def known_source(scan: Image) -> display.ImageSource | None:
    """Return the source of an image layer that VoxTrace opened, else None; of one with frames, its first."""
    source = scan.metadata.get(display.KEY)
    if isinstance(source, FramesSource):
        return display.ImageSource(source.volume)
    return source if isinstance(source, display.ImageSource) else None


def frames_of(scan: Layer) -> int:
    """Return how many frames over time a scan's layer has; 1 for a single volume."""
    source = scan.metadata.get(display.KEY)
    return source.count if isinstance(source, FramesSource) else 1


def label_source(layer: Layer) -> display.LabelSource | None:
    """Return the source of a labels layer that VoxTrace made, else None."""
    source = layer.metadata.get(display.KEY)
    if isinstance(source, FramesLabels):
        return source.source
    return source if isinstance(source, display.LabelSource) else None


def shows_ct(scan: Image) -> bool:
    """Tell whether a layer shows HU."""
    source = known_source(scan)
    return source is not None and contrast.is_ct(source.volume)


def open_scans(layers: Iterable[Layer]) -> tuple[OpenScan, ...]:
    """Return the scans among layers: those that VoxTrace opened, and others that lie along (I, P, L) in mm."""
    found = []
    for layer in layers:
        source = layer.metadata.get(display.KEY)
        if isinstance(source, (display.ImageSource, FramesSource)):
            found.append(OpenScan(layer.unique_id, source))
        elif isinstance(layer, Image) and not layer.rgb and (foreign := _foreign(layer)):
            found.append(OpenScan(layer.unique_id, foreign))
    return tuple(found)


def _foreign(layer: Image) -> display.ImageSource | None:
    """Return what an image of another plugin shows, where its place in the patient is known."""
    try:
        drawn_geometry(layer.data.shape, {key: getattr(layer, key) for key in _PLACE})
        return source_of(layer)
    except GeometryError:
        return None
