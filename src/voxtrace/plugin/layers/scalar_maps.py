"""Scalar maps of a trace (Z, Y, X at each step, with a unit) as image layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.display_space import flip_z
from voxtrace.trace import Trace


@dataclass(frozen=True, eq=False)
class MapSource:
    """The source of an image layer that shows a scalar map of a trace, and the unit of its values."""

    trace: Trace
    name: str
    unit: str = ""
    scan: str = ""  # unique id of the image layer that was segmented


def layers_beside(trace: Trace, name: str, scan: str = "") -> tuple[display.LayerData, ...]:
    """Return every hidden layer of a trace beside its labels: extra outputs and scalar maps."""
    return (*display.extra_layers(trace, name, scan), *map_layers(trace, name, scan))


def map_layers(trace: Trace, name: str, scan: str = "") -> tuple[display.LayerData, ...]:
    """Return a hidden image layer with axes (step, I, P, L) for each scalar map of a trace.

    Each map lies where the labels lie. Maps on disk stay there and are read plane by plane. The contrast limits are
    the smallest and largest finite value of all steps, as the trace has counted them.
    """
    ranges = trace.map_ranges()
    return tuple(
        _map_layer(MapSource(trace, key, trace.units.get(key, ""), scan), name, ranges[key]) for key in trace.maps
    )


def _map_layer(source: MapSource, name: str, ranges: Any) -> display.LayerData:
    values, words = source.trace.maps[source.name], source.name.replace("_", " ")
    about = display.over_steps(source.trace) | {
        "name": f"{name} · {words}" + (f" ({source.unit})" if source.unit else ""),
        "contrast_limits": _finite_limits(ranges),
        "colormap": "viridis",  # perceptually uniform
        "visible": False,
        "metadata": {display.KEY: source},
    }
    return flip_z(values if isinstance(values, np.ndarray) else display.lazy(values)), about, "image"


def _finite_limits(ranges: Any) -> tuple[float, float]:
    """Return contrast limits for (S, 2) smallest and largest values; (0, 1) where none is known."""
    known = np.asarray(ranges, np.float64)
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    return low, high if high > low else low + 1.0
