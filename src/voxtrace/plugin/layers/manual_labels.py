"""The geometry of labels that were drawn by hand: that of the open scan they were drawn on.

napari slices along a layer's own axes, so an oblique scan is shown without its tilt, and the transform of a layer drawn
on it is not its true position in the patient. The exact geometry is taken from the scan whose layer has the same
position; labels that match no open scan are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxtrace.errors import GeometryError
from voxtrace.plugin.layers.display_space import AXES, LayerTransform, geometry_of, layer_transform
from voxtrace.volume import Geometry

_REMEDY = "Select the scan, press the new-labels button, and draw there."
_UNNAMED = ("-3", "-2", "-1")  # napari's names of axes that were given none
_SAME_MM = 1e-2
_SAME_SPACING_MM = 1e-4


def stated_geometry(shape: Sequence[int], attributes: Mapping[str, Any], named: bool = True) -> Geometry:
    """Return the axis-aligned geometry given by a layer's own scale and translation.

    ``named=False`` also takes axes under napari's default names, for labels whose position is then compared with scans:
    before 0.9, new labels inherit scale, translation and unit of the layers, but not the names of their axes.

    Raises
    ------
    GeometryError
        The layer is not three-dimensional in mm along (I, P, L), or it is rotated, so its position is unknown.
    """
    axes, units = tuple(attributes.get("axis_labels", ())), tuple(str(u) for u in attributes.get("units", ()))
    if len(shape) != 3:
        words = " × ".join(str(n) for n in shape)
        raise GeometryError(f"these labels have {len(shape)} axes ({words}); expected the three of a scan. {_REMEDY}")
    known = axes == AXES or (axes == _UNNAMED and not named)
    if not known or any(unit not in ("mm", "millimeter") for unit in units):
        raise GeometryError(
            f"these labels lie along {', '.join(axes) or 'axes without names'}, not along {', '.join(AXES)} in mm: "
            f"their position in the patient is unknown. {_REMEDY}"
        )
    if not is_axis_aligned(attributes):
        raise GeometryError(
            "the layer of these labels is rotated or sheared, but voxels are saved along a scan's own axes. "
            f"Reset the layer's transform, or draw the labels again. {_REMEDY}"
        )
    scale, translate = (tuple(float(v) for v in attributes[key]) for key in ("scale", "translate"))
    first, second, third = shape
    return geometry_of((int(first), int(second), int(third)), LayerTransform(scale, translate))  # type: ignore[arg-type]


def geometry_drawn_on(shape: Sequence[int], attributes: Mapping[str, Any], scans: Sequence[Geometry]) -> Geometry:
    """Return the exact geometry of the one open scan that labels were drawn on.

    Raises
    ------
    GeometryError
        The layer's position is unknown, or it matches no open scan, or several with different geometries.
    """
    stated = stated_geometry(shape, attributes, named=False)
    fitting = [scan for scan in scans if _is_same_position(scan, stated)]
    if not fitting:
        raise GeometryError(
            f"these labels ({_words(stated)}) match none of the {len(scans)} open scan(s): "
            f"their position in the patient is unknown. Open the scan they were drawn on. {_REMEDY}"
        )
    if any(not other.is_close(fitting[0]) for other in fitting[1:]):
        raise GeometryError(
            f"these labels fit {len(fitting)} open scans that lie differently in the patient. "
            "Close all but the one they were drawn on, and save again."
        )
    return fitting[0]


def check_unmoved(geometry: Geometry, attributes: Mapping[str, Any], what: str = "this layer") -> None:
    """Refuse a layer that was moved in the window: its voxels would be used elsewhere than they are shown.

    Raises
    ------
    GeometryError
        The layer's scale, translation or rotation is not that of its scan.
    """
    transform = layer_transform(geometry)
    stated = [np.asarray(attributes.get(key, ours), float)[-3:] for key, ours in _transform_items(transform)]
    same = all(
        np.allclose(s, ours, atol=_SAME_MM) for s, (_, ours) in zip(stated, _transform_items(transform), strict=True)
    )
    if not same or not is_axis_aligned(attributes):
        raise GeometryError(
            f"{what} was moved, scaled or turned in the window, so its voxels lie elsewhere than they are shown. "
            "Reset the layer's transform, and try again."
        )


def is_axis_aligned(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a layer is neither rotated nor sheared and has no affine of its own."""
    matrices = [np.asarray(attributes[key], float) for key in ("rotate", "affine") if _given(attributes, key)]
    rotated = any(one.ndim == 2 and not np.allclose(one, np.eye(len(one)), atol=1e-6) for one in matrices)
    by_angle = any(one.ndim < 2 and np.any(one) for one in matrices)
    return not rotated and not by_angle and not np.any(np.asarray(attributes.get("shear", 0.0), float))


def _given(attributes: Mapping[str, Any], key: str) -> bool:
    return attributes.get(key) is not None


def _transform_items(transform: LayerTransform) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return ("scale", transform.scale_mm), ("translate", transform.translate_mm)


def _is_same_position(scan: Geometry, drawn: Geometry) -> bool:
    """Compare centres and spacings, because a layer's transform leaves out the tilt of its scan."""
    if scan.shape != drawn.shape or not np.allclose(scan.spacing_mm, drawn.spacing_mm, atol=_SAME_SPACING_MM):
        return False
    centre = (np.asarray(scan.shape) - 1) / 2
    return bool(np.allclose(scan.world_mm(centre), drawn.world_mm(centre), atol=_SAME_MM))


def _words(geometry: Geometry) -> str:
    size, spacing = ("×".join(f"{v:.4g}" for v in part) for part in (geometry.shape[::-1], geometry.spacing_mm[::-1]))
    return f"{size} voxels of {spacing} mm"
