"""A volume's planes on the network grid, computed when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from voxtrace.plan import Plan
from voxtrace.preprocess.axis import Float32, axis_weights
from voxtrace.preprocess.crop_order import CropAndOrder, find_crop_order
from voxtrace.preprocess.grid import NetworkGrid, grid_of
from voxtrace.preprocess.intensity import FIXED, Intensity, Mask, intensities, never
from voxtrace.preprocess.limits import Limits, limits
from voxtrace.volume import Geometry, Volume


class PlaneStream:
    """Planes of one volume on the network grid.

    Native planes that were normalised and resampled in-plane are kept only from the start of the last request on, so
    going up in z computes each plane once and holds a few. ``check`` is called before each native plane; an error
    that it raises stops the work.
    """

    def __init__(self, grid: NetworkGrid, volume: Volume, plan: Plan, check: Callable[[], None] = never) -> None:
        self.grid, self._check = grid, check
        self._data = grid.crop_order.view(volume.data)
        self._intensities = _rules(grid.crop_order, volume, plan, check)
        sizes = zip(grid.input_shape, grid.shape, grid.to_network, strict=True)
        self._z, self._y, self._x = (axis_weights(a, b, kind) for a, b, kind in sizes)
        self._limits = self._find_limits()
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
        mixed = self._mixed(z)
        return mixed if self._limits is None else self._limits.clip(mixed)

    def _mixed(self, z: int) -> Float32:
        if self._z.identity:
            return self._make(z)
        indices, weights = self._z.indices[z], self._z.weights[z]
        # requests go up in z, so planes below the first tap are not needed again
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
        self._check()
        plane = self._native(z)
        resampled = self._x.apply(self._y.apply(plane, 1), 2)
        if self._clips_each_plane:
            return limits([plane], None).clip(resampled)
        return resampled

    def _native(self, z: int) -> Float32:
        return np.stack([rule.plane(self._data[c], z) for c, rule in enumerate(self._intensities)])

    def _all(self) -> Iterator[int]:
        """Yield the number of each native plane, with a look whether to stop before it."""
        for z in range(self.grid.input_shape[0]):
            self._check()
            yield z

    @property
    def _clips_each_plane(self) -> bool:
        """Whether the spline runs in-plane alone, so that each plane has limits of its own."""
        return self.grid.to_network == ("nearest", "spline", "spline") and not (self._y.identity and self._x.identity)

    def _find_limits(self) -> Limits | None:
        """Return the range that resampled values are clipped to; reads every plane where the spline runs along z."""
        if self.grid.identity or self.grid.to_network[0] != "spline":
            return None
        repeated = next((axis for axis in (1, 2) if self.grid.to_network[axis] == "nearest"), None)
        found = limits((self._native(z) for z in self._all()), repeated)
        return found.resampled(self._y if repeated == 1 else self._x, repeated) if repeated else found


def _rules(
    crop_order: CropAndOrder, volume: Volume, plan: Plan, check: Callable[[], None] = never
) -> tuple[Intensity, ...]:
    """Return how each channel is normalised as the network sees it; a part of a scan as the whole scan would be."""
    whole = volume.whole
    if whole is None or all(rule.scheme in FIXED for rule in plan.normalisation):
        seen = Geometry.from_spacing(crop_order.shape, crop_order.spacing_mm)
        return intensities(replace(volume, data=crop_order.view(volume.data), geometry=seen), plan, check)
    of_whole = find_crop_order(whole, plan)
    inside = tuple(slice(a, a + n) for a, n in zip(volume.start, volume.geometry.shape, strict=True))

    def in_part(mask: Mask) -> Mask:
        return crop_order.view(of_whole.paste(mask[None])[0][inside])

    rules = _rules(of_whole, whole, plan, check)
    return tuple(rule if rule.inside is None else replace(rule, inside=in_part(rule.inside)) for rule in rules)


def network_volume(volume: Volume, plan: Plan) -> Float32:
    """Return the whole volume normalised and on the network grid, (C, Z', Y', X') float32, without padding."""
    grid = grid_of(volume, plan)
    return PlaneStream(grid, volume, plan).planes(0, grid.shape[0])
