"""Display space: where a canonical array lies on screen, along (I, P, L).

napari looks along axis 0 from its start and draws axis 1 downwards and axis 2 to the right; its 3-D view is
right-handed in (axis 0, axis 1, axis 2). Canonical data (S, P, L) would be mirrored in 3-D and upside down in coronal
and sagittal views. Flipping axis 0 (a numpy view, no copy) gives (I, P, L), which is right-handed::

    axial            coronal          sagittal
        A                S                S
      R   L            R   L            A   P
        P                I                I

World positions are mm along (I, P, L), with I = −S, so scans of one patient overlay as they lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.volume import Geometry, Shape, Triple

AXES = ("I", "P", "L")
UNITS = ("mm", "mm", "mm")
STEP_UNITS = ("pixel", *UNITS)
OBLIQUE_FROM_DEG = 1.0  # smaller angles are not reported

_ENDS = {"I": ("S", "I"), "P": ("A", "P"), "L": ("R", "L")}  # axis -> letter at its start, letter at its end
_SIDES = {
    "S": "above",
    "I": "below",
    "A": "the front",
    "P": "behind",
    "R": "the patient's right",
    "L": "the patient's left",
}
_TO_IPL = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class LayerTransform:
    """Scale and translation of a layer along (I, P, L), in mm."""

    scale_mm: Triple
    translate_mm: Triple


def flip_z(array: Any) -> Any:
    """Return a view of an array (…, Z, Y, X) with Z reversed: canonical to display space, and back."""
    return array[..., ::-1, :, :]


def layer_transform(geometry: Geometry) -> LayerTransform:
    """Return the scale and translation of the layer that shows a canonical grid.

    The centre of an oblique scan is exact; its tilt is not shown, because napari slices along the array's axes.
    """
    spacing = np.asarray(geometry.spacing_mm)
    half = (np.asarray(geometry.shape) - 1) / 2
    start = geometry.world_mm(half) * _TO_IPL - spacing * half
    return LayerTransform(geometry.spacing_mm, _triple(start))


def geometry_of(shape: Shape, transform: LayerTransform) -> Geometry:
    """Return the axis-aligned canonical geometry of a layer, the inverse of :func:`layer_transform`."""
    i, p, left = transform.translate_mm
    superior = -(i + transform.scale_mm[0] * (shape[0] - 1))
    return Geometry.from_spacing(shape, transform.scale_mm, (superior, p, left))


def obliquity_note(geometry: Geometry) -> str:
    """Return a sentence about an oblique scan, or ``""`` for one along the patient's axes."""
    angle = geometry.obliquity_deg
    if angle < OBLIQUE_FROM_DEG:
        return ""
    return f"The scan lies oblique, by {angle:.1f}°: it is drawn along its own axes, and saved with its exact geometry."


def edge_letters(
    axis_labels: Sequence[str], shown: Sequence[int], orientation: Sequence[str] = ("down", "right")
) -> Mapping[str, str]:
    """Return the patient-direction letter at each edge of a 2-D canvas: left, right, top, bottom.

    Empty unless both shown axes are named I, P or L. ``orientation`` is the direction in which each of the two axes
    increases on screen.
    """
    names = [axis_labels[axis] for axis in shown]
    if len(names) != 2 or any(name not in _ENDS for name in names):
        return {}
    top, bottom = _ENDS[names[0]]
    left, right = _ENDS[names[1]]
    if orientation[0] == "up":
        top, bottom = bottom, top
    if orientation[1] == "left":
        left, right = right, left
    return {"left": left, "right": right, "top": top, "bottom": bottom}


def camera_letters(
    view_direction: Sequence[float], up_direction: Sequence[float], share: float = 0.4
) -> Mapping[str, str]:
    """Return the patient directions at the edges of a 3-D canvas, e.g. ``{"left": "RA", "top": "S", …}``.

    Parameters
    ----------
    view_direction, up_direction
        Vectors along (I, P, L): where the camera looks, and what is up on screen.
    share
        A letter is written where the edge's direction has at least this component along it; the largest comes first.
    """
    view, up = np.asarray(view_direction, float), np.asarray(up_direction, float)
    right = np.cross(view, up)  # (I, P, L) is right-handed, like the screen
    ways = {"left": -right, "right": right, "top": up, "bottom": -up}
    return {edge: direction_letters(way, share) for edge, way in ways.items()}


def direction_letters(direction: Sequence[float] | Any, share: float = 0.4) -> str:
    """Return the letters of a direction along (I, P, L), its largest component first: ``"RA"``."""
    unit = np.asarray(direction, float) / max(float(np.linalg.norm(direction)), 1e-12)
    order = [axis for axis in np.argsort(-np.abs(unit), kind="stable") if abs(unit[axis]) >= share]
    return "".join(_ENDS[AXES[axis]][int(unit[axis] > 0)] for axis in order)


def viewpoint(view_direction: Sequence[float]) -> str:
    """Return in words from where the camera looks at the patient: ``"from the front and the left"``."""
    letters = direction_letters([-float(v) for v in view_direction])
    return "seen from " + " and ".join(_SIDES[letter] for letter in letters)


def _triple(values: Sequence[float] | Any) -> Triple:
    first, second, third = (float(v) for v in values)
    return first, second, third
