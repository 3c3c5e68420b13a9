"""Networks in 3D that the papers compare with. Only their size and cost are counted here; none is trained.

References
----------
Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation", Nature
Methods 18, 2021; as its version 1 builds the network.
Wang et al., "TransBTS: Multimodal Brain Tumor Segmentation Using Transformer", MICCAI 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from voxtrace.nn.blocks import ConvBlock, ConvStage
from voxtrace.nn.transbts import BLOCKS, SHRINKS, TransformerLayer
from voxtrace.plan import Shape

WIDEST = 320
HALVED: Shape = (2, 2, 2)


class NnUNetV1(nn.Module):
    """nnU-Net, version 1: up-sampling and heads have no bias, and there is a head on every map of the decoder.

    ``strides`` has an entry for each level below the first; ``first_kernel`` is that of the finest encoder stage.
    """

    def __init__(
        self,
        n_channels: int,
        n_labels: int,
        base: int = 32,
        strides: Sequence[Shape] = (HALVED,) * 5,
        first_kernel: Shape = (3, 3, 3),
    ) -> None:
        super().__init__()
        cube: Shape = (3, 3, 3)
        # Widths double from level to level up to the limit.
        w = [min(base * 2**level, WIDEST) for level in range(len(strides) + 1)]
        stages = [ConvStage(a, b, cube, stride) for (a, b), stride in zip(pairwise(w), strides, strict=True)]
        self.encode = nn.ModuleList([ConvStage(n_channels, w[0], first_kernel), *stages])
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(coarse, fine, stride, stride, bias=False)
            for (fine, coarse), stride in zip(pairwise(w), strides, strict=True)
        )
        self.merge = nn.ModuleList(ConvStage(2 * fine, fine, cube) for fine in w[:-1])
        self.heads = nn.ModuleList(nn.Conv3d(fine, n_labels, 1, bias=False) for fine in w[:-1])
        for block in self.merge.modules():
            if isinstance(block, ConvBlock):
                # E2ENet's paper counts these convolutions as it counts its own fusions.
                block.conv.fuses = True  # type: ignore[assignment]

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return logits of every head, finest first."""
        maps = []
        for stage in self.encode:
            x = stage(x)  # (B, w[i], Z/2^i, Y/2^i, X/2^i)
            maps.append(x)
        logits = []
        for skip, up, merge, head in reversed([*zip(maps[:-1], self.up, self.merge, self.heads, strict=True)]):
            x = merge(torch.cat([up(x), skip], 1))  # (B, w[i], size of the skip)
            logits.append(head(x))
        return logits[::-1]


class Residual(nn.Sequential):
    """Layers whose result is added to their input."""

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like x, (B, C, Z, Y, X)."""
        change: Tensor = super().forward(x)  # type: ignore[no-untyped-call]  # torch's annotation is missing
        return x + change


class TransBTS(nn.Module):
    """TransBTS in 3D: (B, C, Z, Y, X) of one size to logits (B, K, Z, Y, X).

    A layer norm and a linear layer of the authors' code, whose results are not used, are left out.
    """

    def __init__(
        self, n_channels: int, n_labels: int, size: Shape, *, base: int = 16, width: int = 512, depth: int = 4
    ) -> None:
        super().__init__()
        w = [base * 2**level for level in range(len(BLOCKS))]
        # Tokens are the voxels of the coarsest map.
        self.places = (size[0] // SHRINKS, size[1] // SHRINKS, size[2] // SHRINKS)
        self.first = _conv3(n_channels, base)
        self.stages = nn.ModuleList(
            nn.Sequential(*(_before(n) for _ in range(blocks))) for n, blocks in zip(w, BLOCKS, strict=True)
        )
        self.down = nn.ModuleList(_conv3(fine, coarse, stride=2) for fine, coarse in pairwise(w))
        self.embed = nn.Sequential(nn.BatchNorm3d(w[-1]), nn.ReLU(), _conv3(w[-1], width))
        self.position = nn.Parameter(torch.zeros(1, math.prod(self.places), width))
        self.layers = nn.Sequential(*(TransformerLayer(width, heads=8, widening=8) for _ in range(depth)))
        self.reshape = nn.Sequential(*_after(width, w[-1]), *_after(w[-1], w[-1]), _after_twice(w[-1]))
        self.narrow = nn.ModuleList(nn.Conv3d(coarse, fine, 1) for fine, coarse in pairwise(w))
        self.enlarge = nn.ModuleList(nn.ConvTranspose3d(fine, fine, 2, 2) for fine in w[:-1])
        self.mix = nn.ModuleList(nn.Conv3d(2 * fine, fine, 1) for fine in w[:-1])
        self.decode = nn.ModuleList(_after_twice(fine) for fine in w[:-1])
        self.head = nn.Conv3d(base, n_labels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K, Z, Y, X)."""
        maps = [self.stages[0](self.first(images))]  # (B, b, Z, Y, X)
        for down, stage in zip(self.down, list(self.stages)[1:], strict=True):
            maps.append(stage(down(maps[-1])))  # (B, 2b, Z/2, Y/2, X/2) … (B, 8b, Z/8, Y/8, X/8)
        tokens = self.embed(maps.pop()).flatten(2).transpose(1, 2)  # (B, N, d)
        tokens = self.layers(tokens + self.position)  # (B, N, d)
        x: Tensor = self.reshape(tokens.transpose(1, 2).unflatten(2, self.places))  # (B, 8b, Z/8, Y/8, X/8)
        # From 1/4 of the resolution up to the full one.
        levels = [*zip(maps, self.narrow, self.enlarge, self.mix, self.decode, strict=True)]
        for skip, narrow, enlarge, mix, decode in reversed(levels):
            x = decode(mix(torch.cat([skip, enlarge(narrow(x))], 1)))  # (B, 4b, Z/4, …) … (B, b, Z, Y, X)
        logits: Tensor = self.head(x)
        return logits


def _conv3(n_in: int, n_out: int, stride: int = 1) -> nn.Conv3d:
    return nn.Conv3d(n_in, n_out, 3, stride, padding=1)


def _before(width: int) -> Residual:
    """Return a residual block that normalises before its convolutions."""
    return Residual(*(m for _ in range(2) for m in (nn.GroupNorm(8, width), nn.ReLU(), _conv3(width, width))))


def _after(n_in: int, n_out: int) -> list[nn.Module]:
    return [_conv3(n_in, n_out), nn.BatchNorm3d(n_out), nn.ReLU()]


def _after_twice(width: int) -> Residual:
    """Return a residual block that normalises after its convolutions."""
    return Residual(*_after(width, width), *_after(width, width))
