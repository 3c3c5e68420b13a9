"""Where labels lie that were drawn by hand: told by their layer, and by the open scan they were drawn on.

napari slices along a layer's own axes, so an oblique scan is drawn upright, and what is drawn on it lies elsewhere in
the patient than its layer says. Only the scan knows. Labels that fit no open scan are refused rather than guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxtrace.errors import GeometryError
from voxtrace.plugin.layers.display_space import AXES, Placement, geometry_of, placement
from voxtrace.volume import Geometry

_CURE = "Select the scan, press the new-labels button, and draw there."
_SAME_MM = 1e-2
_SAME_SPACING_MM = 1e-4


def drawn_geometry(shape: Sequence[int], attributes: Mapping[str, Any]) -> Geometry:
    """Return the axis-aligned geometry that a layer states by its own scale and translation.

    Raises
    ------
    GeometryError
        The layer is not a 3-D one in mm along (I, P, L), or it is turned, so nobody knows where in the patient it lies.
    """
    axes, units = tuple(attributes.get("axis_labels", ())), tuple(str(u) for u in attributes.get("units", ()))
    if len(shape) != 3:
        words = " × ".join(str(n) for n in shape)
        raise GeometryError(f"these labels have {len(shape)} axes ({words}); expected the three of a scan. {_CURE}")
    if axes != AXES or any(unit not in ("mm", "millimeter") for unit in units):
        raise GeometryError(
            f"these labels lie along {', '.join(axes) or 'axes without names'}, not along {', '.join(AXES)} in mm: "
            f"their place in the patient is unknown. {_CURE}"
        )
    if not is_upright(attributes):
        raise GeometryError(
            "these labels' layer is rotated or sheared, and voxels are saved along a scan's own axes. "
            f"Reset the layer's transform, or draw anew. {_CURE}"
        )
    scale, translate = (tuple(float(v) for v in attributes[key]) for key in ("scale", "translate"))
    first, second, third = shape
    return geometry_of((int(first), int(second), int(third)), Placement(scale, translate))  # type: ignore[arg-type]


def drawn_on(shape: Sequence[int], attributes: Mapping[str, Any], scans: Sequence[Geometry]) -> Geometry:
    """Return the exact geometry of the one open scan that labels were drawn on.

    Raises
    ------
    GeometryError
        The layer's own place is unknown, or it is that of no open scan, or of several that lie differently.
    """
    stated = drawn_geometry(shape, attributes)
    fitting = [scan for scan in scans if _same_place(scan, stated)]
    if not fitting:
        raise GeometryError(
            f"these labels ({_words(stated)}) fit none of the {len(scans)} open scan(s): their place in the patient is "
            f"unknown. Open the scan they were drawn on. {_CURE}"
        )
    if any(not other.is_close(fitting[0]) for other in fitting[1:]):
        raise GeometryError(
            f"these labels fit {len(fitting)} open scans that lie differently in the patient. "
            "Close all but the one they were drawn on, and save again."
        )
    return fitting[0]


def check_unmoved(geometry: Geometry, attributes: Mapping[str, Any]) -> None:
    """Refuse a layer of ours that was moved in the window: its labels would be saved elsewhere than they are shown.

    Raises
    ------
    GeometryError
        The layer's scale, translation or rotation is not that of its scan.
    """
    place = placement(geometry)
    stated = [np.asarray(attributes.get(key, ours), float)[-3:] for key, ours in _transform(place)]
    same = all(np.allclose(s, ours, atol=_SAME_MM) for s, (_, ours) in zip(stated, _transform(place), strict=True))
    if not same or not is_upright(attributes):
        raise GeometryError(
            "this layer was moved, scaled or turned in the window, so its labels would be saved elsewhere than they "
            "are shown. Reset the layer's transform, and save again."
        )


def is_upright(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a layer is neither rotated nor sheared nor moved by an affine of its own."""
    square = [np.asarray(attributes[key], float) for key in ("rotate", "affine") if _given(attributes, key)]
    turned = any(one.ndim == 2 and not np.allclose(one, np.eye(len(one)), atol=1e-6) for one in square)
    by_angle = any(one.ndim < 2 and np.any(one) for one in square)
    return not turned and not by_angle and not np.any(np.asarray(attributes.get("shear", 0.0), float))


def _given(attributes: Mapping[str, Any], key: str) -> bool:
    return attributes.get(key) is not None


def _transform(place: Placement) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return ("scale", place.scale_mm), ("translate", place.translate_mm)


def _same_place(scan: Geometry, drawn: Geometry) -> bool:
    """Tell whether labels were drawn on this scan: a layer knows no tilt, so centres and spacings are compared."""
    if scan.shape != drawn.shape or not np.allclose(scan.spacing_mm, drawn.spacing_mm, atol=_SAME_SPACING_MM):
        return False
    centre = (np.asarray(scan.shape) - 1) / 2
    return bool(np.allclose(scan.world_mm(centre), drawn.world_mm(centre), atol=_SAME_MM))


def _words(geometry: Geometry) -> str:
    size, spacing = ("×".join(f"{v:.4g}" for v in part) for part in (geometry.shape[::-1], geometry.spacing_mm[::-1]))
    return f"{size} voxels of {spacing} mm"
