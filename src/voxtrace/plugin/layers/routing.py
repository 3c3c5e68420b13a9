"""What a method decided for each slice or window, as a labels layer over the scan; colours of decisions and amounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtrace import palette
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.display_space import AXES, UNITS, flip_z, layer_transform
from voxtrace.trace import Trace
from voxtrace.volume import Array, Triple

# Okabe & Ito's colours from cool to warm, so that cheap and costly decisions also differ in lightness.
_ACTIONS: tuple[Triple, ...] = (
    (0.34, 0.71, 0.91),
    (0.00, 0.62, 0.45),
    (0.94, 0.89, 0.26),
    (0.84, 0.37, 0.00),
    (0.80, 0.47, 0.65),
    (0.90, 0.62, 0.00),
    (0.00, 0.45, 0.70),
)
NO_WORK: Triple = (0.48, 0.50, 0.54)  # a decision that costs nothing
UNKNOWN: Triple = (0.16, 0.17, 0.20)
_VIRIDIS_HEX = "440154 482878 3e4a89 31688e 26828e 1f9e89 35b779 6dcd59 b4de2c fde725"
_VIRIDIS = np.frombuffer(bytes.fromhex(_VIRIDIS_HEX), np.uint8).reshape(-1, 3).astype(np.float32)
OPACITY = 0.25


def action_colours(count: int, costs: Sequence[float] = ()) -> tuple[Triple, ...]:
    """Return a colour for each value 0 … count − 1 of an index; grey for a value that costs nothing.

    >>> action_colours(2, (0.0, 3.1))[0] == NO_WORK
    True
    """
    free = [value < len(costs) and costs[value] == 0 for value in range(count)]
    ranks = np.cumsum([not each for each in free]) - 1
    return tuple(NO_WORK if free[v] else _ACTIONS[int(ranks[v]) % len(_ACTIONS)] for v in range(count))


def amounts(values: Array, low: float, high: float) -> npt.NDArray[np.uint8]:
    """Return (…, 3) colours of values between two limits, dark violet to yellow; dark grey for NaN."""
    place = np.clip((np.asarray(values, np.float32) - low) / max(high - low, 1e-12), 0, 1) * (len(_VIRIDIS) - 1)
    known = np.isfinite(place)
    place = np.where(known, place, 0)
    lower = np.minimum(place.astype(int), len(_VIRIDIS) - 2)
    part = (place - lower)[..., None]
    colours = _VIRIDIS[lower] * (1 - part) + _VIRIDIS[lower + 1] * part
    shown: npt.NDArray[np.uint8] = np.where(known[..., None], colours, np.multiply(UNKNOWN, 255)).astype(np.uint8)
    return shown


def routing_layer(
    trace: Trace, values: Array, value_names: Sequence[str], costs: Sequence[float], name: str
) -> display.LayerData:
    """Return a hidden labels layer in which every voxel of a slice has the slice's value + 1.

    Parameters
    ----------
    values
        (Z,) indices of canonical slices, NaN where the method decided nothing: transparent.

    The array is one value a slice, broadcast: it takes no memory.
    """
    per_slice = np.where(np.isfinite(values), np.nan_to_num(values) + 1, 0).astype(np.uint8)
    data = np.broadcast_to(per_slice[:, None, None], trace.geometry.shape)
    return flip_z(data), decided(trace, value_names, costs, name), "labels"


def decided(trace: Trace, value_names: Sequence[str], costs: Sequence[float], name: str) -> dict[str, Any]:
    """Return the attributes of a labels layer whose values are those of an index + 1."""
    colours = action_colours(len(value_names), costs)
    return about_values(trace, dict(enumerate(value_names, 1)), dict(enumerate(colours, 1)), name)


def about_values(trace: Trace, names: dict[int, str], colours: dict[int, Triple], name: str) -> dict[str, Any]:
    """Return the attributes of a hidden labels layer with these values, over the labels' grid."""
    import pandas  # here, as in display: it takes a third of a second

    transform = layer_transform(trace.geometry)
    return {
        "name": name,
        "scale": transform.scale_mm,
        "translate": transform.translate_mm,
        "units": UNITS,
        "axis_labels": AXES,
        "metadata": {display.KEY: display.LabelSource(trace.geometry, names, colours, kind="place")},
        "colormap": palette.napari_colours(colours),
        "features": pandas.DataFrame({"index": [0, *names], "label": ["", *names.values()]}),
        "opacity": OPACITY,
        "visible": False,
    }
