"""A layer in float64, at some positions of its kernel.

Convolutions and transposed ones are the same products seen from two sides. ``dense`` is the map that the kernel reads
or writes all of (a convolution's input, a transposed one's output), ``sparse`` the map with one voxel for each position
of the kernel (a convolution's output, a transposed one's input)::

    sparse[p]  = Σ_k  weight[k] · dense[p·stride + k·dilation − padding]           forward of a convolution
    dense[…]  += Σ_k  weight[k]ᵀ · sparse[p]                                       its input gradient
    weight[k]  = Σ_p  sparse[p] ⊗ dense[p·stride + k·dilation − padding]           its weight gradient

Where ``sparse`` is 0 except at P positions, the second and third are complete after P terms, whatever the size of the
map. All test values are small integers, so that float64 has no rounding at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from voxtrace.runtime.arithmetic.layers import Axes, LayerCall

PRODUCTS = 3e7  # of each comparison, at most; more positions of the kernel than these allow are left out
LEAST_POSITIONS, MOST_POSITIONS = 32, 256


@dataclass(frozen=True, eq=False)
class Positions:
    """Where the kernel is placed, and what it meets there.

    Attributes
    ----------
    at
        (P, 1 + axes): window and voxel of the sparse map.
    taps
        One (P, K_axis) an axis: the voxels of the padded dense map that each tap of the kernel meets.
    """

    call: LayerCall
    at: Tensor
    taps: tuple[Tensor, ...]

    @classmethod
    def drawn(cls, call: LayerCall, sparse_size: Axes, generator: torch.Generator) -> Self:
        """Return all positions, or so many that every slice along every axis has one; (windows, Z, Y, X) sizes."""
        at = _latin(sparse_size, _most(call), generator)
        taps = tuple(
            at[:, axis + 1, None] * stride + dilation * torch.arange(size)
            for axis, (stride, dilation, size) in enumerate(zip(call.stride, call.dilation, call.kernel, strict=True))
        )
        return cls(call, at, taps)

    def picked(self, sparse: Tensor) -> Tensor:
        """Return the sparse map at the positions, (P, C) float64."""
        windows, *voxel = self.at.to(sparse.device).unbind(1)
        picked: Tensor = sparse.movedim(1, -1)[(windows, *voxel)]
        return picked.double()

    def placed(self, values: Tensor, like: Tensor) -> Tensor:
        """Return a map of the shape of ``like`` that is ``values`` (P, C) at the positions and 0 elsewhere."""
        sparse = torch.zeros_like(like)
        windows, *voxel = self.at.to(like.device).unbind(1)
        sparse.movedim(1, -1)[(windows, *voxel)] = values.to(like)
        return sparse

    def read(self, dense: Tensor) -> Tensor:
        """Return what the kernel meets, (P, K, groups, Cdense/groups) float64, K taps in row order."""
        padded = F.pad(dense, _torch_padding(self.call)).movedim(1, -1)
        met = padded[self._indices(dense.device)].double().flatten(1, -2)
        return met.view(*met.shape[:2], self.call.groups, -1)

    def written(self, met: Tensor, like: Tensor) -> Tensor:
        """Return a dense map, shaped as ``like``, of what each position adds to it, (P, K, groups, C/groups)."""
        padded = F.pad(torch.zeros_like(like, dtype=torch.float32), _torch_padding(self.call))
        added = met.float().reshape(len(met), *self.call.kernel, -1)
        padded.movedim(1, -1).index_put_(self._indices(like.device), added, accumulate=True)
        for axis, (before, _) in enumerate(self.call.paddings):
            padded = padded.narrow(2 + axis, before, like.shape[2 + axis])
        return padded

    def _indices(self, device: torch.device) -> tuple[Tensor, ...]:
        """Return indices of windows and of taps along each axis that broadcast to (P, kz, ky, kx)."""
        axes = len(self.taps)
        shaped = [
            t.view(len(t), *(t.shape[1] if a == axis else 1 for a in range(axes))) for axis, t in enumerate(self.taps)
        ]
        return tuple(t.to(device) for t in (self.at[:, 0].view(-1, *[1] * axes), *shaped))


def grouped(call: LayerCall, weight: Tensor) -> Tensor:
    """Return a weight (Csparse, Cdense/groups, …) as (groups, Csparse/groups, Cdense/groups, K) float64."""
    return weight.double().reshape(call.groups, -1, weight.shape[1], math.prod(call.kernel))


def gathered(met: Tensor, weight: Tensor) -> Tensor:
    """Return the sparse map at the positions, (P, Csparse): what the kernel sums."""
    return torch.einsum("pkgb,gsbk->pgs", met, weight).flatten(1)


def scattered(sparse: Tensor, weight: Tensor) -> Tensor:
    """Return what each position adds to the dense map, (P, K, groups, Cdense/groups)."""
    return torch.einsum("pgs,gsbk->pkgb", sparse.view(len(sparse), len(weight), -1), weight)


def correlated(sparse: Tensor, met: Tensor) -> Tensor:
    """Return the weight gradient, (groups, Csparse/groups, Cdense/groups, K)."""
    return torch.einsum("pgs,pkgb->gsbk", sparse.view(len(sparse), met.shape[2], -1), met)


def _most(call: LayerCall) -> int:
    return min(MOST_POSITIONS, max(LEAST_POSITIONS, int(PRODUCTS / math.prod(call.weight_shape))))


def _latin(size: Axes, most: int, generator: torch.Generator) -> Tensor:
    """Return positions (P, axes) in a map: all of them, or a Latin hypercube of ``most`` and two opposite corners."""
    total = math.prod(size)
    if total <= most:
        return torch.stack(torch.unravel_index(torch.arange(total), size), 1)
    spread = [(torch.randperm(most, generator=generator) * n + n // 2) // most for n in size]
    corners = torch.tensor([[0] * len(size), [n - 1 for n in size]])
    flat = torch.cat([corners, torch.stack(spread, 1)]) @ torch.tensor(
        [math.prod(size[i + 1 :]) for i in range(len(size))]
    )
    return torch.stack(torch.unravel_index(torch.tensor(sorted(set(flat.tolist()))), size), 1)


def _torch_padding(call: LayerCall) -> list[int]:
    """Return the padding of a dense map, last axis first, as torch wants it."""
    return [n for pair in reversed(call.paddings) for n in pair]
