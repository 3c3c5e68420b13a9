"""The engine's arithmetic on a CPU: torch tensors in and out, loops that numba compiled in between."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from voxtrace.inference import judge, kernels, winner
from voxtrace.inference.kernels import in_parallel
from voxtrace.preprocess import AxisWeights
from voxtrace.volume import Array


def assess(logits: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return labels, log Σ exp (both (B, Z, Y, X)), changed_fraction and entropy (both (B,)) of logits (B, K, Z, Y, X).

    ``before`` holds the labels of the step before, or is None for background.
    """
    logits = logits.contiguous()
    n, n_labels, depth = logits.shape[:3]
    shape = (n, *logits.shape[2:])
    labels = torch.empty(shape, dtype=torch.uint8 if n_labels <= 256 else torch.uint16)
    normaliser = torch.empty(shape)
    last = torch.zeros_like(labels) if before is None else before
    changed, entropy = np.empty((n, depth)), np.empty((n, depth))
    for b in range(n):
        arrays = (t[b].numpy() for t in (logits, last, labels, normaliser))
        in_parallel(_threads(), depth, logits[b].numel(), judge.assess, *arrays, changed[b], entropy[b])
    voxels = labels[0].numel()
    fractions = (torch.from_numpy((sums.sum(1) / voxels).astype(np.float32)) for sums in (changed, entropy))
    return labels, normaliser, next(fractions), next(fractions)


def accumulate(
    sums: Tensor, logits: Tensor, normaliser: Tensor | None, blend: Tensor, corner: tuple[int, int, int]
) -> None:
    """Add blend·softmax(logits) of a window at ``corner`` to ``sums`` (K, depth, Y, X), a ring along z.

    Without ``normaliser`` blend·logits is added.
    """
    turn, (y, x), logits = corner[0] % sums.shape[1], corner[1:], logits.contiguous()
    kernel = kernels.accumulate_logits if normaliser is None else kernels.accumulate
    tensors = (sums, logits, blend) if normaliser is None else (sums, logits, normaliser, blend)
    in_parallel(_threads(), logits.shape[1], logits.numel(), kernel, *(t.numpy() for t in tensors), turn, y, x)


def take(sums: Tensor, weights: Tensor, slot: int) -> Tensor:
    """Return probabilities (S, K, Y, X) of one slot of a ring of sums (S, K, depth, Y, X), and set its sums to 0.

    ``weights`` (depth, Y, X); where there is none, label 0 gets 1.
    """
    planes = torch.from_numpy(np.empty((*sums.shape[:2], *sums.shape[3:]), np.float32))  # numpy asks for large pages
    for step in range(len(sums)):
        arrays = (sums[step].numpy(), weights.numpy(), slot, planes[step].numpy())
        in_parallel(_threads(), planes.shape[2], planes[step].numel(), kernels.take, *arrays)
    return planes


def strongest(below: Tensor, above: Tensor, share: float, y: AxisWeights, x: AxisWeights, least: float) -> Array:
    """Return the strongest label (S, Y, X) of two planes (S, K, Y', X'), mixed and enlarged linearly.

    ``share`` is the weight of ``above``; ``least`` is what a label must reach somewhere to win there.
    """
    n_steps, n_labels = below.shape[:2]
    labels = np.empty((n_steps, len(y.indices), len(x.indices)), np.uint8 if n_labels <= 256 else np.uint16)
    where = (np.float32(share), *_two_taps(y), *_two_taps(x), np.float32(least))
    for step in range(n_steps):
        planes = (plane[step].contiguous().numpy() for plane in (below, above))
        in_parallel(
            _threads(), labels.shape[1], labels[0].size * n_labels, winner.choose, *planes, *where, labels[step]
        )
    return labels


def _two_taps(axis: AxisWeights) -> tuple[Array, Array]:
    """Return two input voxels for each output voxel, (n, 2), and the weight of the second, (n,)."""
    if axis.weights.shape[1] == 2:
        return axis.indices, np.ascontiguousarray(axis.weights[:, 1])
    return np.repeat(axis.indices, 2, axis=1), np.zeros(len(axis.indices), np.float32)


def _threads() -> int:
    return torch.get_num_threads()
