"""The U-Net that nnU-Net plans, in three parts: project, recycle, decide.

The parts are named after their use in RecycleNet (arXiv:2309.07513). The plain U-Net runs each once, so both methods
have the same parameters, and weights of one fit the other. The encoder may be residual, as nnU-Net
plans it since version 2.4 (:mod:`voxtrace.nn.residual`); the decoder is the same.

References
----------
Isensee et al., "nnU-Net", Nature Methods 18, 2021 (architecture, version 2: transposed convolutions and heads
have a bias).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxtrace.errors import PlanError
from voxtrace.nn.blocks import ConvStage, he_init
from voxtrace.nn.regions import targets_for
from voxtrace.nn.residual import ResidualStage, Stem, silence_last_norms
from voxtrace.plan import Plan, Topology, check_divisible

FINEST_BIAS = "decide.heads.0.bias"  # of the head whose logits are the answer


class Body(nn.Module):
    """Encoder stages 1…, bottleneck and all decoder stages: from the first feature map to the last one.

    Input and output are (B, widths[0], Z, Y, X); the input itself is the full-resolution skip.
    """

    def __init__(self, topology: Topology) -> None:
        super().__init__()
        w, k, s = topology.widths, topology.kernels, topology.strides
        n, merges = topology.encoder_blocks, topology.decoder_convolutions
        # The decoder is plain in both cases.
        encoder = ResidualStage if topology.encoder == "residual" else ConvStage
        deeper = range(1, len(w))
        self.down = nn.ModuleList(encoder(w[i - 1], w[i], k[i], s[i], n[i]) for i in deeper)
        self.up = nn.ModuleList(nn.ConvTranspose3d(w[i], w[i - 1], s[i], s[i]) for i in deeper)
        self.merge = nn.ModuleList(ConvStage(2 * w[i - 1], w[i - 1], k[i - 1], blocks=merges[i - 1]) for i in deeper)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the decoder's feature maps, finest first."""
        skips = [x]
        for stage in self.down:
            skips.append(stage(skips[-1]))  # (B, w[i], Z/2^i, …)
        # From the coarsest map up; each skip is concatenated after the up-sampled map, in nnU-Net's order.
        x, decoded = skips.pop(), []
        for up, merge, skip in zip(reversed(self.up), reversed(self.merge), reversed(skips), strict=True):
            x = merge(torch.cat([up(x), skip], dim=1))  # (B, w[i−1], size of the skip)
            decoded.append(x)
        return decoded[::-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return the finest decoder feature map, (B, widths[0], Z, Y, X)."""
        return self.maps(x)[0]


class Heads(nn.Module):
    """1×1×1 convolutions to K logits, one for each decoder stage; inference uses the finest alone."""

    def __init__(self, topology: Topology, n_labels: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Conv3d(width, n_labels, 1) for width in topology.widths[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K, Z, Y, X) of the finest map."""
        logits: Tensor = self.heads[0](x)
        return logits

    def supervise(self, maps: list[Tensor]) -> list[Tensor]:
        """Return logits of each decoder map, finest first (deep supervision)."""
        return [head(x) for head, x in zip(self.heads, maps, strict=True)]


class UNetNetwork(nn.Module):
    """Three children: ``project`` (encoder stage 0), ``recycle`` (the body), ``decide`` (the heads).

    And ``regions`` where the plan has any.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        t = plan.topology
        self.batch_dice = plan.batch_dice
        self.project = _first_stage(plan.n_channels, t)
        self.recycle = Body(t)
        self.decide = Heads(t, plan.n_outputs)
        self.regions = targets_for(plan)
        # Residual norms are set to 0 last: he_init leaves norms alone.
        self.apply(he_init)
        silence_last_norms(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K, Z, Y, X) of one pass: the plain U-Net."""
        logits: Tensor = self.decide(self.recycle(self.project(images)))
        return logits

    def counted(self, images: Tensor) -> list[Tensor]:
        """Return logits of every head, finest first: the pass whose cost is published."""
        return self.supervised(self.project(images))

    def supervised(self, features: Tensor) -> list[Tensor]:
        """Return logits at each resolution, finest first, of one pass of the body over ``features``."""
        return self.decide.supervise(self.recycle.maps(features))


def _first_stage(n_channels: int, t: Topology) -> nn.Module:
    """Return encoder stage 0, which maps (B, C, Z, Y, X) to (B, widths[0], Z, Y, X)."""
    if t.encoder == "plain":
        return ConvStage(n_channels, t.widths[0], t.kernels[0], blocks=t.encoder_blocks[0])
    return Stem(n_channels, t.stem or t.widths[0], t.widths[0], t.kernels[0], t.encoder_blocks[0])


def check_plan(plan: Plan) -> None:
    """Refuse a plan whose window is not divisible by the strides, or whose topology has a single stage."""
    check_divisible(plan.window, plan.topology)
    if len(plan.topology.widths) < 2:
        raise PlanError(
            f"window {plan.window} leaves the U-Net 1 stage, and it needs 2; use at least 8 voxels along two axes."
        )
