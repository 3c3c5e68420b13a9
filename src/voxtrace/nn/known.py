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
    counted = (labels < n_labels).sum().to(total.dtype)
    # annotated voxels, and processes, over all of them
    voxels, processes = over_processes(torch.stack([counted, torch.ones_like(counted)]))
    mean: Tensor = total / (voxels / processes).clamp(min=1.0)
    return mean
