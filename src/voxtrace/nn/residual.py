"""Residual encoder stages, as nnU-Net plans them since its version 2.4 (ResEnc).

A block adds the result of two convolutions to its input; where the shape changes, the input is averaged over the
stride and brought to the new width by a 1×1×1 convolution (ResNet-D)::

    x ──┬── conv, norm, leaky ReLU ── conv, norm ──┬── + ── leaky ReLU
        └── mean over the stride ── 1×1×1, norm ───┘

References
----------
Isensee et al., "nnU-Net Revisited", MICCAI 2024, arXiv:2404.09556 (residual encoders).
He et al., "Bag of Tricks for Image Classification with Convolutional Neural Networks", CVPR 2019 (ResNet-D).
"""

from __future__ import annotations

from torch import Tensor, nn

from voxtrace.nn.blocks import LEAK, ConvBlock
from voxtrace.nn.instance_norm import WindowNorm
from voxtrace.plan import Shape

ONE: Shape = (1, 1, 1)


class NormedConv(nn.Sequential):
    """Convolution and instance norm (affine), without an activation: (B, Cin, …) to (B, Cout, …)."""

    def __init__(self, n_in: int, n_out: int, kernel: Shape, bias: bool = True) -> None:
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        super().__init__()
        self.conv = nn.Conv3d(n_in, n_out, kernel, padding=padding, bias=bias)
        self.norm = WindowNorm(n_out, eps=1e-5, affine=True)


class ResidualBlock(nn.Module):
    """Maps (B, Cin, Z, Y, X) to (B, Cout, Z/sz, Y/sy, X/sx) for stride (sz, sy, sx)."""

    def __init__(self, n_in: int, n_out: int, kernel: Shape, stride: Shape = ONE) -> None:
        super().__init__()
        self.first = ConvBlock(n_in, n_out, kernel, stride)
        self.second = NormedConv(n_out, n_out, kernel)
        # ResNet-D: the skip is averaged over the stride, not sub-sampled.
        self.pool = nn.Identity() if stride == ONE else nn.AvgPool3d(stride, stride)
        # The 1×1×1 convolution is followed by a norm, so it needs no bias.
        self.skip = nn.Identity() if n_in == n_out else NormedConv(n_in, n_out, ONE, bias=False)
        self.act = nn.LeakyReLU(LEAK, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated sum."""
        activated: Tensor = self.act(self.second(self.first(x)) + self.skip(self.pool(x)))
        return activated


class ResidualStage(nn.Sequential):
    """Residual blocks in a row; the first one has the stride and changes the width."""

    def __init__(self, n_in: int, n_out: int, kernel: Shape, stride: Shape = ONE, blocks: int = 2) -> None:
        rest = (ResidualBlock(n_out, n_out, kernel) for _ in range(blocks - 1))
        super().__init__(ResidualBlock(n_in, n_out, kernel, stride), *rest)


class Stem(nn.Module):
    """One convolution block to ``width`` channels, then the residual blocks of the finest stage."""

    def __init__(self, n_in: int, width: int, n_out: int, kernel: Shape, blocks: int) -> None:
        super().__init__()
        self.stem = ConvBlock(n_in, width, kernel)
        self.stage = ResidualStage(width, n_out, kernel, blocks=blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Return the first feature map, (B, n_out, Z, Y, X)."""
        features: Tensor = self.stage(self.stem(x))
        return features


def silence_last_norms(network: nn.Module) -> None:
    """Set scale and shift of the last norm of every residual block to 0: at first a block is its skip alone."""
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            nn.init.zeros_(block.second.norm.weight)
            nn.init.zeros_(block.second.norm.bias)
