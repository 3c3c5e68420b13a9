"""Med-DANet at the published widths, with the decision network of the shipped bundle, to time its decisions.

The candidates have random weights, on which their time does not depend. The decision network has the same width in
every Med-DANet, so the shipped one fits. It was trained on windows of 160 mm and gets windows of 160 mm here as well,
with as many voxels as the published ones, on every slice of the scan.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from voxtrace.bundle import Bundle
from voxtrace.methods.meddanet import MedDANet
from voxtrace.nn.model_bank import MedDANetNetwork
from voxtrace.volume import Triple

PUBLISHED_SIDE = 128


def meddanet_at_published_widths(
    bundle: Bundle, slice_mm: float, side: int = PUBLISHED_SIDE, scale: float = 1.0
) -> Bundle:
    """Return a Med-DANet of ``scale`` times the published widths, with the decision network of ``bundle``.

    Its windows have ``side`` × ``side`` voxels and cover as many mm as those of ``bundle``; they lie a third of their
    side apart, as published, on slices ``slice_mm`` apart.
    """
    import torch

    made = replace(cast(MedDANet, bundle.method), setting="window", size=side, scale=scale)
    mm, voxels = bundle.plan.spacing_mm, bundle.plan.window
    spacing: Triple = (slice_mm, mm[1] * voxels[1] / side, mm[2] * voxels[2] / side)
    plan = made.adapt(bundle.plan.model_copy(update={"spacing_mm": spacing, "mirror_axes": ()}))
    # The same weights in every run, without changing the caller's random numbers.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = cast(MedDANetNetwork, made.build(plan))
    network.router.load_state_dict(cast(MedDANetNetwork, bundle.network).router.state_dict())
    return Bundle(made, plan, network.eval(), {"name": "meddanet", "mirror": False})
