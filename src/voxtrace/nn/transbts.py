"""TransBTS on slices: its convolutional encoder and decoder alone, or with a transformer between them.

Inside, maps are 2D, (B, C, Y, X); networks take and return windows one voxel thick, (B, C, 1, Y, X).

References
----------
Wang et al., "TransBTS: Multimodal Brain Tumor Segmentation Using Transformer", MICCAI 2021: the 3D network.
Wang et al., "Med-DANet: Dynamic Architecture Network for Efficient Medical Volumetric Segmentation", ECCV 2022: the
networks on slices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCKS = (1, 2, 2, 4)  # residual blocks of the encoder at 1, 1/2, 1/4 and 1/8 of the resolution
SHRINKS = 8  # the coarsest map is this many times smaller along Y and X
DROPPED_CHANNELS = 0.2
DROPPED_TOKENS = 0.1

Norm = Callable[[int], nn.Module]


def group_norm(width: int) -> nn.Module:
    """Return a group norm of 8 groups; of fewer where a group would be a single channel, or 8 does not divide."""
    # With one channel in a group it would be an instance norm.
    return nn.GroupNorm(math.gcd(8, width // 2), width)


def conv3(n_in: int, n_out: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3×3 convolution with bias, zero-padded."""
    return nn.Conv2d(n_in, n_out, 3, stride, padding=1)


class PreActivated(nn.Sequential):
    """Residual block x + conv(ReLU(norm(conv(ReLU(norm(x)))))) of one width."""

    def __init__(self, width: int, norm: Norm) -> None:
        half = [[norm(width), nn.ReLU(inplace=True), conv3(width, width)] for _ in range(2)]
        super().__init__(*half[0], *half[1])

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like x, (B, C, Y, X)."""
        change: Tensor = super().forward(x)  # type: ignore[no-untyped-call]  # torch's annotation is missing
        return x + change


class PostActivated(nn.Sequential):
    """Residual block x + ReLU(norm(conv(ReLU(norm(conv(x)))))) of one width."""

    def __init__(self, width: int, norm: Norm) -> None:
        half = [[conv3(width, width), norm(width), nn.ReLU()] for _ in range(2)]
        super().__init__(*half[0], *half[1])

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like x, (B, C, Y, X)."""
        change: Tensor = super().forward(x)  # type: ignore[no-untyped-call]  # torch's annotation is missing
        return x + change


class SliceEncoder(nn.Module):
    """Convolutional encoder: an image to maps of b, 2b, 4b and 8b channels at 1, 1/2, 1/4 and 1/8 of the resolution."""

    def __init__(self, n_channels: int, base: int, norm: Norm) -> None:
        super().__init__()
        widths = [base * 2**level for level in range(len(BLOCKS))]
        self.first = nn.Sequential(conv3(n_channels, base), nn.Dropout2d(DROPPED_CHANNELS))
        self.stages = nn.ModuleList(
            nn.Sequential(*(PreActivated(width, norm) for _ in range(blocks)))
            for width, blocks in zip(widths, BLOCKS, strict=True)
        )
        self.down = nn.ModuleList(conv3(fine, coarse, stride=2) for fine, coarse in pairwise(widths))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the four maps of an image (B, C, Y, X), finest first."""
        # Stage 0 works at full resolution; each later one follows a strided convolution.
        maps = [self.stages[0](self.first(image))]  # (B, b, Y, X)
        for down, stage in zip(self.down, list(self.stages)[1:], strict=True):
            maps.append(stage(down(maps[-1])))  # (B, 2b, Y/2, X/2) … (B, 8b, Y/8, X/8)
        return maps


class UpCat(nn.Module):
    """One level up: 1×1 convolution, transposed convolution, concatenation with the skip, 1×1 convolution."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(n_in, n_out, 1)
        self.enlarge = nn.ConvTranspose2d(n_out, n_out, 2, 2)
        self.mix = nn.Conv2d(2 * n_out, n_out, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return a map like ``skip``, (B, Cout, 2Y, 2X), of x (B, Cin, Y, X)."""
        mixed: Tensor = self.mix(torch.cat([skip, self.enlarge(self.narrow(x))], dim=1))
        return mixed


class SliceDecoder(nn.Module):
    """Decoder: 8b channels at 1/8 of the resolution, and the encoder's finer maps, to K logits."""

    def __init__(self, base: int, n_labels: int, block: Callable[[int], nn.Module]) -> None:
        super().__init__()
        widths = [base * 2**level for level in reversed(range(len(BLOCKS)))]
        self.up = nn.ModuleList(UpCat(coarse, fine) for coarse, fine in pairwise(widths))
        self.stages = nn.ModuleList(block(width) for width in widths[1:])
        self.head = nn.Conv2d(base, n_labels, 1)

    def forward(self, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Return logits (B, K, Y, X); ``skips`` are the encoder's maps but the coarsest, finest first."""
        for up, stage, skip in zip(self.up, self.stages, reversed(skips), strict=True):
            x = stage(up(x, skip))  # (B, 4b, Y/4, X/4) … (B, b, Y, X)
        logits: Tensor = self.head(x)
        return logits


class SliceUNet(nn.Module):
    """The convolutions of TransBTS on slices, batch-normalised: (B, C, 1, Y, X) to logits (B, K, 1, Y, X)."""

    def __init__(self, n_channels: int, n_labels: int, base: int) -> None:
        super().__init__()
        self.encode = SliceEncoder(n_channels, base, nn.BatchNorm2d)
        self.decode = SliceDecoder(base, n_labels, lambda width: PreActivated(width, nn.BatchNorm2d))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K, 1, Y, X)."""
        *skips, coarsest = self.encode(images.squeeze(2))
        logits: Tensor = self.decode(coarsest, skips)
        return logits.unsqueeze(2)


class SelfAttention(nn.Module):
    """Multi-head attention of tokens (B, N, d) to one another; queries, keys and values have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width)
        self.drop = nn.Dropout(DROPPED_TOKENS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, N, d)."""
        batch, n, width = tokens.shape
        # One linear layer computes queries, keys and values of all heads.
        split = self.queries_keys_values(tokens).reshape(batch, n, 3, self.heads, width // self.heads)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)  # each (B, heads, N, d/heads)
        if self.training:  # dropout as a layer, which training in parts exchanges
            scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])
            mixed = self.drop(scores.softmax(-1)) @ values
        else:
            mixed = F.scaled_dot_product_attention(queries, keys, values)
        projected: Tensor = self.project(mixed.transpose(1, 2).reshape(batch, n, width))
        return projected

    def matmul_macs(self, tokens: Tensor) -> int:
        """Return the multiply-adds of attention scores and weighted values, N²·d each."""
        batch, n, width = tokens.shape
        return 2 * batch * n * n * width


class TransformerLayer(nn.Module):
    """Pre-norm attention and a perceptron ``widening`` times as wide, each added to its input."""

    def __init__(self, width: int, heads: int, widening: int = 4) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(width), SelfAttention(width, heads), nn.Dropout(DROPPED_TOKENS))
        self.think = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, widening * width),
            nn.GELU(),
            nn.Dropout(DROPPED_TOKENS),
            nn.Linear(widening * width, width),
            nn.Dropout(DROPPED_TOKENS),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (B, N, d)."""
        tokens = tokens + self.attend(tokens)
        thought: Tensor = self.think(tokens)
        return tokens + thought


