"""Scalar maps on network planes become maps on the input's grid, one plane at a time.

Values are interpolated linearly, in-plane first, then between network planes, like the probabilities of labels. A voxel
without a value (NaN) takes no part: the others share its weight, and where less than half of the weight is left the
result is NaN. Outside what the network saw, e.g. the box of the body, maps are NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import Tensor

from voxtrace.preprocess import AxisWeights, NetworkGrid, Placer, axis_weights
from voxtrace.volume import Array

LEAST_WEIGHT = 0.5


class WeightedPlane(NamedTuple):
    """Values (S, M, Y, X) times their weights, 0 where there is none, and the weights; None where all are 1."""

    values: Array
    weights: Array | None

    def means(self) -> Array:
        """Return values divided by weights, NaN where less than half of the weight is left."""
        if self.weights is None:
            return self.values
        enough = self.weights >= LEAST_WEIGHT
        return np.where(enough, self.values / np.where(enough, self.weights, 1.0), np.float32(np.nan))


class MapsToInput:
    """Takes maps on network planes in ascending z and gives those of the input's planes as soon as they are known."""

    def __init__(self, grid: NetworkGrid) -> None:
        self._grid, self._placer = grid, Placer(grid.frame)
        sizes = zip(grid.shape, grid.input_shape, grid.back, strict=True)
        self._z, self._y, self._x = (axis_weights(have, want, kind) for have, want, kind in sizes)
        self._top = np.where(self._z.weights > 0, self._z.indices, 0).max(1)  # highest plane that each one needs
        self._taken, self._given = 0, 0
        self._below: WeightedPlane | None = None

    def push(self, padded: Tensor) -> Iterator[Array]:
        """Take maps (S, M, Y', X') on the next plane of the padded grid; yield (S, M, Y, X) of input planes."""
        (before_z, _), (before_y, _), (before_x, _) = self._grid.padding
        depth, height, width = self._grid.shape
        z, self._taken = self._taken - before_z, self._taken + 1
        if not 0 <= z < depth:
            return
        inside = padded[:, :, before_y : before_y + height, before_x : before_x + width]
        plane = self._enlarged(inside.cpu().numpy())
        while self._given < self._grid.input_shape[0] and self._top[self._given] <= z:
            above = np.float32(self._z.weights[self._given, self._z.indices[self._given] == z].sum())
            below = plane if self._below is None else self._below
            yield from self._placed(mixed(below, plane, above).means())
            self._given += 1
        self._below = plane

    def _enlarged(self, maps: Array) -> WeightedPlane:
        """Return maps (S, M, Y', X') in the size of the input's planes."""
        known = ~np.isnan(maps)
        if known.all():
            return WeightedPlane(resized(maps, self._y, self._x), None)
        weights = resized(known.astype(np.float32), self._y, self._x)
        return WeightedPlane(resized(np.where(known, maps, np.float32(0.0)), self._y, self._x), weights)

    def _placed(self, maps: Array) -> Iterator[Array]:
        """Yield canonical planes (S, M, Y, X); a plane of ones that takes the same way tells where maps lie."""
        if self._grid.frame.identity:
            yield maps
            return
        flat = maps.reshape(-1, *maps.shape[2:])
        for placed in self._placer.push(np.concatenate([flat, np.ones_like(flat[:1])])):
            values = np.where(placed[-1] > 0, placed[:-1], np.float32(np.nan))
            yield values.reshape(*maps.shape[:2], *placed.shape[1:])


def resized(maps: Array, y: AxisWeights, x: AxisWeights) -> Array:
    """Return maps (S, M, Y', X') interpolated in-plane, (S, M, Y, X)."""
    return x.apply(y.apply(maps, 2), 3)


def mixed(below: WeightedPlane, above: WeightedPlane, share: np.float32) -> WeightedPlane:
    """Return the mean of two planes, in which ``above`` has the weight ``share``."""
    if share == 1.0 or below is above:
        return above
    one = np.float32(1.0)
    values = (one - share) * below.values + share * above.values
    if below.weights is None and above.weights is None:
        return WeightedPlane(values, None)
    weights = [one if plane.weights is None else plane.weights for plane in (below, above)]
    return WeightedPlane(values, np.asarray((one - share) * weights[0] + share * weights[1], np.float32))
