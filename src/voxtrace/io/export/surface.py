"""A label -> a closed surface in mm: marching cubes midway between voxel centres, triangles facing outwards.

Vertices are (L, P, S) in mm, as DICOM, ITK and 3D Slicer measure patients. A surface cuts the corners off the voxels'
steps, so it encloses a little less than the voxels do; how much less shrinks with the size of the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # its parts are loaded where they are used

from voxtrace.errors import OutputError
from voxtrace.io.export.label_style import name_of
from voxtrace.volume import Array, LabelMap, Triple

_MIDWAY = 0.5
_REACH = 3.0  # standard deviations at which the Gaussian is cut off


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed surface: ``vertices_mm`` (N, 3), (L, P, S), ``faces`` (M, 3) counter-clockwise seen from outside."""

    label: int
    name: str
    colour: Triple
    vertices_mm: Array
    faces: Array

    @property
    def volume_ml(self) -> float:
        """What the surface encloses, in mL; positive when its triangles face outwards."""
        return signed_volume_ml(self.vertices_mm, self.faces)


def signed_volume_ml(vertices_mm: Array, faces: Array) -> float:
    """Return what a closed surface encloses, in mL; negative when its triangles face inwards."""
    a, b, c = (vertices_mm[faces[:, i]].astype(np.float64) - vertices_mm[0] for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0) / 1000.0


def surface_of(labels: LabelMap, value: int, box: tuple[slice, ...], colour: Triple, smooth_mm: float = 0.0) -> Surface:
    """Return the surface of a label within its bounding box in the canonical array.

    Parameters
    ----------
    smooth_mm
        Standard deviation of a Gaussian over the mask, in mm; 0 for none. It rounds edges, and shrinks what is thin.

    Raises
    ------
    OutputError
        When smoothing leaves nothing of the label.
    """
    from skimage import measure

    marching_cubes: Any = measure.marching_cubes

    sigma = smooth_mm / np.asarray(labels.geometry.spacing_mm)
    # room for the Gaussian, and one voxel of background so that the surface is closed
    pad = np.ceil(_REACH * sigma).astype(int) + 1
    mask = np.pad(labels.data[box] == value, [(n, n) for n in pad.tolist()]).astype(np.float32)
    if smooth_mm > 0:
        mask = scipy.ndimage.gaussian_filter(mask, sigma, mode="constant", truncate=_REACH)
    if float(mask.max()) <= _MIDWAY:
        raise OutputError(
            f"label {value} ({name_of(labels, value)}) is too thin to be smoothed by {smooth_mm:g} mm: nothing of it "
            "would be left. Smooth less."
        )
    voxels, faces, _, _ = marching_cubes(mask, _MIDWAY, allow_degenerate=False, gradient_direction="ascent")
    start = np.asarray([along.start for along in box]) - pad
    world = labels.geometry.world_mm(voxels.astype(np.float64) + start)[:, ::-1]
    # scikit-image winds triangles for right-handed array axes; the affine may be left-handed
    turned = np.linalg.det(labels.geometry.matrix[:3, :3]) < 0
    return Surface(value, name_of(labels, value), colour, world, faces if turned else faces[:, ::-1])
