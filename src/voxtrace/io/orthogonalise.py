"""Axes that are not at right angles: turned slightly, or resampled.

Rounding in a header leaves axes slightly off right angles. They are replaced by the nearest right-angled axes, about
the middle of the volume, and the voxels stay as they are. A real shear would put voxels in the wrong place, so the
volume is resampled: two axes keep their plane, the third becomes its normal, and the new grid holds the whole volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.raw_affine import RawAffine
from voxtrace.passport import Finding
from voxtrace.volume import Array

_ROUNDING_DEG = 0.01
_NEAR_DEG = 0.5
_NEAR_VOXELS = 0.5
_MOST_GROWTH = 8


@dataclass(frozen=True, eq=False)
class Orthogonalised:
    """An affine at right angles, what was found, and how far it moved a corner at most.

    ``resample`` tells that voxels must be resampled onto it.
    """

    affine: RawAffine
    finding: Finding
    moved_mm: float = 0.0
    resample: bool = False


def orthogonalise(affine: RawAffine, path: Path) -> Orthogonalised:
    """Return the nearest affine whose axes are at right angles.

    Raises
    ------
    ReadError
        When the axes are so far from right angles that a grid around the volume would be mostly empty.
    """
    off_deg = _off_deg(affine.steps_mm)
    if off_deg <= 1e-4:
        return Orthogonalised(affine, Finding("axes", "fine", "at right angles"))
    turned = _turned(affine)
    moved_mm = turned.distance_mm(affine)
    if off_deg <= _ROUNDING_DEG:
        return Orthogonalised(turned, Finding("axes", "fine", "at right angles"), moved_mm)
    if off_deg < _NEAR_DEG and moved_mm <= _NEAR_VOXELS * min(affine.spacing_mm):
        found = f"{off_deg:.2g}° off right angles"
        remedy = f"turned onto the nearest right angles, which moves no corner by more than {moved_mm:.2g} mm"
        return Orthogonalised(turned, Finding("axes", "corrected", found, remedy), moved_mm)
    straight = _right_angled(affine, path, off_deg)
    remedy = "resampled onto a right-angled grid around the whole volume; results lie on that grid"
    return Orthogonalised(straight, Finding("axes", "corrected", f"sheared by {off_deg:.1f}°", remedy), resample=True)


def resample(array: Array, source: RawAffine, target: RawAffine, *, labels: bool) -> Array:
    """Return an array (Z, Y, X) that lies at ``source`` on the grid of ``target``.

    Intensities are interpolated linearly, labels taken from the nearest voxel. Outside the volume the result
    has its smallest intensity, or background.
    """
    from voxtrace.io.itk import image_of, simpleitk

    sitk = simpleitk()
    image = image_of(
        array if labels else array.astype(np.float32, copy=False), RawAffine(source.size, np.eye(3), np.zeros(3)).grid()
    )  # world positions of this image are its voxel indices
    to_index = np.linalg.inv(source.steps_mm)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix([float(v) for v in to_index.ravel()])
    transform.SetTranslation([float(v) for v in -to_index @ source.origin_mm])
    outside = 0.0 if labels else float(array.min())
    kind = sitk.sitkNearestNeighbor if labels else sitk.sitkLinear
    grid = target.grid()
    arguments: tuple[Any, ...] = (grid.size, transform, kind, grid.origin_mm, grid.spacing_mm, grid.direction, outside)
    moved: Array = sitk.GetArrayFromImage(sitk.Resample(image, *arguments))
    return moved if labels or array.dtype.kind == "f" else np.rint(moved).astype(array.dtype)


def _off_deg(steps_mm: Array) -> float:
    """Return how far the angle between any two axes is from 90°, at most."""
    directions = steps_mm / np.linalg.norm(steps_mm, axis=0)
    cosines = (directions.T @ directions)[np.triu_indices(3, 1)]
    return float(np.degrees(np.arcsin(np.clip(np.abs(cosines), 0.0, 1.0)).max()))


def _turned(affine: RawAffine) -> RawAffine:
    """Return the affine with the nearest orthogonal directions (polar decomposition) about the same middle."""
    spacing_mm = np.asarray(affine.spacing_mm)
    left, _, right = np.linalg.svd(affine.steps_mm / spacing_mm)
    steps = (left @ right) * spacing_mm
    # turning about the middle moves corners least
    middle = (np.asarray(affine.size) - 1) / 2
    return RawAffine(affine.size, steps, affine.origin_mm + (affine.steps_mm - steps) @ middle)


def _right_angled(affine: RawAffine, path: Path, off_deg: float) -> RawAffine:
    """Return the right-angled affine on the plane of the two axes that are nearest to right angles."""
    spacing_mm = np.asarray(affine.spacing_mm)
    directions = affine.steps_mm / spacing_mm
    a, b, third = min(
        ((0, 1, 2), (0, 2, 1), (1, 2, 0)), key=lambda axes: abs(directions[:, axes[0]] @ directions[:, axes[1]])
    )
    left, _, right = np.linalg.svd(directions[:, [a, b]], full_matrices=False)
    straight = np.empty((3, 3))
    straight[:, [a, b]] = left @ right
    normal = np.cross(straight[:, a], straight[:, b])
    straight[:, third] = normal * np.sign(normal @ directions[:, third])
    spacing_mm = spacing_mm.copy()
    spacing_mm[third] *= abs(normal @ directions[:, third])  # from plane to plane
    along = affine.landmarks_mm @ straight  # where the corners lie along the new axes
    low, high = along.min(axis=0), along.max(axis=0)
    size = np.ceil((high - low) / spacing_mm - 1e-6).astype(int) + 1
    if np.prod(size.astype(float)) > _MOST_GROWTH * np.prod(np.asarray(affine.size, dtype=float)):
        raise ReadError(
            f"{path} has axes {off_deg:.0f}° off right angles; a right-angled grid around it would have "
            f"{'×'.join(map(str, size))} voxels, mostly empty. Check the transform in its header."
        )
    x, y, z = (int(n) for n in size)
    return RawAffine((x, y, z), straight * spacing_mm, straight @ low)
