"""A masked convolution that can learn: forward and backward over active kernels only.

The gradient by input is itself a direct convolution, with the kernels flipped and inputs and outputs swapped; where a
channel had moved along depth, its gradient is written to where it came from. The gradient by weight is computed for
active kernels, and that of all others is 0; or, where it is asked for, for all kernels with torch's dense convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from voxtrace.kernels.sparse.active import Words
from voxtrace.kernels.sparse.autograd import loops
from voxtrace.kernels.sparse.autograd.task_groups import task_groups
from voxtrace.kernels.sparse.direct import DirectConvolution, fits_direct
from voxtrace.kernels.sparse.elementwise import moved
from voxtrace.kernels.sparse.tiling import plane_addresses, strip_layout, strip_tasks
from voxtrace.kernels.threads import parallel_for


def convolve(
    conv: nn.Conv3d, moves: Sequence[int], maps: Sequence[Tensor], *, dense: bool = False
) -> tuple[Tensor, Tensor]:
    """Return maps concatenated, moved and convolved, (B, Cout, Z, Y, X), and its moments (B, Cout, 2) float64.

    ``conv`` must fit :func:`fits_learning` and have a ``mask`` (Cout, Cin); only the first result has a gradient.
    ``dense`` asks for the gradient of every kernel.
    """
    how = conv, tuple(moves), dense
    result: tuple[Tensor, Tensor] = _Convolution.apply(how, conv.weight, conv.bias, conv.mask, *maps)  # type: ignore[no-untyped-call]
    return result


def fits_learning(conv: nn.Module) -> bool:
    """Tell whether gradients of this convolution are computed here: (1, 3, 3), stride 1, size kept, with a bias."""
    return isinstance(conv, nn.Conv3d) and fits_direct(conv) and conv.kernel_size[0] == 1 and conv.bias is not None


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        how: tuple[nn.Conv3d, tuple[int, ...], bool],
        weight: Tensor,
        bias: Tensor,
        mask: Tensor,
        *maps: Tensor,
    ) -> tuple[Tensor, Tensor]:
        conv, moves, ctx.dense = how
        maps = tuple(m.contiguous() for m in maps)
        out, sums = DirectConvolution(conv, moves)(maps)
        moments = torch.from_numpy(sums)
        ctx.moves = np.asarray(moves, np.int64)
        ctx.save_for_backward(weight, mask, *maps)
        ctx.mark_non_differentiable(moments)
        return out, moments

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        weight, mask, *maps = ctx.saved_tensors
        gradient = gradient.contiguous()
        if ctx.dense:
            by_weight = dense_weight_gradient(moved(maps, ctx.moves.tolist()), gradient, weight, padding=(0, 1, 1))
        else:
            by_weight = _by_weight(maps, gradient, mask, ctx.moves)
        by_maps = _by_maps(maps, gradient, weight, ctx.moves) if any(ctx.needs_input_grad[4:]) else [None] * len(maps)
        return None, by_weight, gradient.sum((0, 2, 3, 4)), None, *by_maps


def dense_weight_gradient(
    x: Tensor,
    gradient: Tensor,
    weight: Tensor,
    stride: Sequence[int] = (1, 1, 1),
    padding: Sequence[int] = (0, 0, 0),
    *,
    transposed: bool = False,
) -> Tensor:
    """Return torch's gradient by weight of a convolution of ``x`` (B, Cin, Z, Y, X), of every kernel."""
    which = (False, True, False)  # by input, by weight, by bias
    geometry = list(stride), list(padding), [1, 1, 1], transposed, [0, 0, 0], 1
    _, by_weight, _ = torch.ops.aten.convolution_backward(gradient, x, weight, None, *geometry, which)
    result: Tensor = by_weight
    return result


def _by_maps(maps: Sequence[Tensor], gradient: Tensor, weight: Tensor, moves: Words) -> list[Tensor]:
    """Return the gradient by each map."""
    n_out, n_in = weight.shape[:2]
    flipped = nn.Conv3d(n_out, n_in, (1, 3, 3), padding=(0, 1, 1), bias=False, device="meta")
    flipped.weight = nn.Parameter(weight.detach().transpose(0, 1).flip(3, 4), requires_grad=False)
    results = [torch.empty_like(m) for m in maps]
    firsts = accumulate((m.shape[1] for m in maps), initial=0)
    for first, result in zip(firsts, results, strict=False):
        _clear_unread(result, moves[first : first + result.shape[1]])
    # The gradient of a moved channel is written to the slice that it was read from.
    targets = plane_addresses(results, np.arange(n_in), moves)
    DirectConvolution(flipped).write([gradient], targets, with_moments=False)
    return results


def _clear_unread(gradient: Tensor, moves: Words) -> None:
    """Zero the slices that no output reads, because their channel moved them out of the volume."""
    depth = gradient.shape[2]
    for move in set(moves.tolist()) - {0}:
        away = range(min(move, depth)) if move > 0 else range(max(0, depth + move), depth)
        gradient[:, torch.from_numpy(moves == move), away.start : away.stop] = 0


def _by_weight(maps: Sequence[Tensor], gradient: Tensor, mask: Tensor, moves: Words) -> Tensor:
    """Return the gradient by weight, (Cout, Cin, 1, 3, 3); exactly 0 where the mask is off."""
    outputs, channels = np.nonzero(mask.numpy())
    used, slot_of_entry = np.unique(channels, return_inverse=True)
    batch, n_out, depth, height, width = gradient.shape
    every = np.arange(n_out)
    read = plane_addresses(maps, used, moves[used])
    planes = np.concatenate([read, plane_addresses([gradient], every, np.zeros_like(every))], axis=1)
    layout = strip_layout(planes.shape[1], height, width)
    tasks = strip_tasks(batch, depth, height, layout[0])
    groups = task_groups(len(tasks))
    sums = np.zeros((len(groups) - 1, len(outputs), 9), np.float32)
    entries = slot_of_entry * layout[2], (len(used) + outputs) * layout[2]
    parallel_for(loops.correlate, len(sums), groups, tasks, planes, entries, layout, (depth, height, width), sums)
    result = torch.zeros((*mask.shape, 1, 3, 3))
    result[outputs, channels] = torch.from_numpy(sums.sum(0)).view(-1, 1, 3, 3)
    return result
