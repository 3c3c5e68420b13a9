"""The engine's loops over voxels on a CPU: torch tensors in and out, compiled by numba in between."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from voxtrace import kernels
from voxtrace.inference.score_plane import ScorePlane, common_labels, label_type
from voxtrace.preprocess import AxisWeights
from voxtrace.volume import Array


def argmax_entropy(logits: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return labels, log Σ exp (both (B, Z, Y, X)), changed_fraction and entropy (both (B,)) of logits (B, K, Z, Y, X).

    ``before`` holds the labels of the step before, or is None for background.
    """
    logits = logits.contiguous()
    n, n_labels, depth = logits.shape[:3]
    shape = (n, *logits.shape[2:])
    labels = torch.from_numpy(np.empty(shape, label_type(n_labels)))
    normaliser = torch.empty(shape)
    last = torch.zeros_like(labels) if before is None else before
    changed, entropy = np.empty((n, depth)), np.empty((n, depth))
    for b in range(n):
        arrays = (t[b].numpy() for t in (logits, last, labels, normaliser))
        changed[b], entropy[b] = kernels.argmax_entropy(*arrays)
    voxels = labels[0].numel()
    fractions = (torch.from_numpy((sums.sum(1) / voxels).astype(np.float32)) for sums in (changed, entropy))
    return labels, normaliser, next(fractions), next(fractions)


def accumulate(
    sums: Tensor, peaks: Array, logits: Tensor, normaliser: Tensor | None, blend: Tensor, corner: tuple[int, int, int]
) -> None:
    """Add blend·softmax(logits) of a window at ``corner`` to ``sums`` (K, depth, Y, X), a ring along z.

    ``peaks`` (K, depth) float32 is raised to the largest probability of each label and plane. Without ``normaliser``
    blend·logits is added and ``peaks`` stays as it is.
    """
    scores, totals = logits.contiguous().numpy(), None if normaliser is None else normaliser.numpy()
    kernels.accumulate_window(sums.numpy(), peaks, scores, totals, blend.numpy(), corner)


def take_plane(sums: Tensor, weights: Tensor, slot: int, labels: Array) -> ScorePlane:
    """Return the probabilities of some labels at one slot of a ring of sums (S, K, depth, Y, X); set all sums to 0.

    ``weights`` (depth, Y, X); where the weight is 0, label 0 gets 1.
    """
    shape = (len(sums), len(labels), *sums.shape[3:])
    planes = torch.from_numpy(np.empty(shape, np.float32))  # numpy allocates in large pages
    for step in range(len(sums)):
        kernels.average_plane(sums[step].numpy(), weights.numpy(), slot, labels, planes[step].numpy())
    return ScorePlane(planes, labels)


def upsample_argmax(
    below: ScorePlane, above: ScorePlane, z_weight: float, y: AxisWeights, x: AxisWeights, least: float
) -> Array:
    """Return the label with the largest score (S, Y, X) between two planes, among those that are on both.

    Scores are interpolated linearly: ``z_weight`` is the weight of ``above``, ``y`` and ``x`` are the weights in-plane.
    ``least`` is the score that a label must reach at some voxel to win there.
    """
    n_steps = len(below.scores)
    names = common_labels(below, above)
    labels = np.empty((n_steps, len(y.indices), len(x.indices)), names.dtype)
    channels = names, below.positions(names), above.positions(names)
    for step in range(n_steps):
        under, over = (plane.scores[step].contiguous().numpy() for plane in (below, above))
        kernels.upsample_argmax(under, over, channels, z_weight, _two_taps(y), _two_taps(x), least, labels[step])
    return labels


def upsample_paint(
    below: ScorePlane,
    above: ScorePlane,
    z_weight: float,
    y: AxisWeights,
    x: AxisWeights,
    paints: Sequence[int],
    threshold: float,
) -> Array:
    """Return the value (S, Y, X) of the last region above ``threshold`` between two planes; 0 where there is none.

    Regions are numbered by their place in ``paints``, which has their values; one that is not on both planes is nowhere
    above the threshold. Scores are interpolated as in :func:`upsample_argmax`.
    """
    places = common_labels(below, above)
    values = np.asarray(paints, label_type(max(paints) + 1))[places]
    labels = np.empty((len(below.scores), len(y.indices), len(x.indices)), values.dtype)
    channels = values, below.positions(places), above.positions(places)
    for step in range(len(labels)):
        under, over = (plane.scores[step].contiguous().numpy() for plane in (below, above))
        kernels.upsample_paint(under, over, channels, z_weight, _two_taps(y), _two_taps(x), threshold, labels[step])
    return labels


def _two_taps(axis: AxisWeights) -> tuple[Array, Array]:
    """Return two input voxels for each output voxel, (n, 2), and the weight of the second, (n,)."""
    if axis.weights.shape[1] == 2:
        return axis.indices, np.ascontiguousarray(axis.weights[:, 1])
    return np.repeat(axis.indices, 2, axis=1), np.zeros(len(axis.indices), np.float32)
