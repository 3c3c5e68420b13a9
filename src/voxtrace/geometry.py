"""Where voxels lie: Grid (as a file has it), Layout (how arrays are turned), Geometry (inside VoxTrace).

The world is measured in mm along (S, P, L): towards the head, towards the back, towards the patient's left. It is
DICOM's and ITK's LPS read backwards, so that world axes and array axes come in the same order, and the affine of a
canonical axial scan is a diagonal with positive entries.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtrace.errors import GeometryError

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]
Array = npt.NDArray[Any]

_DIRECTION_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Grid:
    """A grid as ITK and DICOM describe it: (x, y, z) order, LPS world, mm.

    Attributes
    ----------
    size
        Voxels along x, y, z.
    spacing_mm
        Distance between voxel centres along x, y, z.
    origin_mm
        Centre of the first voxel, (L, P, S).
    direction
        Row-major 3×3 matrix whose columns are the unit vectors of x, y, z in (L, P, S).
    """

    size: Shape
    spacing_mm: Triple
    origin_mm: Triple = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise GeometryError(f"a grid of {self.size} voxels is empty; every axis needs at least one voxel.")
        if not np.all(np.isfinite(self.spacing_mm)) or min(self.spacing_mm) <= 0:
            raise GeometryError(f"spacing {self.spacing_mm} mm is not positive; correct the header of the file.")
        matrix = np.reshape(self.direction, (3, 3))
        if not np.all(np.isfinite(matrix)) or abs(np.linalg.det(matrix)) < _DIRECTION_TOLERANCE:
            raise GeometryError(f"direction {self.direction} has no inverse; correct the header of the file.")

    @property
    def affine(self) -> Array:
        """The 4×4 matrix from array index (z, y, x) of the stored array to world (S, P, L) mm."""
        matrix = np.reshape(self.direction, (3, 3)) * np.asarray(self.spacing_mm)
        affine = np.eye(4)
        affine[:3, :3] = matrix[::-1, ::-1]
        affine[:3, 3] = self.origin_mm[::-1]
        return affine

    @property
    def axis_codes(self) -> str:
        """Where x, y, z run, as the letters of the nearest directions: ``LPS`` is left, posterior, superior.

        Examples
        --------
        >>> Grid((4, 4, 4), (1.0, 1.0, 1.0)).axis_codes
        'LPS'
        """
        matrix = np.reshape(self.direction, (3, 3))
        strongest = [int(np.argmax(np.abs(column))) for column in matrix.T]
        return "".join("LPS"[row] if matrix[row, x] > 0 else "RAI"[row] for x, row in enumerate(strongest))

    @property
    def layout(self) -> Layout:
        """How the stored array turns into the canonical one."""
        return Layout.nearest(np.reshape(self.direction, (3, 3))[::-1, ::-1])


@dataclass(frozen=True)
class Layout:
    """A permutation of array axes followed by flips: stored array (Z, Y, X) -> canonical array.

    ``axes[i]`` is the stored axis that becomes canonical axis i; ``flips[i]`` is True when canonical
    axis i runs against its stored direction.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @staticmethod
    def nearest(directions: Array) -> Layout:
        """Return the layout that brings unit vectors (columns, world order) nearest to the world axes."""
        strength = np.abs(directions)
        # all six orders are compared: taking the strongest entry of each column may pick one world axis twice
        best = max(_PERMUTATIONS, key=lambda axes: sum(strength[i, a] for i, a in enumerate(axes)))
        return Layout(best, tuple(bool(directions[i, a] < 0) for i, a in enumerate(best)))  # type: ignore[arg-type]

    @property
    def _flip(self) -> tuple[Any, ...]:
        """The index that runs every flipped canonical axis backwards."""
        return (..., *(slice(None, None, -1 if flip else 1) for flip in self.flips))

    def to_canonical(self, array: Array) -> Array:
        """Return a view of a stored array, last three axes (Z, Y, X), in canonical orientation."""
        lead = array.ndim - 3
        moved = array.transpose(*range(lead), *(lead + a for a in self.axes))
        canonical: Array = moved[self._flip]
        return canonical

    def stored_index(self, canonical: npt.ArrayLike, shape: Shape) -> Array:
        """Return where voxels (..., 3) of a canonical array of this shape lie in the stored array, (z, y, x)."""
        index = np.asarray(canonical, dtype=np.float64)
        run = np.where(self.flips, np.asarray(shape) - 1 - index, index)
        # argsort of a permutation is its inverse
        stored: Array = run[..., np.argsort(self.axes)]
        return stored

    def to_stored(self, array: Array) -> Array:
        """Return a view of a canonical array, last three axes, in the stored orientation."""
        lead = array.ndim - 3
        unflipped: Array = array[self._flip]
        return unflipped.transpose(*range(lead), *(lead + int(a) for a in np.argsort(self.axes)))


