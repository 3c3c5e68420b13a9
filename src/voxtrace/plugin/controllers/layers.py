"""Find the sources of napari's layers, and add and hide layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from napari.layers import Image, Layer

from voxtrace.errors import GeometryError
from voxtrace.plugin.layers import contrast, display
from voxtrace.plugin.layers.manual_labels import stated_geometry
from voxtrace.plugin.layers.scalar_maps import MapSource
from voxtrace.plugin.layers.timepoints import TimepointsLabels, TimepointsSource
from voxtrace.plugin.work.saving import OpenScan

_TRANSFORM = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


def add_layers(viewer: Any, layers: Sequence[display.LayerData]) -> list[Layer]:
    """Add layer data to a viewer and return the layers."""
    return [getattr(viewer, f"add_{kind}")(data, **about) for data, about, kind in layers]


def hide_previous_results(layers: Iterable[Layer], scan: str) -> None:
    """Hide earlier predictions of a scan and every map of settled voxels; they stay in the layer list."""
    for layer in layers:
        source = label_source(layer) or map_source(layer)
        settled = isinstance(source, display.LabelSource) and source.kind == "settled"
        if source is not None and (source.scan == scan or settled):
            layer.visible = False


def belongs_to(layer: Layer, scan: str) -> bool:
    """Tell whether a layer is a prediction of the scan with this unique id."""
    source = label_source(layer)
    return source is not None and source.scan == scan


def source_of(scan: Image, timepoint: int = 0) -> display.ImageSource:
    """Return the source of an image layer, also of another plugin's; of a layer over time, that time point.

    Raises
    ------
    GeometryError
        The layer is not three-dimensional.
    """
    known = scan.metadata.get(display.KEY)
    if isinstance(known, TimepointsSource):
        return known.at(timepoint)
    attributes = {key: getattr(scan, key) for key in ("name", "scale", "translate", "metadata")}
    return display.volume_of(scan.data, attributes)


def known_source(scan: Image) -> display.ImageSource | None:
    """Return the source of a layer that VoxTrace opened, else None; of a layer over time, its first time point."""
    source = scan.metadata.get(display.KEY)
    if isinstance(source, TimepointsSource):
        return display.ImageSource(source.volume)
    return source if isinstance(source, display.ImageSource) else None


def timepoint_count(scan: Layer) -> int:
    """Return the number of time points of a scan's layer; 1 for a single volume."""
    source = scan.metadata.get(display.KEY)
    return source.count if isinstance(source, TimepointsSource) else 1


def label_source(layer: Layer) -> display.LabelSource | None:
    """Return the source of a labels layer that VoxTrace made, else None."""
    source = layer.metadata.get(display.KEY)
    if isinstance(source, TimepointsLabels):
        return source.source
    return source if isinstance(source, display.LabelSource) else None


def map_source(layer: Layer) -> MapSource | None:
    """Return the source of an image layer that shows a scalar map of a trace, else None."""
    source = layer.metadata.get(display.KEY)
    return source if isinstance(source, MapSource) else None


def shows_ct(scan: Image) -> bool:
    """Tell whether a layer shows HU."""
    source = known_source(scan)
    return source is not None and contrast.is_ct(source.volume)


def open_scans(layers: Iterable[Layer]) -> tuple[OpenScan, ...]:
    """Return the scans among layers: those that VoxTrace opened, and others that lie along (I, P, L) in mm."""
    found = []
    for layer in layers:
        source = layer.metadata.get(display.KEY)
        if isinstance(source, (display.ImageSource, TimepointsSource)):
            found.append(OpenScan(layer.unique_id, source))
        elif isinstance(layer, Image) and not layer.rgb and (foreign := _source_of_other_plugin(layer)):
            found.append(OpenScan(layer.unique_id, foreign))
    return tuple(found)


def _source_of_other_plugin(layer: Image) -> display.ImageSource | None:
    """Return the source of another plugin's image layer, where its position in the patient is known; else None."""
    try:
        stated_geometry(layer.data.shape, {key: getattr(layer, key) for key in _TRANSFORM})
        return source_of(layer)
    except GeometryError:
        return None
