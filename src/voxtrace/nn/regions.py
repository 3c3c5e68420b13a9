"""Regions as targets of a network; see :mod:`voxtrace.plan.regions`, and :mod:`voxtrace.nn.losses` for their loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxtrace.plan import Plan


class RegionTargets(nn.Module):
    """Which label values lie in which region; without weights, and no part of what a bundle stores.

    A network that answers for regions has it as its child ``regions``, so that ``"regions" in parts`` tells a method in
    inference that the logits are of independent answers.
    """

    members: Tensor

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.n_labels, self.ignore = plan.n_labels, plan.ignore
        inside = [[value in region.values for value in range(plan.n_labels + 1)] for region in plan.regions]
        # (label values and one that nobody annotated, R)
        self.register_buffer("members", torch.tensor(inside, dtype=torch.bool).T.contiguous(), persistent=False)

    def forward(self, labels: Tensor) -> Tensor:
        """Return which voxels of labels (B, Z, Y, X) lie in each region, boolean (B, R, Z, Y, X)."""
        return self.members[labels.clamp(max=self.n_labels)].movedim(-1, 1)


def targets_for(plan: Plan) -> RegionTargets | None:
    """Return the targets of a plan with regions, for a network's attribute ``regions``; None without any."""
    return RegionTargets(plan) if plan.regions else None
