"""What a layer shows, asked of napari's layers."""

from __future__ import annotations

from collections.abc import Iterable

from napari.layers import Image, Layer

from voxtrace.plugin import contrast, display


def hide_earlier(layers: Iterable[Layer], scan: str) -> None:
    """Hide predictions of a scan that were made before, and every map of settled voxels; they stay in the list."""
    for layer in layers:
        source = layer.metadata.get(display.KEY)
        if isinstance(source, display.LabelSource) and (source.scan == scan or source.kind == "settled"):
            layer.visible = False


def source_of(scan: Image) -> display.ImageSource:
    """Return the source of an image layer, also of one that another plugin opened.

    Raises
    ------
    GeometryError
        The layer is not three-dimensional.
    """
    attributes = {key: getattr(scan, key) for key in ("name", "scale", "translate", "metadata")}
    return display.volume_of(scan.data, attributes)


def known_source(scan: Image) -> display.ImageSource | None:
    """Return the source of an image layer that VoxTrace opened, else None."""
    source = scan.metadata.get(display.KEY)
    return source if isinstance(source, display.ImageSource) else None


def shows_ct(scan: Image) -> bool:
    """Tell whether a layer shows HU."""
    source = known_source(scan)
    return source is not None and contrast.is_ct(source.volume)
