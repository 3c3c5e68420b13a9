"""Labels with voxels that nobody annotated: their value is the number of labels, or more, and no loss looks at them.

nnU-Net's ignore label, see Gotkowski et al., "Embarrassingly simple scribble supervision for 3D medical segmentation",
2024: Dice and cross-entropy over the annotated voxels alone.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from voxtrace.nn.across import over_processes


def known(labels: Tensor, n_labels: int) -> Tensor:
    """Return where labels (B, Z, Y, X) are annotated, boolean (B, 1, Z, Y, X)."""
    return (labels < n_labels)[:, None]


def one_hot(labels: Tensor, n_labels: int) -> Tensor:
    """Return labels (B, Z, Y, X) as int64 (B, K, Z, Y, X), 1 at each voxel's label; 0 throughout where ignored."""
    return F.one_hot(labels.clamp(max=n_labels), n_labels + 1)[..., :n_labels].movedim(-1, 1)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy over the annotated voxels, 0 where there is none.

    Logits (B, K, Z, Y, X), labels (B, Z, Y, X). The mean is over the voxels of all processes that train together, which
    average their gradients: each divides by its part of them.
    """
    n_labels = logits.shape[1]
    total = F.cross_entropy(logits, labels.clamp(max=n_labels), ignore_index=n_labels, reduction="sum")
    return total / _part((labels < n_labels).sum().to(total.dtype))


def binary_cross_entropy(logits: Tensor, truth: Tensor, shown: Tensor, *, summed: bool = False) -> Tensor:
    """Return the mean binary cross-entropy over regions and annotated voxels, 0 where there is none.

    Logits and boolean truth (B, R, Z, Y, X), ``shown`` (B, 1, Z, Y, X). ``summed`` adds up the regions of a voxel, as
    nnU-Net does with an ignore label. The mean over voxels is as in :func:`cross_entropy`.
    """
    each = F.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype), reduction="none")
    total = (each * shown).sum() / (1 if summed else logits.shape[1])
    mean: Tensor = torch.div(total, _part(shown.sum().to(total.dtype)))
    return mean


def _part(counted: Tensor) -> Tensor:
    """Return the annotated voxels of all processes over their number; at least 1."""
    voxels, processes = over_processes(torch.stack([counted, torch.ones_like(counted)]))
    part: Tensor = (voxels / processes).clamp(min=1.0)
    return part
