"""Volume, LabelMap and Trace to napari layer data and back; pure functions without a viewer.

Arrays are flipped views of canonical data (see :mod:`voxtrace.plugin.layers.display_space`): no voxel is copied. A
layer's ``metadata["voxtrace"]`` names its source, so that labels can be written back onto the scan's own grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from voxtrace import palette
from voxtrace.errors import GeometryError
from voxtrace.plugin.layers import contrast
from voxtrace.plugin.layers.display_space import (
    AXES,
    STEP_UNITS,
    UNITS,
    LayerTransform,
    flip_z,
    geometry_of,
    layer_transform,
)
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.trace import Trace
from voxtrace.trace.step_counts import step_type
from voxtrace.volume import DEMONSTRATION, Geometry, LabelMap, Triple, Volume

LayerData = tuple[Any, dict[str, Any], Literal["image", "labels"]]
KEY = "voxtrace"
IN_MEMORY_BYTES = 2**29  # larger traces stay on disk and are read plane by plane


@dataclass(frozen=True, eq=False)
class ImageSource:
    """The source of an image layer: one channel of a volume."""

    volume: Volume
    channel: int = 0

    @property
    def channel_name(self) -> str:
        """The channel's name, or ``""``."""
        return self.volume.channels[self.channel] if self.channel < len(self.volume.channels) else ""


@dataclass(frozen=True, eq=False)
class LabelSource:
    """The source of a labels layer: labels of a scan, and for a prediction its trace."""

    geometry: Geometry
    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, Triple] = field(default_factory=dict)
    trace: Trace | None = None
    scan: str = ""  # unique id of the image layer that was segmented
    kind: Literal["labels", "settled", "extra", "place"] = "labels"

    @property
    def note(self) -> str:
        """What files of these labels say as a warning; ``""`` for none."""
        return DEMONSTRATION if self.trace is not None and self.trace.provenance.demonstration else ""


def image_layers(volume: Volume) -> list[LayerData]:
    """Return one image layer per channel; of several only the first is visible."""
    return [_image_layer(ImageSource(volume, c)) for c in range(volume.data.shape[0])]


def _image_layer(source: ImageSource) -> LayerData:
    volume, channel = source.volume, source.channel
    title = f"{volume.name} · {source.channel_name}" if len(volume.data) > 1 and source.channel_name else volume.name
    about = _positioned(volume.geometry, source) | {
        "name": title,
        "contrast_limits": contrast.limits(volume, channel),
        "colormap": "gray",
        "interpolation2d": "linear",
        "visible": channel == 0,
    }
    return flip_z(_drawable(volume.data[channel])), about, "image"


def label_layer(labels: LabelMap, *, visible: bool = True) -> LayerData:
    """Return a labels layer with label names, and the colours of the file where it has some."""
    values = sorted({*labels.names, *(() if labels.names else labels.values)} - {0})
    names = {value: labels.names.get(value, f"label {value}") for value in values}
    source = LabelSource(labels.geometry, names, palette.colours(values, labels.colours, names))
    return flip_z(labels.data), _labelled(source) | {"name": labels.name, "visible": visible}, "labels"


def trace_layer(trace: Trace, name: str, scan: str = "") -> LayerData:
    """Return one labels layer with axes (step, I, P, L); the step axis has unit pixel and the method's word for a step.

    Its data is a :class:`StepArray`. Traces of up to 512 MiB are read into memory; larger ones stay on disk.
    """
    return _steps_layer(trace, trace.labels, _trace_source(trace, scan, trace), name)


def extra_layers(trace: Trace, name: str, scan: str = "") -> tuple[LayerData, ...]:
    """Return a hidden layer like that of :func:`trace_layer` for each extra output of the steps."""
    source = replace(_trace_source(trace, scan, None), kind="extra")
    layers = (_steps_layer(trace, labels, source, f"{name} · {extra}") for extra, labels in trace.extras.items())
    return tuple((data, about | {"visible": False}, kind) for data, about, kind in layers)


def _trace_source(trace: Trace, scan: str, shown: Trace | None) -> LabelSource:
    names = {value: text for value, text in trace.names.items() if value}
    return LabelSource(trace.geometry, names, palette.colours(names, None, names), shown, scan)


