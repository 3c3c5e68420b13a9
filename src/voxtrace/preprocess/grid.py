"""The network grid beside the input grid, and a volume's planes on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxtrace.plan import Plan
from voxtrace.preprocess.axis import Float32, axis_weights
from voxtrace.preprocess.intensity import intensities
from voxtrace.volume import Geometry, Shape, Volume

Padding = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class NetworkGrid:
    """The grid that the network sees, beside the grid of the input. Both cover the same box.

    Attributes
    ----------
    input_shape, shape
        Voxels along (Z, Y, X) of the input and of the network grid.
    padding
        Voxels (before, after) to add along each axis so that one window fits; the odd one goes after.
    """

    input_shape: Shape
    shape: Shape
    padding: Padding

    @property
    def padded_shape(self) -> Shape:
        """Voxels along (Z, Y, X) that windows are laid over."""
        z, y, x = (n + before + after for n, (before, after) in zip(self.shape, self.padding, strict=True))
        return z, y, x

    @property
    def identity(self) -> bool:
        """Whether the network sees the input's own grid."""
        return self.shape == self.input_shape

    def stream(self, volume: Volume, plan: Plan) -> PlaneStream:
        """Return planes of the volume on this grid, lazily."""
        return PlaneStream(self, volume, plan)

    def planes(self, volume: Volume, plan: Plan, lo: int, hi: int) -> Float32:
        """Return network planes lo ≤ z < hi, (C, hi − lo, Y', X') float32, without padding."""
        return self.stream(volume, plan).planes(lo, hi)


def network_grid(geometry: Geometry, plan: Plan) -> NetworkGrid:
    """Return the network grid of an input: the same box at ``plan.spacing_mm``, at least one voxel along each axis."""
    z, y, x = (
        max(1, round(n * have / want))
        for n, have, want in zip(geometry.shape, geometry.spacing_mm, plan.spacing_mm, strict=True)
    )
    missing = [max(0, window - n) for n, window in zip((z, y, x), plan.window, strict=True)]
    before_z, before_y, before_x = (m // 2 for m in missing)
    padding = (
        (before_z, missing[0] - before_z),
        (before_y, missing[1] - before_y),
        (before_x, missing[2] - before_x),
    )
    return NetworkGrid(geometry.shape, (z, y, x), padding)


class PlaneStream:
    """Planes of one volume on the network grid, made when they are asked for.

    Native planes that were normalised and resampled in-plane are kept only as far back as the last request began, so
    walking up in z makes each plane once and holds a handful.
    """

    def __init__(self, grid: NetworkGrid, volume: Volume, plan: Plan) -> None:
        self.grid = grid
        self._data = volume.data
        self._intensities = intensities(volume, plan)
        sizes = zip(grid.input_shape, grid.shape, strict=True)
        self._z, self._y, self._x = (axis_weights(a, b, plan.interpolation) for a, b in sizes)
        self._made: dict[int, Float32] = {}

    def planes(self, lo: int, hi: int) -> Float32:
        """Return network planes lo ≤ z < hi, (C, hi − lo, Y', X') float32, without padding."""
        result = np.empty((self._data.shape[0], hi - lo, *self.grid.shape[1:]), np.float32)
        for z in range(lo, hi):
            result[:, z - lo] = self._plane(z)
        return result

    def padded(self, lo: int, hi: int) -> Float32:
        """Return planes lo ≤ z < hi of the padded grid, (C, hi − lo, Y'', X'') float32; the padding is 0."""
        (before_z, _), (before_y, _), (before_x, _) = self.grid.padding
        depth, height, width = self.grid.shape
        result = np.zeros((self._data.shape[0], hi - lo, *self.grid.padded_shape[1:]), np.float32)
        inner = result[:, :, before_y : before_y + height, before_x : before_x + width]
        for z in range(max(lo, before_z), min(hi, before_z + depth)):
            inner[:, z - lo] = self._plane(z - before_z)
        return result

    def _plane(self, z: int) -> Float32:
        """Return one network plane (C, Y', X')."""
        if self._z.identity:
            return self._make(z)
        indices, weights = self._z.indices[z], self._z.weights[z]
        for stale in [made for made in self._made if made < indices.min()]:
            del self._made[stale]
        result: Float32 = self._in_plane(int(indices[0])) * weights[0]
        for index, weight in zip(indices[1:], weights[1:], strict=True):
            result += self._in_plane(int(index)) * weight
        return result

    def _in_plane(self, z: int) -> Float32:
        if z not in self._made:
            self._made[z] = self._make(z)
        return self._made[z]

    def _make(self, z: int) -> Float32:
        """Return one native plane, normalised and resampled in-plane, (C, Y', X')."""
        plane = np.stack([rule.apply(self._data[c, z]) for c, rule in enumerate(self._intensities)])
        return self._x.apply(self._y.apply(plane, 1), 2)


def network_volume(volume: Volume, plan: Plan) -> Float32:
    """Return the whole volume normalised and on the network grid, (C, Z', Y', X') float32, without padding."""
    grid = network_grid(volume.geometry, plan)
    return grid.planes(volume, plan, 0, grid.shape[0])
