"""The scan and the labels that are on screen, whichever layer is active."""

from __future__ import annotations

from typing import Any

from napari.layers import Image, Labels, Layer

from voxtrace.plugin.controllers.layers import known_source, label_source, map_source, timepoint_count
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.display_space import LayerTransform
from voxtrace.plugin.layers.manual_labels import is_axis_aligned


def shown_scan(viewer: Any) -> Image | None:
    """Return the visible scan to read: the active one, that of the active labels, else the topmost."""
    scans = shown_scans(viewer)
    active = viewer.layers.selection.active
    if active in scans:
        return active
    about = label_source(active) if active is not None else None
    own = [scan for scan in scans if about is not None and scan.unique_id == about.scan]
    return next(iter([*own, *scans]), None)


def shown_scans(viewer: Any) -> list[Image]:
    """Return every visible scan, from top to bottom."""
    return [layer for layer in reversed(viewer.layers) if layer.visible and is_scan(layer)]


def is_scan(layer: Layer) -> bool:
    """Tell whether a layer is a scan of one value a voxel: three axes, or time before them; not a map of a trace."""
    if not isinstance(layer, Image) or layer.rgb or layer.multiscale or map_source(layer) is not None:
        return False
    return layer.ndim == 3 or timepoint_count(layer) > 1


def same_volume(scans: list[Image], scan: Image) -> list[Image]:
    """Return the layers among scans that show channels of the same volume as ``scan``."""
    source = known_source(scan)
    return [
        one
        for one in scans
        if one is scan or (source is not None and (own := known_source(one)) and own.volume is source.volume)
    ]


def shown_labels(viewer: Any) -> Labels | None:
    """Return the visible labels to name under the cursor and to outline: the active ones, else the topmost."""
    found = [layer for layer in reversed(viewer.layers) if layer.visible and is_labels(layer)]
    active = viewer.layers.selection.active
    if active in found:
        return active
    # Layers of decisions and windows lie over the labels, and are named only where they are chosen.
    labels = [layer for layer in found if getattr(layer.metadata.get(display.KEY), "kind", "") != "place"]
    return next(iter((*labels, *found)), None)


def is_labels(layer: Layer) -> bool:
    """Tell whether a layer holds labels over the scan, with or without steps."""
    return isinstance(layer, Labels) and not layer.multiscale and layer.ndim in (3, 4)


def transform_of(layer: Layer) -> LayerTransform | None:
    """Return a layer's spacing and position along its last three axes in mm; None for a rotated or sheared one."""
    attributes = {key: getattr(layer, key) for key in ("rotate", "shear", "affine")}
    attributes["affine"] = layer.affine.affine_matrix
    if not is_axis_aligned(attributes) or any(float(v) <= 0 for v in layer.scale[-3:]):
        return None
    scale, translate = (tuple(float(v) for v in values[-3:]) for values in (layer.scale, layer.translate))
    return LayerTransform(scale, translate)  # type: ignore[arg-type]
