"""In what two grids differ, and whether one header may take the place of the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxtrace.volume import Array, Geometry, Grid

_SPACING, _DIRECTION = 0.02, 0.02  # relative, and of a unit vector: what rounding in a header changes
_MOVED_MM, _MOVED = 10.0, 0.5  # the origin at most, and in parts of the extent; more is another part of the body


def difference(one: Geometry, other: Geometry) -> str:
    """Return in what a grid differs from another, in words: size, spacing, direction or origin, along (Z, Y, X).

    Examples
    --------
    >>> a = Geometry.from_spacing((10, 20, 20), (3.0, 1.0, 1.0))
    >>> difference(Geometry.from_spacing((10, 20, 21), (3.0, 1.0, 1.0)), a)
    'size 10×20×21 against 10×20×20'
    >>> difference(Geometry.from_spacing((10, 20, 20), (3.0, 1.0, 1.0), (0.0, 5.0, 0.0)), a)
    'origin moved by 0, 5, 0 mm (S, P, L)'
    """
    said = []
    if one.shape != other.shape:
        said.append(f"size {_times(one.shape)} against {_times(other.shape)}")
    if not np.allclose(one.spacing_mm, other.spacing_mm, rtol=1e-4):
        said.append(f"spacing {_times(one.spacing_mm)} against {_times(other.spacing_mm)} mm")
    if not np.allclose(_directions(one), _directions(other), atol=1e-3):
        said.append("direction of the axes")
    moved = np.subtract(one.origin_mm, other.origin_mm)
    if np.abs(moved).max() > 1e-3 or not said:
        said.append(f"origin moved by {', '.join(f'{float(mm):.4g}' for mm in moved)} mm (S, P, L)")
    return ", ".join(said)


def header_fits(one: Geometry, other: Geometry) -> bool:
    """Tell whether voxels of one grid may take the header of the other.

    They may where the arrays as stored have one size, and the header says nothing (1 mm, origin 0, axes along those of
    the format) or differs in nothing but its origin, up to rounding, by at most 10 mm and half the extent along
    each axis.
    """
    a, b = one.grid, other.grid
    if a.size != b.size:
        return False
    same_spacing = np.allclose(a.spacing_mm, b.spacing_mm, rtol=_SPACING)
    same_direction = np.allclose(a.direction, b.direction, atol=_DIRECTION)
    return is_bare(a) or bool(same_spacing and same_direction and _is_near(a, b))


def _is_near(a: Grid, b: Grid) -> bool:
    """Tell whether two grids that differ in their origins alone lie over the same part of the body."""
    moved = np.reshape(b.direction, (3, 3)).T @ np.subtract(a.origin_mm, b.origin_mm)  # along the axes
    extent = np.multiply(b.size, b.spacing_mm)
    return bool((np.abs(moved) <= np.minimum(_MOVED_MM, _MOVED * extent)).all())


def is_bare(grid: Grid) -> bool:
    """Tell whether a header says nothing: 1 mm along each axis, origin 0, axes along those of NIfTI or of ITK."""
    matrix = np.reshape(grid.direction, (3, 3))
    plain = any(np.allclose(matrix, np.diag(signs)) for signs in ((1, 1, 1), (-1, -1, 1)))
    return plain and np.allclose(grid.spacing_mm, 1.0) and np.allclose(grid.origin_mm, 0.0)


def on_grid_of(data: Array, own: Geometry, target: Geometry) -> Array:
    """Return canonical data (…, Z, Y, X) as the same stored voxels look under the header of another grid."""
    turned: Array = np.ascontiguousarray(target.grid.layout.to_canonical(own.grid.layout.to_stored(data)))
    return turned


def _directions(geometry: Geometry) -> Array:
    matrix: Array = geometry.matrix[:3, :3] / np.asarray(geometry.spacing_mm)
    return matrix


def _times(values: Sequence[float]) -> str:
    return "×".join(f"{value:.5g}" for value in values)