def _steps_layer(trace: Trace, labels: Any, source: LabelSource, name: str) -> LayerData:
    about = _labelled(source) | over_steps(trace) | {"name": name}
    counts = trace.counted().counts if labels is trace.labels else None
    return StepArray(_in_memory(labels), counts=counts), about, "labels"


def over_steps(trace: Trace) -> dict[str, Any]:
    """Return the transform and axes of a layer with axes (step, I, P, L); the step axis has unit pixel."""
    transform = layer_transform(trace.geometry)
    return {
        "scale": (1.0, *transform.scale_mm),
        "translate": (0.0, *transform.translate_mm),
        "units": STEP_UNITS,
        "axis_labels": (trace.step_word, *AXES),
    }


def settled_layer(trace: Trace, name: str) -> LayerData:
    """Return a labels layer of the step, counted from 1, at which each voxel's label last changed.

    Voxels that are background at every step are transparent.
    """
    steps = int(trace.labels.shape[0])
    settled = np.asarray(trace.settled_at())
    touched = (settled > 0) | (np.asarray(trace.labels[steps - 1]) > 0)
    colours = palette.ramp(steps)
    names = {k: f"settled at {trace.step_word} {k}" for k in colours}
    source = LabelSource(trace.geometry, names, colours, kind="settled")
    data = np.where(touched, settled.astype(np.uint16) + 1, 0).astype(step_type(steps + 1))
    return flip_z(data), _labelled(source) | {"name": name, "opacity": 0.8}, "labels"


def label_map_of(data: Any, source: LabelSource, name: str = "labels", step: int = -1) -> LabelMap:
    """Return the label map that a labels layer shows, on its scan's own grid; of a layer with steps, one step."""
    plane = np.asarray(data[step] if data.ndim == 4 else data)
    return LabelMap(
        np.ascontiguousarray(flip_z(plane)), source.geometry, source.names, source.colours, name, source.note
    )


def volume_of(data: Any, attributes: Mapping[str, Any]) -> ImageSource:
    """Return the source of an image layer; a layer of another plugin is taken to lie along (I, P, L) in mm.

    Raises
    ------
    GeometryError
        The layer is not three-dimensional.
    """
    known = attributes.get("metadata", {}).get(KEY)
    if isinstance(known, ImageSource):
        return known
    if len(data.shape) != 3 or data.dtype.kind not in "iuf":
        raise GeometryError(f"the layer {attributes.get('name')} has shape {data.shape}; expected a scan (Z, Y, X).")
    transform = LayerTransform(*(tuple(float(v) for v in attributes[key]) for key in ("scale", "translate")))  # type: ignore[arg-type]
    geometry = geometry_of(tuple(int(n) for n in data.shape), transform)  # type: ignore[arg-type]
    return ImageSource(Volume(flip_z(np.asarray(data))[None], geometry, name=str(attributes.get("name", "scan"))))


def _positioned(geometry: Geometry, source: ImageSource | LabelSource) -> dict[str, Any]:
    transform = layer_transform(geometry)
    return {
        "scale": transform.scale_mm,
        "translate": transform.translate_mm,
        "units": UNITS,
        "axis_labels": AXES,
        "metadata": {KEY: source},
    }


def _labelled(source: LabelSource) -> dict[str, Any]:
    import pandas  # here, so that the thread that reads or segments pays for the import

    rows = [0, *source.names]
    return _positioned(source.geometry, source) | {
        "colormap": palette.napari_colours(source.colours),
        "features": pandas.DataFrame({"index": rows, "label": ["background", *source.names.values()]}),
        "opacity": 0.5,
    }


def _in_memory(labels: Any) -> Any:
    """Return labels on disk as a numpy array where they are small enough."""
    small = int(np.prod(labels.shape)) * labels.dtype.itemsize <= IN_MEMORY_BYTES
    return np.asarray(labels[:]) if small and not isinstance(labels, np.ndarray) else labels


def lazy(values: Any) -> Any:
    """Return an array on disk as a dask array, which napari reads plane by plane."""
    import dask.array

    return dask.array.from_array(values, chunks=values.chunks, name=False)  # type: ignore[no-untyped-call]


def _drawable(channel: Any) -> Any:
    return channel.astype(np.float32) if channel.dtype in (np.float64, np.float16) else channel
