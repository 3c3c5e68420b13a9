"""Axes that do not stand at right angles: turned by a hair, or resampled.

Rounding in a header leaves axes a hair off; they take the nearest right-angled ones, about the middle of the volume,
and the voxels stay as they are. A real shear would put them in the wrong place, so the volume is resampled: two axes
keep their plane, the third becomes its normal, and the new grid holds the whole volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.io.placement import Placement
from voxtrace.passport import Finding
from voxtrace.volume import Array

_ROUNDING_DEG = 0.01
_NEAR_DEG = 0.5
_NEAR_VOXELS = 0.5
_MOST_GROWTH = 8


@dataclass(frozen=True, eq=False)
class Squared:
    """A placement at right angles, how it came about, and how far it moved a corner at most.

    ``resample`` tells that voxels must be brought onto it.
    """

    placement: Placement
    finding: Finding
    moved_mm: float = 0.0
    resample: bool = False


def squared(placed: Placement, path: Path) -> Squared:
    """Return the nearest placement whose axes are at right angles.

    Raises
    ------
    ReadError
        When the axes are so far from right angles that a grid around the volume would be mostly empty.
    """
    off_deg = _off_deg(placed.steps_mm)
    if off_deg <= 1e-4:
        return Squared(placed, Finding("axes", "fine", "at right angles"))
    turned = _turned(placed)
    moved_mm = turned.distance_mm(placed)
    if off_deg <= _ROUNDING_DEG:
        return Squared(turned, Finding("axes", "fine", "at right angles"), moved_mm)
    if off_deg < _NEAR_DEG and moved_mm <= _NEAR_VOXELS * min(placed.spacing_mm):
        found = f"{off_deg:.2g}° off right angles"
        remedy = f"turned onto the nearest right angles, which moves no corner by more than {moved_mm:.2g} mm"
        return Squared(turned, Finding("axes", "corrected", found, remedy), moved_mm)
    upright = _upright(placed, path, off_deg)
    remedy = "resampled onto a right-angled grid around the whole volume; results lie on that grid"
    return Squared(upright, Finding("axes", "corrected", f"sheared by {off_deg:.1f}°", remedy), resample=True)


def resampled(array: Array, source: Placement, target: Placement, *, labels: bool) -> Array:
    """Return an array (Z, Y, X) that lies at ``source`` on the grid of ``target``.

    Intensities are interpolated linearly, labels taken from the nearest voxel. Outside the volume lies its smallest
    intensity, or background.
    """
    from voxtrace.io.itk import image_of, simpleitk

    sitk = simpleitk()
    image = image_of(
        array if labels else array.astype(np.float32, copy=False), Placement(source.size, np.eye(3), np.zeros(3)).grid()
    )  # its world are its own indices
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


def _turned(placed: Placement) -> Placement:
    """Return the placement with the nearest orthogonal directions (polar decomposition) about the same middle."""
    spacing_mm = np.asarray(placed.spacing_mm)
    left, _, right = np.linalg.svd(placed.steps_mm / spacing_mm)
    steps = (left @ right) * spacing_mm
    middle = (np.asarray(placed.size) - 1) / 2
    return Placement(placed.size, steps, placed.origin_mm + (placed.steps_mm - steps) @ middle)


def _upright(placed: Placement, path: Path, off_deg: float) -> Placement:
    """Return the right-angled placement on the plane of the two axes that are nearest to right angles."""
    spacing_mm = np.asarray(placed.spacing_mm)
    directions = placed.steps_mm / spacing_mm
    a, b, third = min(
        ((0, 1, 2), (0, 2, 1), (1, 2, 0)), key=lambda axes: abs(directions[:, axes[0]] @ directions[:, axes[1]])
    )
    left, _, right = np.linalg.svd(directions[:, [a, b]], full_matrices=False)
    upright = np.empty((3, 3))
    upright[:, [a, b]] = left @ right
    normal = np.cross(upright[:, a], upright[:, b])
    upright[:, third] = normal * np.sign(normal @ directions[:, third])
    spacing_mm = spacing_mm.copy()
    spacing_mm[third] *= abs(normal @ directions[:, third])  # from plane to plane
    along = placed.marks_mm @ upright  # where the corners lie along the new axes
    low, high = along.min(axis=0), along.max(axis=0)
    size = np.ceil((high - low) / spacing_mm - 1e-6).astype(int) + 1
    if np.prod(size.astype(float)) > _MOST_GROWTH * np.prod(np.asarray(placed.size, dtype=float)):
        raise ReadError(
            f"{path} has axes {off_deg:.0f}° off right angles; a right-angled grid around it would have "
            f"{'×'.join(map(str, size))} voxels, mostly empty. Check the transform in its header."
        )
    x, y, z = (int(n) for n in size)
    return Placement((x, y, z), upright * spacing_mm, upright @ low)
