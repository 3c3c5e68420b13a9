"""Convolutions with a mask that switches kernels on and off, and packing of a mask into bits.

A kernel is all weights between one input and one output channel. The mask has one entry for each, in the order of the
weight's first two axes: (Cout, Cin) for a convolution, (Cin, Cout) for a transposed one::

    weight (Cout, Cin, kz, ky, kx)      mask (Cout, Cin)   ■ on   · off, all its weights exactly 0
                                             ■ · · ■ ·
                                             · · ■ · ·

Weights that are off are 0 in the stored tensor, so the forward pass is the plain convolution. Gradients are dense
unless ``active_gradient`` is set. After each update of weights :meth:`Masked.apply_mask` must be called.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.plan import Shape


class Masked(nn.Module):
    """A convolution with a mask over its kernels.

    Attributes
    ----------
    weight
        Exactly 0 wherever the mask is off.
    mask
        bool, the first two axes of ``weight``.
    active_gradient
        Whether kernels that are off have a gradient of 0. Otherwise it is computed and contributes to the norm by
        which gradients are clipped.
    """

    weight: Tensor
    mask: Tensor
    active_gradient: bool = False

    def draw_mask(self, density: float) -> None:
        """Switch on ``round(density · kernels)`` kernels, at least one, drawn by torch's default generator."""
        n_kernels = self.weight.shape[0] * self.weight.shape[1]
        self._drawn = max(1, round(density * n_kernels))
        # Drawn on the CPU, so that a seed gives the same mask on every device.
        mask = torch.zeros(n_kernels, dtype=torch.bool, device="cpu")
        mask[torch.randperm(n_kernels, device="cpu")[: self._drawn]] = True
        self.register_buffer("mask", mask.view(self.weight.shape[:2]).to(self.weight.device))
        self.apply_mask()

    @property
    def active_kernels(self) -> int:
        """Number of kernels that are on; on the meta device, which has no values, the number that was drawn."""
        return self._drawn if self.mask.is_meta else int(self.mask.sum())

    def weight_in_use(self) -> Tensor:
        """Return the weight; with ``active_gradient`` its gradient is 0 where the mask is off."""
        # The weight is 0 where the mask is off: without a gradient it can be used as it is.
        if not (self.active_gradient and torch.is_grad_enabled()):
            return self.weight
        return torch.where(self.mask[:, :, None, None, None], self.weight, 0.0)

    @torch.no_grad()
    def apply_mask(self, state: Mapping[Any, Mapping[str, Any]] | None = None) -> None:
        """Zero what is off, in the weight and in the optimiser's buffers of it (``optimizer.state``)."""
        # Momentum is zeroed as well: it would revive kernels that are off.
        off = ~self.mask[:, :, None, None, None]
        self.weight.masked_fill_(off, 0.0)
        for buffer in (state or {}).get(self.weight, {}).values():
            if isinstance(buffer, Tensor) and buffer.shape == self.weight.shape:
                buffer.masked_fill_(off.to(buffer.device), 0.0)


class MaskedConv3d(nn.Conv3d, Masked):
    """A 3D convolution (with bias) with a mask over its kernels; keeps the size when ``kernel`` is odd.

    ``fuses`` marks a convolution that merges features of several levels; the ``e2e`` convention counts it differently.
    """

    def __init__(self, n_in: int, n_out: int, kernel: Shape, density: float, *, fuses: bool = False) -> None:
        super().__init__(n_in, n_out, kernel, padding=(kernel[0] // 2, kernel[1] // 2, kernel[2] // 2))
        self.fuses = fuses
        self.draw_mask(density)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolved map (B, Cout, Z, Y, X)."""
        convolved: Tensor = self._conv_forward(x, self.weight_in_use(), self.bias)
        return convolved


class MaskedConvTranspose3d(nn.ConvTranspose3d, Masked):
    """A transposed 3D convolution without bias, kernel = stride, with a mask over its kernels."""

    def __init__(self, n_in: int, n_out: int, stride: Shape, density: float) -> None:
        super().__init__(n_in, n_out, stride, stride, bias=False)
        self.draw_mask(density)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return the larger map (B, Cout, Z·sz, Y·sy, X·sx)."""
        stride = self.stride[0], self.stride[1], self.stride[2]
        return F.conv_transpose3d(x, self.weight_in_use(), stride=stride)


def pack_mask(mask: Tensor) -> Tensor:
    """Return a mask as bits: uint8, one byte for eight entries in row order, the last byte padded with 0."""
    return torch.from_numpy(np.packbits(mask.detach().cpu().numpy().ravel()))


def unpack_mask(bits: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the mask of :func:`pack_mask`.

    Raises
    ------
    ValueError
        The bits do not fit a mask of this shape.
    """
    # A damaged file must not give a mask of another size, or of other kernels.
    n = math.prod(shape)
    if bits.dtype != torch.uint8 or bits.shape != (-(-n // 8),):
        raise ValueError(f"{tuple(bits.shape)} {bits.dtype} is no mask of {n} kernels in {-(-n // 8)} bytes")
    flat = np.unpackbits(bits.numpy())
    if flat[n:].any():
        raise ValueError(f"bits are set beyond the {n} kernels of the mask")
    return torch.from_numpy(flat[:n].astype(bool)).view(shape)
