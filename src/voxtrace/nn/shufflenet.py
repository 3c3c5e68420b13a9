"""ShuffleNetV2 on slices: a small classifier of images.

References
----------
Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

REPEATS = (4, 8, 4)  # units of the three stages


def _unit_conv(n_in: int, n_out: int) -> list[nn.Module]:
    return [nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]


def _depthwise(width: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(width, width, 3, stride, padding=1, groups=width, bias=False), nn.BatchNorm2d(width)]


class Unit(nn.Module):
    """Half of the channels pass through a bottleneck; the others are kept (stride 1) or down-sampled too (stride 2).

    With stride 1 the halves are the even and the odd channels, which shuffles them. With stride 2 both branches see all
    channels.
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.splits = stride == 1
        seen, middle = n_in // 2 if self.splits else n_in, n_out // 2
        self.main = nn.Sequential(
            *_unit_conv(seen, middle), *_depthwise(middle, stride), *_unit_conv(middle, n_out - seen)
        )
        self.side = nn.Identity() if self.splits else nn.Sequential(*_depthwise(n_in, stride), *_unit_conv(n_in, n_in))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, Cout, Y, X), or (B, Cout, ⌈Y/2⌉, ⌈X/2⌉) with stride 2."""
        side, main = (x[:, 0::2], x[:, 1::2]) if self.splits else (x, x)
        return torch.cat([self.side(side), self.main(main)], dim=1)


class ShuffleNet(nn.Module):
    """Maps slices (B, C, 1, Y, X) of any size to ``n_classes`` scores (B, n_classes).

    ``widths`` are the channels of the first convolution, the three stages and the last convolution; the defaults are
    those of Med-DANet's decision network.
    """

    def __init__(self, n_channels: int, n_classes: int, widths: Sequence[int] = (12, 24, 48, 96, 256)) -> None:
        super().__init__()
        first, *stages, last = widths
        self.first = nn.Conv2d(n_channels, first, 3, 2, padding=1, bias=False)
        self.shrink = nn.Sequential(nn.BatchNorm2d(first), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1))
        units: list[nn.Module] = []
        # The first unit of each stage halves the resolution.
        for n_in, n_out, repeats in zip([first, *stages], stages, REPEATS, strict=False):
            units += [Unit(n_in, n_out, 2), *(Unit(n_out, n_out, 1) for _ in range(repeats - 1))]
        self.stages = nn.Sequential(*units)
        self.last = nn.Sequential(*_unit_conv(stages[-1], last))
        self.classify = nn.Linear(last, n_classes, bias=False)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (B, n_classes) before softmax."""
        x = self.shrink(self.first(images.squeeze(2)))  # (B, 12, Y/4, X/4)
        x = self.last(self.stages(x))  # (B, 256, Y/32, X/32)
        scores: Tensor = self.classify(x.mean((2, 3)))
        return scores

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 1.0 / module.weight.shape[1])
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.bias, 1e-4)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.01)
        # The first convolution differs from the others, as in the authors' code.
        nn.init.normal_(self.first.weight, 0.0, 0.01)