_PERMUTATIONS: tuple[tuple[int, int, int], ...] = (
    (0, 1, 2),
    (0, 2, 1),
    (1, 0, 2),
    (1, 2, 0),
    (2, 0, 1),
    (2, 1, 0),
)


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a canonical array lie.

    Attributes
    ----------
    shape
        Voxels along (Z, Y, X).
    affine
        Rows of the 4×4 matrix from voxel index (z, y, x) to world (S, P, L) in mm.
    stored
        The grid of the file the data came from, or None for data made in memory.
    """

    shape: Shape
    affine: tuple[tuple[float, ...], ...]
    stored: Grid | None = field(default=None, compare=False)

    @staticmethod
    def from_grid(grid: Grid) -> Geometry:
        """Return the canonical geometry of data that lie on ``grid``."""
        layout = grid.layout
        stored_shape = np.asarray(grid.size[::-1])
        shape = stored_shape[list(layout.axes)]
        # a flipped axis counts from its last voxel, hence n - 1 in the offset column
        matrix = np.zeros((4, 4))  # canonical index -> stored index
        for canonical, (stored, flip) in enumerate(zip(layout.axes, layout.flips, strict=True)):
            matrix[stored, canonical] = -1.0 if flip else 1.0
            matrix[stored, 3] = stored_shape[stored] - 1 if flip else 0.0
        matrix[3, 3] = 1.0
        return Geometry(tuple(int(n) for n in shape), _rows(grid.affine @ matrix), grid)  # type: ignore[arg-type]

    @staticmethod
    def from_spacing(shape: Shape, spacing_mm: Triple, origin_mm: Triple = (0.0, 0.0, 0.0)) -> Geometry:
        """Return the geometry of an axis-aligned array; spacing and origin along (Z, Y, X)."""
        affine = np.diag([*spacing_mm, 1.0])
        affine[:3, 3] = origin_mm
        return Geometry(shape, _rows(affine))

    @property
    def matrix(self) -> Array:
        """The affine as a (4, 4) float64 array."""
        return np.asarray(self.affine, dtype=np.float64)

    @property
    def spacing_mm(self) -> Triple:
        """Distance between neighbouring voxel centres along (Z, Y, X), in mm."""
        norms = np.linalg.norm(self.matrix[:3, :3], axis=0)
        return float(norms[0]), float(norms[1]), float(norms[2])

    @property
    def origin_mm(self) -> Triple:
        """World position (S, P, L) of voxel (0, 0, 0), in mm."""
        origin = self.matrix[:3, 3]
        return float(origin[0]), float(origin[1]), float(origin[2])

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in mL."""
        return float(abs(np.linalg.det(self.matrix[:3, :3]))) / 1000.0

    @property
    def obliquity_deg(self) -> float:
        """Largest angle between an array axis and the world axis nearest to it, in degrees."""
        directions = self.matrix[:3, :3] / np.asarray(self.spacing_mm)
        # rounding may push a cosine above 1
        cosines = np.clip(np.abs(np.diag(directions)), 0.0, 1.0)
        return float(np.degrees(np.arccos(cosines.min())))

    @property
    def grid(self) -> Grid:
        """The grid to write onto: the stored one, or this canonical one in ITK's order."""
        if self.stored is not None:
            return self.stored
        directions = (self.matrix[:3, :3] / np.asarray(self.spacing_mm))[::-1, ::-1]
        return Grid(
            self.shape[::-1], self.spacing_mm[::-1], self.origin_mm[::-1], tuple(float(v) for v in directions.ravel())
        )

    def world_mm(self, voxels: npt.ArrayLike) -> Array:
        """Return world positions (..., 3) in mm, (S, P, L), of voxel indices (..., 3), (z, y, x)."""
        matrix = self.matrix
        return np.asarray(voxels, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]

    def voxel(self, world_mm: npt.ArrayLike) -> Array:
        """Return fractional voxel indices (..., 3), (z, y, x), of world positions in mm, (S, P, L)."""
        matrix = self.matrix
        offset = np.asarray(world_mm, dtype=np.float64) - matrix[:3, 3]
        return offset @ np.linalg.inv(matrix[:3, :3]).T

    def part(self, start: tuple[int, int, int], shape: Shape) -> Geometry:
        """Return the geometry of ``shape`` voxels from voxel ``start`` on, (Z, Y, X): a crop.

        It may reach beyond this one, ``start`` below 0 included: then it pads. Where this one has a ``stored`` grid,
        so has the part: a plain :class:`Grid` of that box, whose axes run as those of the file.
        """
        matrix = self.matrix
        matrix[:3, 3] = self.world_mm(start)
        part = Geometry(shape, _rows(matrix))
        return part if self.stored is None else replace(part, stored=_turned(part, self.stored))

    def is_close(self, other: Geometry, tolerance_mm: float = 1e-2) -> bool:
        """Return whether both grids have the same shape and no corner differs by more than the tolerance."""
        if self.shape != other.shape:
            return False
        corners = np.stack(
            np.meshgrid(*[(0, n) for n in self.shape], indexing="ij"), -1
        )  # n, not n - 1: the far side of the last voxel counts too
        return bool(np.abs(self.world_mm(corners) - other.world_mm(corners)).max() <= tolerance_mm)


def _turned(geometry: Geometry, like: Grid) -> Grid:
    """Return the grid of a canonical geometry whose axes run as those of another grid."""
    layout = like.layout
    size = layout.to_stored(np.broadcast_to(0, geometry.shape)).shape[::-1]
    first = [n - 1 if flip else 0 for n, flip in zip(geometry.shape, layout.flips, strict=True)]
    s_mm, p_mm, l_mm = (float(mm) for mm in geometry.world_mm(first))
    return Grid(size, like.spacing_mm, (l_mm, p_mm, s_mm), like.direction)


def _rows(matrix: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(v) for v in row) for row in matrix)
