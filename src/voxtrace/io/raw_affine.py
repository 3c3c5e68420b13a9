"""Where a file puts its voxels; its axes need not be at right angles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from voxtrace.volume import Array, Grid, Shape, Triple

LARGEST_MM, SMALLEST_MM = 100.0, 0.01  # a voxel size beyond is a mistake in the header

# the eight corner voxels and the centre of a volume, as fractions of each axis
CORNERS = np.array([*product((0.0, 1.0), repeat=3), (0.5, 0.5, 0.5)])


@dataclass(frozen=True, eq=False)
class RawAffine:
    """A grid whose axes may be at any angle: (x, y, z) order, LPS world, mm.

    Attributes
    ----------
    size
        Voxels along x, y, z.
    steps_mm
        3×3 array whose columns are the steps from one voxel to the next along x, y, z, in (L, P, S).
    origin_mm
        Centre of the first voxel, (L, P, S).
    """

    size: Shape
    steps_mm: Array
    origin_mm: Array

    @staticmethod
    def of(grid: Grid) -> RawAffine:
        """Return the affine of a grid."""
        steps = np.reshape(grid.direction, (3, 3)) * np.asarray(grid.spacing_mm)
        return RawAffine(grid.size, steps, np.asarray(grid.origin_mm, dtype=np.float64))

    @property
    def spacing_mm(self) -> Triple:
        """Distance between neighbouring voxel centres along x, y, z."""
        x, y, z = (float(n) for n in np.linalg.norm(self.steps_mm, axis=0))
        return x, y, z

    @property
    def landmarks_mm(self) -> Array:
        """The eight corner voxels and the centre of the volume, (9, 3), in (L, P, S)."""
        inside = CORNERS * (np.asarray(self.size) - 1)
        landmarks: Array = inside @ self.steps_mm.T + self.origin_mm
        return landmarks

    def distance_mm(self, other: RawAffine) -> float:
        """Return the largest distance between a corner here and the same corner there."""
        return float(np.linalg.norm(self.landmarks_mm - other.landmarks_mm, axis=1).max())

    def grid(self) -> Grid:
        """Return the grid with these steps; they must be at right angles."""
        directions = self.steps_mm / np.asarray(self.spacing_mm)
        origin = self.origin_mm
        return Grid(
            self.size,
            self.spacing_mm,
            (float(origin[0]), float(origin[1]), float(origin[2])),
            tuple(float(v) for v in directions.ravel()),
        )
