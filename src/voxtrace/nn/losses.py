"""Dice and cross-entropy, and their sum over heads at several resolutions.

References
----------
Isensee et al., "nnU-Net", Nature Methods 18, 2021: the loss, its weights and its smoothing. For regions: nnU-Net v2,
``DC_and_BCE_loss`` as its trainer calls it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from voxtrace.nn.across import over_processes
from voxtrace.nn.known import binary_cross_entropy, cross_entropy, known, one_hot
from voxtrace.nn.regions import RegionTargets

SMOOTH = 1e-5


def dice_loss(logits: Tensor, labels: Tensor, *, over_batch: bool = False) -> Tensor:
    """Return minus the mean soft Dice of the foreground labels, between −1 (perfect) and 0.

    ``−mean_c (2·Σpg + 1e-5) / (Σp + Σg + 1e-5)`` with p = softmax(logits); logits (B, K, Z, Y, X), labels (B, Z, Y, X).
    A label that is absent and not predicted counts as 1. Voxels with a label of K or more are left out, see
    :mod:`voxtrace.nn.known`. ``over_batch`` sums over the batch before the ratio, over
    that of all processes where several train together.
    """
    shown = known(labels, logits.shape[1])
    p = (logits.float().softmax(1)[:, 1:] * shown).flatten(2)  # (B, K − 1, voxels)
    g = one_hot(labels, logits.shape[1])[:, 1:].flatten(2).to(p.dtype)
    return -_soft_dice(p, g, over_batch).mean()


def region_loss(
    logits: Tensor, labels: Tensor, regions: RegionTargets, *, over_batch: bool = False
) -> dict[str, Tensor]:
    """Return the two terms of nnU-Net's loss for regions at one resolution, weighted 1 : 1.

    Minus the mean soft Dice of every region, as in :func:`dice_loss` with p = sigmoid(logits), and the binary
    cross-entropy. Logits (B, R, Z, Y, X), labels (B, Z, Y, X) in the label values of the plan.
    """
    shown, truth, logits = known(labels, regions.n_labels), regions(labels), logits.float()
    p = (logits.sigmoid() * shown).flatten(2)  # (B, R, voxels)
    g = (truth & shown).flatten(2).to(p.dtype)
    dice = -_soft_dice(p, g, over_batch).mean()
    return {"dice": dice, "cross_entropy": binary_cross_entropy(logits, truth, shown, summed=regions.ignore)}


def _soft_dice(p: Tensor, g: Tensor, over_batch: bool) -> Tensor:
    """Return the soft Dice of probabilities and truth (B, n, voxels), (B, n), or (n,) over the batch."""
    both, sizes = (p * g).sum(2), p.sum(2) + g.sum(2)  # each (B, n)
    if over_batch:
        both, sizes = over_processes(both.sum(0)), over_processes(sizes.sum(0))
    return (2.0 * both + SMOOTH) / (sizes + SMOOTH)


def dice_and_cross_entropy(logits: Tensor, labels: Tensor, *, over_batch: bool = False) -> dict[str, Tensor]:
    """Return the two terms of nnU-Net's loss at one resolution, weighted 1 : 1."""
    dice = dice_loss(logits, labels, over_batch=over_batch)
    return {"dice": dice, "cross_entropy": cross_entropy(logits.float(), labels)}


def hard_dice(answer: Tensor, truth: Tensor, region: Sequence[int]) -> Tensor:
    """Return the Dice (B,) of one region, a group of labels, in label maps (B, 1, Y, X); 1 where neither has it."""
    values = torch.tensor(region, device=truth.device)
    p, g = (torch.isin(labels, values).flatten(1) for labels in (answer, truth))  # each (B, voxels)
    return (2.0 * (p & g).sum(1) + 1e-8) / (p.sum(1) + g.sum(1) + 1e-8)


def mean_hard_dice(logits: Tensor, labels: Tensor, regions: Sequence[Sequence[int]] = ()) -> Tensor:
    """Return the Dice (B,) of the strongest label of logits (B, K, 1, Y, X), the mean over regions of each window.

    Without regions each label but the background is one. Pixels that nobody annotated count as background on both
    sides; a region that is absent and not predicted counts as 1.
    """
    strongest = logits.argmax(1) * (labels < logits.shape[1])  # (B, 1, Y, X)
    each_label = [(label,) for label in range(1, logits.shape[1])]
    return torch.stack([hard_dice(strongest, labels, region) for region in regions or each_label]).mean(0)


def head_weights(n_heads: int) -> list[float]:
    """Return deep-supervision weights 1, ½, ¼ …, the coarsest 0 (unless it is the only one), with sum 1."""
    if n_heads == 1:
        return [1.0]
    # nnU-Net leaves the coarsest head out.
    raw = [0.5**i for i in range(n_heads - 1)] + [0.0]
    return [w / sum(raw) for w in raw]


def supervised_loss(
    heads: Sequence[Tensor],
    labels: Tensor,
    *,
    weights: Sequence[float] | None = None,
    over_batch: bool = False,
    regions: RegionTargets | None = None,
) -> dict[str, Tensor]:
    """Return Dice and cross-entropy summed over heads, finest first; targets are sampled by nearest neighbour.

    ``weights`` has one entry a head, by default those of :func:`head_weights`; ``over_batch`` as in :func:`dice_loss`.
    With ``regions`` the heads answer for these, see :func:`region_loss`.
    """
    terms: dict[str, Tensor] = {}
    for weight, logits in zip(head_weights(len(heads)) if weights is None else weights, heads, strict=True):
        if weight == 0.0:
            continue
        at_size = _at_size(labels, logits.shape[2:])
        found = (
            dice_and_cross_entropy(logits, at_size, over_batch=over_batch)
            if regions is None
            else region_loss(logits, at_size, regions, over_batch=over_batch)
        )
        for name, value in found.items():
            terms[name] = terms.get(name, torch.zeros((), device=value.device)) + weight * value
    return terms


def _at_size(labels: Tensor, size: torch.Size) -> Tensor:
    if labels.shape[1:] == size:
        return labels
    return F.interpolate(labels[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()


def dice_loss_over_batch(logits: Tensor, labels: Tensor, first: int = 1) -> Tensor:
    """Return Σ_c [1 − 2·Σpg / (Σp + Σg + 1e-5)] over labels from ``first`` on, sums over the mini-batch (eq. 5).

    Logits (B, K, 1, Y, X), labels (B, 1, Y, X); between 0 and K − 1. A label that the mini-batch lacks counts 1. The
    paper's C counts the background as well; its successor's code leaves it out, and so does this by default.
    """
    p = logits.float().softmax(1) * known(labels, logits.shape[1])  # (B, K, 1, Y, X), 0 where nobody annotated
    g = one_hot(labels, logits.shape[1])  # (B, K, 1, Y, X)
    both, total = (over_processes(t[:, first:].sum((0, 2, 3, 4))) for t in (p * g, p + g))  # each (K − first,)
    return (1.0 - 2.0 * both / (total + 1e-5)).sum()