class Transformer(nn.Module):
    """Self-attention between all places of a coarse map: (B, C, Y, X) to the same shape.

    ``places`` is (Y, X): a learned position for each place, 0 at first, is added to its token.
    """

    def __init__(self, n_in: int, width: int, depth: int, heads: int, places: tuple[int, int]) -> None:
        super().__init__()
        self.places = places
        self.embed = nn.Sequential(nn.BatchNorm2d(n_in), nn.ReLU(inplace=True), conv3(n_in, width))
        self.position = nn.Parameter(torch.zeros(1, math.prod(places), width))
        self.drop = nn.Dropout(DROPPED_TOKENS)
        self.layers = nn.Sequential(*(TransformerLayer(width, heads) for _ in range(depth)), nn.LayerNorm(width))
        self.reshape = nn.Sequential(
            *(conv3(width, n_in), nn.BatchNorm2d(n_in), nn.ReLU(inplace=True)),
            *(conv3(n_in, n_in), nn.BatchNorm2d(n_in), nn.ReLU()),
            PostActivated(n_in, nn.BatchNorm2d),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map like x, (B, C, Y, X)."""
        # A token is a voxel of the coarse map.
        tokens = self.embed(x).flatten(2).transpose(1, 2)  # (B, Y·X, d)
        tokens = self.layers(self.drop(tokens + self.position))
        reshaped: Tensor = self.reshape(tokens.transpose(1, 2).unflatten(2, self.places))  # (B, C, Y, X)
        return reshaped


class SliceTransBTS(nn.Module):
    """TransBTS on slices of one size: (B, C, 1, Y, X) to logits (B, K, 1, Y, X).

    ``size`` is (Y, X), ``width`` that of a token, ``depth`` the number of transformer layers.
    """

    def __init__(
        self,
        n_channels: int,
        n_labels: int,
        size: tuple[int, int],
        *,
        base: int = 16,
        width: int = 512,
        depth: int = 4,
        heads: int = 8,
    ) -> None:
        super().__init__()
        places = (size[0] // SHRINKS, size[1] // SHRINKS)
        self.encode = SliceEncoder(n_channels, base, group_norm)
        self.transform = Transformer(base * SHRINKS, width, depth, heads, places)
        self.decode = SliceDecoder(base, n_labels, lambda width: PostActivated(width, nn.BatchNorm2d))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K, 1, Y, X)."""
        *skips, coarsest = self.encode(images.squeeze(2))
        logits: Tensor = self.decode(self.transform(coarsest), skips)
        return logits.unsqueeze(2)
