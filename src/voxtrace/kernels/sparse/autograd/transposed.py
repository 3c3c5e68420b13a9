"""A masked transposed convolution that can learn: forward and backward over active kernels only."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from voxtrace.kernels.sparse.autograd import loops
from voxtrace.kernels.sparse.autograd.convolution import dense_weight_gradient
from voxtrace.kernels.sparse.autograd.task_groups import task_groups
from voxtrace.kernels.sparse.direct import DirectTransposed
from voxtrace.kernels.sparse.tiling import strip_tasks
from voxtrace.kernels.threads import parallel_for

# Bytes of the output's gradient that are unfolded at once, so that they and their inputs fit the cache.
PHASE_BYTES = 600_000


def convolve_transposed(conv: nn.ConvTranspose3d, x: Tensor, *, dense: bool = False) -> Tensor:
    """Return the larger map (B, Cout, Z·sz, Y·sy, X·sx); ``conv`` has kernel = stride, no bias, a ``mask``.

    ``dense`` asks for the gradient of every kernel, and not of the active ones alone.
    """
    result: Tensor = _Transposed.apply((conv, dense), conv.weight, conv.mask, x)  # type: ignore[no-untyped-call]
    return result


class _Transposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, how: tuple[nn.ConvTranspose3d, bool], weight: Tensor, mask: Tensor, x: Tensor) -> Tensor:
        conv, ctx.dense = how
        x = x.contiguous()
        ctx.save_for_backward(weight, mask, x)
        return DirectTransposed(conv)(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, mask, x = ctx.saved_tensors
        gradient = gradient.contiguous()
        by_weight, by_map = _gradients(weight, mask, x, gradient)
        if ctx.dense:
            by_weight = dense_weight_gradient(x, gradient, weight, weight.shape[2:], transposed=True)
        return None, by_weight, None, by_map


def _gradients(weight: Tensor, mask: Tensor, x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients by weight (exactly 0 where the mask is off) and by the smaller map."""
    channels, outputs = np.nonzero(mask.numpy())
    kernel, (batch, _, depth, height, width) = tuple(weight.shape[2:]), x.shape
    weights = weight.detach().flatten(2).numpy()[channels, outputs]
    entries = np.searchsorted(channels, np.arange(len(mask) + 1)), outputs, weights
    row_bytes = 4 * width * gradient.shape[1] * weights.shape[1]
    rows = min(height, max(1, PHASE_BYTES // row_bytes))
    tasks = strip_tasks(batch, depth, height, rows)
    groups, by_map = task_groups(len(tasks)), torch.empty_like(x)
    sums = np.zeros((len(groups) - 1, *weights.shape), np.float32)
    maps = x.numpy(), gradient.numpy(), by_map.numpy()
    parallel_for(loops.transposed_backward, len(sums), groups, tasks, maps, entries, kernel, rows, sums)
    by_weight = torch.zeros_like(weight)
    by_weight[channels, outputs] = torch.from_numpy(sums.sum(0)).view(-1, *kernel)
    return by_weight, by_map
