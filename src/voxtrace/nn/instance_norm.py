"""Instance norm that keeps the memory format of its maps while a network learns on a CPU.

torch's own (2.13) turns (B, C, Z, Y, X) into a view of 1 × (B·C) maps and normalises that as a batch. Maps in
channels-last format are copied to the other format for it and back, forward and backward, and an activation in place on
such a view copies its gradient once more. For a single window whose gradient comes in channels-last format its
derivative is wrong: the gradient is read in the other order. Normalising window by window is the same sum without
either; docs/performance.md has the times.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WindowNorm(nn.InstanceNorm3d):
    """Instance norm (affine, without running statistics) of maps (B, C, Z, Y, X), window by window in training."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map, in the memory format of ``x``."""
        if learns_on_cpu(x) and x[0, 0].numel() > 1:  # torch's refuses a map of a single voxel, with a sentence
            return each_window(x, self)
        normalised: Tensor = super().forward(x)
        return normalised


def learns_on_cpu(x: Tensor) -> bool:
    """Return whether the norm of ``x`` (B, C, Z, Y, X) may have to be derived, on a CPU."""
    return torch.is_grad_enabled() and x.device.type == "cpu" and len(x) > 0


def each_window(x: Tensor, norm: nn.InstanceNorm3d) -> Tensor:
    """Return maps (B, C, Z, Y, X) normalised window by window, with a norm's scale, shift and ε."""
    normalised = [_normalised(one, norm) for one in torch.split(x, 1)]
    return normalised[0] if len(normalised) == 1 else torch.cat(normalised)


def _normalised(window: Tensor, norm: nn.InstanceNorm3d) -> Tensor:
    """Return a map (1, C, Z, Y, X) normalised: over a batch of one, batch norm and instance norm are the same."""
    return torch.batch_norm(window, norm.weight, norm.bias, None, None, True, 0.0, norm.eps, False)
