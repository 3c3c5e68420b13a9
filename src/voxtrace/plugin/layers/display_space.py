"""Where a canonical array lies on screen: the I-P-L frame.

napari looks along axis 0 from its start and draws axis 1 downwards and axis 2 to the right; its 3-D view is
right-handed in (axis 0, axis 1, axis 2). Canonical data (S, P, L) would be mirrored in 3-D and stand on their head in
coronal and sagittal views. Flipping axis 0, a view that shares the memory, gives (I, P, L), which is right-handed::

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
OBLIQUE_FROM_DEG = 1.0  # smaller angles are not worth a word on screen

_ENDS = {"I": ("S", "I"), "P": ("A", "P"), "L": ("R", "L")}  # axis -> letter at its start, letter at its end
_TO_IPL = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Placement:
    """Scale and translation of a displayed array along (I, P, L), in mm."""

    scale_mm: Triple
    translate_mm: Triple


def displayed(array: Any) -> Any:
    """Return a view of an array (…, Z, Y, X) with the Z axis turned: canonical -> displayed, and back again."""
    return array[..., ::-1, :, :]


def placement(geometry: Geometry) -> Placement:
    """Return where the displayed array of a canonical grid lies.

    The centre of an oblique scan is exact; its tilt is not drawn, because napari slices along the array's axes.
    """
    spacing = np.asarray(geometry.spacing_mm)
    half = (np.asarray(geometry.shape) - 1) / 2
    start = geometry.world_mm(half) * _TO_IPL - spacing * half
    return Placement(geometry.spacing_mm, _triple(start))


def geometry_of(shape: Shape, place: Placement) -> Geometry:
    """Return the axis-aligned canonical geometry of a displayed array, the inverse of :func:`placement`."""
    i, p, left = place.translate_mm
    superior = -(i + place.scale_mm[0] * (shape[0] - 1))
    return Geometry.from_spacing(shape, place.scale_mm, (superior, p, left))


def obliquity_note(geometry: Geometry) -> str:
    """Return a sentence about an oblique scan, or ``""`` for one that lies along the body's axes."""
    angle = geometry.obliquity_deg
    if angle < OBLIQUE_FROM_DEG:
        return ""
    return f"The scan lies oblique, by {angle:.1f}°: it is drawn along its own axes, and saved with its exact geometry."


def edge_letters(
    axis_labels: Sequence[str], shown: Sequence[int], orientation: Sequence[str] = ("down", "right")
) -> Mapping[str, str]:
    """Return the body's letter at each edge of a 2-D canvas: left, right, top, bottom.

    Empty unless both shown axes are called I, P or L. ``orientation`` is where the two axes grow, as the camera has it.
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


def _triple(values: Sequence[float] | Any) -> Triple:
    first, second, third = (float(v) for v in values)
    return first, second, third
