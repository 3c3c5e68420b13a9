"""The convolutional block of nnU-Net, which RecycleNet and CDL-UNet use as well."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from voxtrace.nn.instance_norm import WindowNorm
from voxtrace.plan import Shape

LEAK = 0.01


class ConvBlock(nn.Module):
    """Convolution (with bias), instance norm (affine), leaky ReLU: nnU-Net's block (Isensee et al. 2021).

    Maps (B, Cin, Z, Y, X) to (B, Cout, Z/sz, Y/sy, X/sx) for stride (sz, sy, sx); borders are zero-padded.
    """

    def __init__(self, n_in: int, n_out: int, kernel: Shape = (3, 3, 3), stride: Shape = (1, 1, 1)) -> None:
        super().__init__()
        # Odd kernels keep the size of a map; the stride alone reduces it.
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        self.conv = nn.Conv3d(n_in, n_out, kernel, stride, padding)
        self.norm = WindowNorm(n_out, eps=1e-5, affine=True)
        self.act = nn.LeakyReLU(LEAK, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated map."""
        activated: Tensor = self.act(self.norm(self.conv(x)))
        return activated


class ConvStage(nn.Sequential):
    """Blocks in a row; the first one has the stride and changes the width."""

    def __init__(self, n_in: int, n_out: int, kernel: Shape, stride: Shape = (1, 1, 1), blocks: int = 2) -> None:
        widths = [n_in] + [n_out] * blocks
        strides = [stride] + [(1, 1, 1)] * (blocks - 1)
        super().__init__(*(ConvBlock(a, b, kernel, s) for (a, b), s in zip(pairwise(widths), strides, strict=True)))


def he_init(module: nn.Module) -> None:
    """Initialise convolutions as nnU-Net does: He-normal for a leaky ReLU of slope 0.01, biases 0."""
    # Norms keep torch's initial scale 1 and shift 0.
    if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
        nn.init.kaiming_normal_(module.weight, a=LEAK)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
