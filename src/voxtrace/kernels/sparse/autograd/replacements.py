"""Modules with gradients in the place of a network's own, in a copy that shares its weights.

A convolution skips kernels where at least half of them are off. This is a rule and not a measurement, so that the same
seed gives the same weights on every run. The gradient by weight covers every kernel unless the layer's attribute
``active_gradient`` is true; then that of kernels that are off is 0.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from voxtrace.kernels.sparse.autograd.convolution import convolve, fits_learning
from voxtrace.kernels.sparse.autograd.elementwise import activated, moments, moved, pooled
from voxtrace.kernels.sparse.autograd.transposed import convolve_transposed
from voxtrace.kernels.sparse.direct import fits_transposed
from voxtrace.kernels.sparse.replace import blocks_only, is_moving_block
from voxtrace.kernels.sparse.replacements import MovingBlock, stride_of

ENOUGH_OFF = 0.5


def with_learning_replacements(network: nn.Module) -> nn.Module:
    """Return a copy of ``network`` with these modules; ``network`` stays as it is, and the copy shares its weights."""
    if network._modules and is_moving_block(network) and network.norm.affine:
        return LearningBlock(network)
    if isinstance(network, nn.ConvTranspose3d) and _mostly_off(network) and fits_transposed(network):
        return LearningTransposed(network)
    if isinstance(network, nn.MaxPool3d) and blocks_only(network):
        return LearningMaxPool(network)
    if not network._modules:
        return network
    same = copy.copy(network)
    same._modules = {name: child and with_learning_replacements(child) for name, child in network._modules.items()}
    return same


def _mostly_off(conv: nn.Module) -> bool:
    mask = getattr(conv, "mask", None)
    return isinstance(mask, Tensor) and int(mask.sum()) <= (1 - ENOUGH_OFF) * mask.numel()


def _wants_dense(conv: nn.Module) -> bool:
    return not getattr(conv, "active_gradient", False)


class LearningBlock(nn.Module):
    """A moving block with gradients."""

    def __init__(self, block: MovingBlock) -> None:
        super().__init__()
        self.conv, self.norm, self.negative_slope = block.conv, block.norm, float(block.act.negative_slope)
        self.moves = tuple(block.moves(block.conv.in_channels))
        self.direct = _mostly_off(block.conv) and fits_learning(block.conv)

    def forward(self, maps: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the activated map (B, Cout, …)."""
        several = [maps] if isinstance(maps, Tensor) else list(maps)
        if self.direct:
            x, sums = convolve(self.conv, self.moves, several, dense=_wants_dense(self.conv))
        else:
            joined = several[0] if len(several) == 1 else torch.cat(several, dim=1)
            x = self.conv(moved(joined, self.moves)).contiguous()
            sums = moments(x)
        return activated(x, sums, self.norm, self.negative_slope)


class LearningTransposed(nn.Module):
    """A transposed convolution with gradients."""

    def __init__(self, conv: nn.ConvTranspose3d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Return the larger map."""
        return convolve_transposed(self.conv, x, dense=_wants_dense(self.conv))


class LearningMaxPool(nn.Module):
    """Maximum pooling without overlap, with gradients."""

    def __init__(self, pool: nn.MaxPool3d) -> None:
        super().__init__()
        self.stride = stride_of(pool)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maximum of each block of voxels."""
        return pooled(x, self.stride)
