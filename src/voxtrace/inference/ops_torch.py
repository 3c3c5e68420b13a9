"""The engine's loops over voxels on a device that torch drives, e.g. CUDA; the same results as :mod:`.ops_numba`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from voxtrace.inference.score_plane import ScorePlane, common_labels, label_type
from voxtrace.preprocess import AxisWeights
from voxtrace.volume import Array


def argmax_entropy(logits: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return labels, log Σ exp (both (B, Z, Y, X)), changed_fraction and entropy (both (B,)) of logits (B, K, Z, Y, X).

    Entropy is log Σ exp l − Σ p·l. ``before`` holds the labels of the step before, or is None for background.
    """
    labels = logits.argmax(1)
    differs = labels != (0 if before is None else before)
    normaliser = logits.logsumexp(1)
    p = (logits - normaliser[:, None]).exp()
    expected = (p * (logits - normaliser[:, None]).clamp_min(-87.0)).sum(1)
    entropy = -expected.flatten(1).mean(1)
    return labels, normaliser, differs.flatten(1).float().mean(1), entropy.clamp_min(0.0)


def accumulate(
    sums: Tensor, peaks: Array, logits: Tensor, normaliser: Tensor | None, blend: Tensor, corner: tuple[int, int, int]
) -> None:
    """Add blend·softmax(logits) of a window at ``corner`` to ``sums`` (K, depth, Y, X), a ring along z.

    Without ``normaliser`` blend·logits is added. ``peaks`` (K, depth) are set to 1, because waiting for the largest
    probabilities from the device takes longer than what they save.
    """
    z, y, x = corner
    _, deep, height, width = logits.shape
    # Planes of the window go to slots that wrap around the end of the ring.
    slots = (torch.arange(deep, device=sums.device) + z) % sums.shape[1]
    peaks[:, (np.arange(deep) + z) % sums.shape[1]] = 1.0
    scores = logits if normaliser is None else (logits - normaliser).exp_()
    sums[:, :, y : y + height, x : x + width].index_add_(1, slots, scores * blend)


def take_plane(sums: Tensor, weights: Tensor, slot: int, labels: Array) -> ScorePlane:
    """Return the probabilities of some labels at one slot of a ring of sums (S, K, depth, Y, X); set all sums to 0.

    ``weights`` (depth, Y, X); where the weight is 0, label 0 gets 1.
    """
    covered = weights[slot] > 0
    chosen = torch.from_numpy(labels.astype(np.int64)).to(sums.device)
    planes = sums[:, chosen, slot] / weights[slot]
    planes[:, :, ~covered] = (chosen == 0).to(planes)[:, None]
    sums[:, :, slot] = 0.0
    return ScorePlane(planes, labels)


def upsample_argmax(
    below: ScorePlane, above: ScorePlane, z_weight: float, y: AxisWeights, x: AxisWeights, least: float
) -> Array:
    """Return the label with the largest score (S, Y, X) between two planes, among those that are on both.

    Scores are interpolated linearly: ``z_weight`` is the weight of ``above``, ``y`` and ``x`` are the weights in-plane.
    ``least`` is the score that a label must reach at some voxel to win there.
    """
    names = common_labels(below, above)
    under, over = (plane.scores[:, plane.positions(names)] for plane in (below, above))
    between = torch.lerp(under, over, z_weight)
    return np.stack([names[_argmax(step, y, x, least)] for step in between])


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
    under, over = (plane.scores[:, plane.positions(places)] for plane in (below, above))
    labels = np.zeros((len(under), len(y.indices), len(x.indices)), label_type(max(paints) + 1))
    for step, between in enumerate(torch.lerp(under, over, z_weight)):
        found = (_enlarged(_enlarged(between, y, 1), x, 2) > threshold).cpu().numpy()
        for place, mask in zip(places, found, strict=True):
            labels[step][mask] = paints[place]
    return labels


def _argmax(plane: Tensor, y: AxisWeights, x: AxisWeights, least: float) -> Array:
    """Return the number of the upsample_argmax channel (Y, X) of a plane (n, Y', X'); the lower one in a tie."""
    candidates = torch.nonzero(plane.amax((1, 2)) >= least)[:, 0]
    chosen = _enlarged(_enlarged(plane[candidates], y, 1), x, 2)
    return candidates[chosen.max(0).indices].cpu().numpy()


def _enlarged(plane: Tensor, weights: AxisWeights, axis: int) -> Tensor:
    """Return (K, Y, X) resampled along one axis."""
    if weights.identity:
        return plane
    shape = [1, 1, 1]
    shape[axis] = -1
    taps = zip(weights.indices.T, weights.weights.T, strict=True)
    parts = (
        plane.index_select(axis, torch.from_numpy(i.copy()).to(plane.device))
        * torch.from_numpy(w.copy()).to(plane.device).view(shape)
        for i, w in taps
    )
    return sum(parts, start=torch.zeros((), device=plane.device))
