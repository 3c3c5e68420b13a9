"""MapResampler: scalar maps on network planes become maps on the input's grid, one plane at a time.

Values are interpolated linearly, in-plane first, then between network planes, like the probabilities of labels. A voxel
without a value (NaN) takes no part: the others share its weight, and where less than half of the weight is left the
result is NaN. Outside what the network saw, e.g. the box of the body, maps are NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import Tensor

from voxtrace.inference.plane_walk import PlaneWalk
from voxtrace.preprocess import AxisWeights, LabelPaster, NetworkGrid
from voxtrace.volume import Array

LEAST_WEIGHT = np.float32(0.5)
_ONE, _NAN = np.float32(1.0), np.float32(np.nan)


class WeightedPlane(NamedTuple):
    """Values (S, M, Y, X) times their weights, 0 where there is none, and the weights; None where all are 1."""

    values: Array
    weights: Array | None

    def means(self) -> Array:
        """Return values divided by weights, NaN where less than half of the weight is left."""
        if self.weights is None:
            return self.values
        enough = self.weights >= LEAST_WEIGHT
        return np.where(enough, self.values / np.where(enough, self.weights, _ONE), _NAN)


class MapResampler:
    """Takes maps on network planes in ascending z and yields those of the input's planes as soon as they are known."""

    def __init__(self, grid: NetworkGrid) -> None:
        self._walk, self._frame, self._placer = PlaneWalk(grid), grid.crop_order, LabelPaster(grid.crop_order)
        self._below: WeightedPlane | None = None

    def push(self, padded: Tensor) -> Iterator[Array]:
        """Take maps (S, M, Y', X') on the next plane of the padded grid; yield (S, M, Y, X) of input planes."""
        if not self._walk.enter():
            return
        plane = self._enlarged(self._walk.inside(padded).cpu().numpy())
        for z_weight in self._walk.input_planes():
            below = plane if self._below is None else self._below
            yield from self._placed(interpolated(below, plane, np.float32(z_weight)).means())
        self._below = plane

    def _enlarged(self, maps: Array) -> WeightedPlane:
        """Return maps (S, M, Y', X') in the size of the input's planes."""
        axes, known = (self._walk.y, self._walk.x), ~np.isnan(maps)
        if known.all():
            return WeightedPlane(resized(maps, *axes), None)
        # Interpolating values and weights apart keeps one NaN from spreading to its neighbours.
        weights = resized(known.astype(np.float32), *axes)
        return WeightedPlane(resized(np.where(known, maps, np.float32(0.0)), *axes), weights)

    def _placed(self, maps: Array) -> Iterator[Array]:
        """Yield canonical planes (S, M, Y, X), NaN outside what the network saw.

        The placer fills with 0, so a plane of ones is placed with the maps: where it is 0 there is no value.
        """
        if self._frame.identity:
            yield maps
            return
        flat = maps.reshape(-1, *maps.shape[2:])  # the placer takes one axis before Y and X
        for placed in self._placer.push(np.concatenate([flat, np.ones_like(flat[:1])])):
            values = np.where(placed[-1] > 0, placed[:-1], _NAN)
            yield values.reshape(*maps.shape[:2], *placed.shape[1:])


def resized(maps: Array, y: AxisWeights, x: AxisWeights) -> Array:
    """Return maps (S, M, Y', X') interpolated in-plane, (S, M, Y, X)."""
    return x.apply(y.apply(maps, 2), 3)


def interpolated(below: WeightedPlane, above: WeightedPlane, z_weight: np.float32) -> WeightedPlane:
    """Return the mean of two planes, in which ``above`` has the weight ``z_weight``."""
    if z_weight == _ONE or below is above:
        return above
    values = (_ONE - z_weight) * below.values + z_weight * above.values
    if below.weights is None and above.weights is None:
        return WeightedPlane(values, None)
    weights = [_ONE if plane.weights is None else plane.weights for plane in (below, above)]
    return WeightedPlane(values, np.asarray((_ONE - z_weight) * weights[0] + z_weight * weights[1], np.float32))
