"""Noise: Gaussian numbers that are a pure function of seed, step, channel and voxel position.

A window gets the noise at its own voxels of the network grid. Overlapping windows therefore see the same field, and
neither batch size, nor order, nor the number of workers changes it. Each number is a hash of its address
(*counter-based*: there is no state from one call to the next)::

    address = (seed, step, channel, z, y, x)  --mix-->  two uniforms  --Box–Muller-->  one N(0, 1)

References
----------
Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (the mixing function, variant 13 of
Stafford). Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (counter-based generators).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from voxtrace.volume import Shape
from voxtrace.windows import Window

_GOLDEN = -0x61C8864680B583EB  # 0x9E3779B97F4A7C15 as a signed number: 2^64 divided by the golden ratio
_STAFFORD = (30, -0x40A7B892E31B1A47, 27, -0x6B2FB644ECCEEE15, 31)


@dataclass(frozen=True)
class GridNoise:
    """N(0, 1) noise for a batch of windows; satisfies :class:`voxtrace.method.Noise`.

    Attributes
    ----------
    seed
        Any whole number.
    windows
        Where the B windows lie on the network grid; positions may be negative (padding).
    size
        Voxels (Z, Y, X) of a window.
    flips
        Axes (0, 1, 2 for Z, Y, X) along which the windows are mirrored; the field is mirrored with them, so it is
        the same in space.
    device
        Device of the tensors.
    """

    seed: int
    windows: Sequence[Window]
    size: Shape
    flips: tuple[int, ...] = ()
    device: str = "cpu"

    def normal(self, step: int, channels: int) -> Tensor:
        """Return noise (B, channels, Z, Y, X) float32 of one step."""
        key = _mix(_mix(torch.tensor(_signed(self.seed), device=self.device)) + _signed(step * _GOLDEN))
        # One axis of the address after the other, each mixed in by a hash.
        address = _mix(key + torch.arange(channels, device=self.device) * _GOLDEN)[None, :, None, None, None]
        for axis in range(3):
            address = _mix(address + self._positions(axis) * _GOLDEN)
        noise = _gaussian(address)
        return noise.flip([axis + 2 for axis in self.flips]) if self.flips else noise

    def _positions(self, axis: int) -> Tensor:
        """Return the voxel positions along one axis, e.g. (B, 1, Z, 1, 1) for axis 0."""
        first = torch.tensor([window[axis] for window in self.windows], device=self.device)
        positions = first[:, None] + torch.arange(self.size[axis], device=self.device)
        shape = [len(self.windows), 1, 1, 1, 1]
        shape[axis + 2] = self.size[axis]
        return positions.reshape(shape)


def _mix(x: Tensor) -> Tensor:
    """Return a hash of each 64-bit number (splitmix64's finaliser); arithmetic wraps around."""
    # 64-bit products overflow on purpose; torch's integers wrap around.
    shift_1, factor_1, shift_2, factor_2, shift_3 = _STAFFORD
    x = (x ^ _shifted(x, shift_1)) * factor_1
    x = (x ^ _shifted(x, shift_2)) * factor_2
    return x ^ _shifted(x, shift_3)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Shift right and fill with zeros; torch's own shift copies the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _gaussian(bits: Tensor) -> Tensor:
    """Return one N(0, 1) float32 for each 64 bits, by Box and Muller: 24 bits for the radius, 24 for the angle."""
    # The half keeps the logarithm finite.
    radius = (_shifted(bits, 40).to(torch.float32) + 0.5) * 2.0**-24  # 0 < u ≤ 1
    angle = ((bits >> 8) & 0xFFFFFF).to(torch.float32) * (2.0 * math.pi * 2.0**-24)
    return torch.sqrt(-2.0 * torch.log(radius)) * torch.cos(angle)


def _signed(seed: int) -> int:
    """Return the lowest 64 bits of a whole number as a signed one."""
    low = seed & 0xFFFFFFFFFFFFFFFF
    return low - (1 << 64) if low >= 1 << 63 else low
