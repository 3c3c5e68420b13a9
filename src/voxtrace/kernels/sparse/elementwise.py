"""What stands around convolutions, in as few passes over memory as it takes: moving, normalising, pooling."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor, nn

from voxtrace.kernels.sparse import loops
from voxtrace.kernels.sparse.direct import Moments
from voxtrace.kernels.threads import parallel_for


def moved(maps: Sequence[Tensor], moves: Sequence[int]) -> Tensor:
    """Return maps concatenated along channels, each channel being ``in[z + move]``, and 0 outside the volume."""
    if len(maps) == 1 and not any(moves):
        return maps[0]
    # Neighbouring channels with the same move are copied at once.
    batch, depth, *plane = maps[0].shape[0], *maps[0].shape[2:]
    out = torch.empty((batch, len(moves), depth, *plane))
    done = 0
    for map_ in maps:
        for move, group in groupby(range(map_.shape[1]), key=lambda c, first=done: moves[first + c]):  # type: ignore[misc]
            channels = list(group)
            target = out[:, done + channels[0] : done + channels[-1] + 1]
            _move(map_[:, channels[0] : channels[-1] + 1], target, move)
        done += map_.shape[1]
    return out


def _move(source: Tensor, target: Tensor, move: int) -> None:
    depth = source.shape[2]
    first, last = min(depth, max(0, -move)), max(0, min(depth, depth - move))  # slices that come from inside
    target[:, :, :first] = 0
    target[:, :, last:] = 0
    if first < last:
        target[:, :, first:last] = source[:, :, first + move : last + move]


def moments(x: Tensor) -> Moments:
    """Return sum and sum of squares of each map, (B, C, 2) float64."""
    sums = np.empty((x.shape[0] * x.shape[1], 2))
    parallel_for(loops.sum_planes, len(sums), x.numpy().reshape(len(sums), -1), sums)
    return sums.reshape(x.shape[0], x.shape[1], 2)


def normalise(x: Tensor, sums: Moments, norm: nn.InstanceNorm3d, negative_slope: float) -> Tensor:
    """Return ``x`` (B, C, Z, Y, X), contiguous, after instance norm and leaky ReLU, both done in place."""
    # Var = E[x²] − E[x]² in float64; rounding may take it below 0.
    mean, square = np.moveaxis(sums, -1, 0) / (x[0, 0].numel())
    factor = _numbers(norm.weight, 1.0) / np.sqrt(np.maximum(square - mean * mean, 0) + norm.eps)
    offset = _numbers(norm.bias, 0.0) - mean * factor
    flat = x.numpy().reshape(x.shape[0] * x.shape[1], -1)
    scale, shift = (v.astype(np.float32).ravel() for v in (factor, offset))
    parallel_for(loops.normalise, len(flat), flat, scale, shift, np.float32(negative_slope))
    return x


def _numbers(parameter: Tensor | None, default: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(default) if parameter is None else parameter.detach().double().numpy()


def pool_maximum(x: Tensor, stride: tuple[int, int, int]) -> Tensor:
    """Return the maximum of each block of ``stride`` voxels, (B, C, Z/sz, Y/sy, X/sx)."""
    shape = [n // s for n, s in zip(x.shape[2:], stride, strict=True)]
    out = np.empty((*x.shape[:2], *shape), np.float32)
    source = x.contiguous().numpy().reshape(-1, *x.shape[2:])
    parallel_for(loops.pool_maximum, len(source), source, out.reshape(-1, *shape), stride)
    return torch.from_numpy(out)
