"""Find the sources of napari's layers, and add and hide layers."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from napari.layers import Image, Layer

from voxtrace.errors import GeometryError
from voxtrace.io.dicom import DicomGrid
from voxtrace.plugin.layers import contrast, display
from voxtrace.plugin.layers.manual_labels import check_unmoved, is_axis_aligned, stated_geometry
from voxtrace.plugin.layers.scalar_maps import MapSource
from voxtrace.plugin.layers.timepoints import TimepointsLabels, TimepointsSource
from voxtrace.plugin.work.saving import OpenScan

_SHOWS_CT: weakref.WeakKeyDictionary[Image, bool] = weakref.WeakKeyDictionary()
COPY = "voxtrace_copy"  # in the metadata of a second layer of a scan, which is shown below one of several results
TRANSFORM = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


def add_layers(viewer: Any, layers: Sequence[display.LayerData]) -> list[Layer]:
    """Add layer data to a viewer and return the layers."""
    return [getattr(viewer, f"add_{kind}")(data, **about) for data, about, kind in layers]


def remove_layer(viewer: Any, layer: Layer) -> None:
    """Remove a layer without a full run of the garbage collector, which napari makes at every removal.

    Such a run takes 0.2 to 0.7 s once torch is loaded. Objects that are frozen are passed over; afterwards they are
    collected as ever.
    """
    freezes = gc.get_freeze_count() == 0
    if freezes:
        gc.freeze()
    try:
        viewer.layers.remove(layer)
    finally:
        if freezes:
            gc.unfreeze()


def follow_names(before: Sequence[Layer], now: Sequence[Layer], callback: Callable[..., None]) -> None:
    """Call back when one of these layers is renamed, and no longer for those that were followed before."""
    for layer in before:
        if layer not in now:
            layer.events.name.disconnect(callback)
    for layer in now:
        if layer not in before:
            layer.events.name.connect(callback)


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
        The layer is not three-dimensional, or it is turned, sheared or moved, so that it is shown elsewhere than its
        voxels lie.
    """
    known = scan.metadata.get(display.KEY)
    attributes = {key: getattr(scan, key) for key in ("name", "metadata", *TRANSFORM)}
    if isinstance(known, (TimepointsSource, display.ImageSource)):
        check_unmoved(known.volume.geometry, attributes, f"The scan {scan.name}")
    elif not is_axis_aligned(attributes):
        raise GeometryError(
            f"{scan.name} is shown rotated or sheared by its layer's transform, but would be segmented along its own "
            "axes. Reset the layer's transform, or open the file with VoxTrace, which keeps its position."
        )
    return known.at(timepoint) if isinstance(known, TimepointsSource) else display.volume_of(scan.data, attributes)


def folder_of(layer: Layer, layers: Iterable[Layer]) -> Path | None:
    """Return the folder in which the scan of a layer lies, or the layer's own file; None where it has none.

    For a DICOM series it is the folder above: what is saved does not become part of the series.
    """
    source = label_source(layer)
    wanted = source.scan if source is not None else ""
    for one in (*(x for x in layers if x.unique_id == wanted), layer):
        stored = known.volume.geometry.stored if (known := known_source(one)) is not None else None
        if isinstance(stored, DicomGrid) and stored.sources:
            return stored.sources[0].path.parent.parent
        if one.source.path is not None:
            return Path(one.source.path).parent
    return None


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
    """Tell whether a layer shows HU; sampled once, because it is asked for at each move of the cursor."""
    source = known_source(scan)
    if source is None:
        return False
    if scan not in _SHOWS_CT:
        _SHOWS_CT[scan] = contrast.is_ct(source.volume)
    return _SHOWS_CT[scan]


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
        stated_geometry(layer.data.shape, {key: getattr(layer, key) for key in TRANSFORM})
        return source_of(layer)
    except GeometryError:
        return None
