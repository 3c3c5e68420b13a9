"""What stands around convolutions, able to learn, in few passes over memory: moving, normalising, pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from voxtrace.kernels.sparse import elementwise
from voxtrace.kernels.sparse.autograd import loops
from voxtrace.kernels.threads import parallel_for


def moved(x: Tensor, moves: Sequence[int]) -> Tensor:
    """Return a map with each channel being ``in[z + move]``, and 0 outside the volume."""
    result: Tensor = _Move.apply(x, tuple(moves)) if any(moves) else x  # type: ignore[no-untyped-call]
    return result


def activated(x: Tensor, moments: Tensor, norm: nn.InstanceNorm3d, negative_slope: float) -> Tensor:
    """Return ``x`` (B, C, Z, Y, X), whose moments (B, C, 2) are known, after affine instance norm and leaky ReLU."""
    result: Tensor = _Activate.apply(x, moments, norm.weight, norm.bias, norm.eps, negative_slope)  # type: ignore[no-untyped-call]
    return result


def moments(x: Tensor) -> Tensor:
    """Return sum and sum of squares of each map, (B, C, 2) float64, without a gradient."""
    return torch.from_numpy(elementwise.moments(x.detach()))


def pooled(x: Tensor, stride: tuple[int, int, int]) -> Tensor:
    """Return the maximum of each block of ``stride`` voxels; the first of equal ones gets the gradient."""
    result: Tensor = _Pool.apply(x, stride)  # type: ignore[no-untyped-call]
    return result


class _Move(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, moves: tuple[int, ...]) -> Tensor:
        ctx.back = tuple(-move for move in moves)
        return elementwise.moved([x], moves)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return elementwise.moved([gradient], ctx.back), None


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, moments: Tensor, weight: Tensor, bias: Tensor, eps: float, negative_slope: float
    ) -> Tensor:
        mean, square = (moments / x[0, 0].numel()).unbind(-1)
        # Moments are float64, and rounding may still take the variance below 0.
        inverse = ((square - mean * mean).clamp_min(0) + eps).rsqrt()
        scale = weight * inverse
        numbers = [v.detach().float().numpy().ravel() for v in (scale, bias - mean * scale)]
        about = torch.stack([mean, inverse], -1).float().view(-1, 2).numpy()
        out = torch.empty_like(x)
        parallel_for(loops.activate, len(about), _flat(x), *numbers, np.float32(negative_slope), _flat(out))
        ctx.save_for_backward(x)
        ctx.numbers, ctx.about, ctx.negative_slope = numbers, about, np.float32(negative_slope)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        out, sums = torch.empty_like(x), np.empty((len(ctx.about), 2))
        maps = _flat(x), _flat(gradient.contiguous())
        parallel_for(
            loops.activate_backward, len(sums), *maps, *ctx.numbers, ctx.about, ctx.negative_slope, _flat(out), sums
        )
        by_bias, by_weight = torch.from_numpy(sums).view(*x.shape[:2], 2).sum(0).float().unbind(-1)
        return out, None, by_weight, by_bias, None, None


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: tuple[int, int, int]) -> Tensor:
        out = elementwise.pool_maximum(x, stride)
        ctx.stride = stride
        ctx.save_for_backward(x, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps = [m.contiguous().flatten(0, 1).numpy() for m in (*ctx.saved_tensors, gradient)]
        out = torch.empty(ctx.saved_tensors[0].shape)
        parallel_for(loops.pool_backward, len(maps[0]), *maps, ctx.stride, out.flatten(0, 1).numpy())
        return out, None


def _flat(x: Tensor) -> Any:
    return x.detach().view(x.shape[0] * x.shape[1], -1).numpy()
