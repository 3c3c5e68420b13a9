"""A U-Net with the time as an input: five resolutions, added skips, a residual block at each.

::

    stem ── block ─────────────────────── + ── block ── head        w   @ 1
              └ down ── block ─────── + ── block ── up ┘            w   @ 1/2
                          └ down ── block … + ── block ── up ┘      2w  @ 1/4,  4w @ 1/8,  8w @ 1/16

``w`` is 32 as published. Down-sampling is a strided 2×2×2 convolution, zero-padded at the end where a size is odd;
up-sampling a transposed one, cropped to the size of the skip, to which it is added.

References
----------
Fu et al., "Importance of Aligning Training Strategy with Evaluation for Diffusion Models in 3D Multiclass
Segmentation", arXiv:2303.06040 (four layers of 32, 64, 128, 256 channels; the rest as in its released code, v0.1.0).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.nn.instance_norm import each_window, learns_on_cpu

LEVELS = 5
LONGEST_PERIOD = 10_000.0


def level_widths(width: int) -> tuple[int, ...]:
    """Return the channels of the five resolutions, finest first.

    Examples
    --------
    >>> level_widths(32)
    (32, 32, 64, 128, 256)
    """
    return (width, *(width * 2**i for i in range(LEVELS - 1)))


def time_embedding(t: Tensor, size: int) -> Tensor:
    """Return ``[cos(t·ω_i), sin(t·ω_i)]``, (B, size), with ω_i = 10000^(−2i/size), for times (B,)."""
    # Half of the numbers are cosines, half sines.
    half = size // 2
    i = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t.float()[:, None] * torch.exp(-math.log(LONGEST_PERIOD) * i / half)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class TimeUNet(nn.Module):
    """Maps images (B, C, Z, Y, X), a noisy mask (B, K, Z, Y, X) and times (B,) to scores (B, K, Z, Y, X).

    Without ``timed`` it is the published baseline: images alone, no time. Windows may have any size. As published the
    time changes nothing; with ``late`` it does, see :class:`TimeBlock`.
    """

    def __init__(self, n_channels: int, n_labels: int, width: int = 32, timed: bool = True, late: bool = False) -> None:
        super().__init__()
        widths = level_widths(width)
        self.time_size = 4 * width if timed else 0
        self.stem = nn.Sequential(
            nn.Conv3d(n_channels + (n_labels if timed else 0), width, 3, padding=1, bias=False),
            InstanceNorm(width),
            nn.GELU("tanh"),
        )
        self.encode = nn.ModuleList(TimeBlock(w, self.time_size, late) for w in widths)
        self.down = nn.ModuleList(Down(fine, coarse) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList(nn.ConvTranspose3d(coarse, fine, 2, 2) for fine, coarse in pairwise(widths))
        self.decode = nn.ModuleList(TimeBlock(w, self.time_size, late) for w in widths[:-1])
        self.head = nn.Conv3d(width, n_labels, 1)
        self.apply(_init)

    def forward(self, images: Tensor, x_t: Tensor | None = None, t: Tensor | None = None) -> Tensor:
        """Return scores (B, K, Z, Y, X)."""
        # The embedding is computed once and enters every block.
        e = None if t is None else F.gelu(time_embedding(t, self.time_size), approximate="tanh")  # (B, 4w)
        x = images if x_t is None else torch.cat([images, x_t], dim=1)  # (B, C + K, Z, Y, X)
        x = self.encode[0](self.stem(x), e)  # (B, w, Z, Y, X)
        skips = []
        for down, block in zip(self.down, list(self.encode)[1:], strict=True):
            skips.append(x)
            x = block(down(x), e)  # (B, w, Z/2, …) … (B, 8w, Z/16, …)
        for up, block, skip in zip(reversed(self.up), reversed(self.decode), reversed(skips), strict=True):
            z, y, x_size = skip.shape[2:]
            x = block(up(x)[:, :, :z, :y, :x_size] + skip, e)  # (B, w[i], size of the skip)
        scores: Tensor = self.head(x)
        return scores


class TimeBlock(nn.Module):
    """``h = conv(GELU(IN(conv(x)))) + Linear(e)``, then ``GELU(IN(h) + x)``; e (B, time_size) holds for all voxels.

    The norm takes each channel's mean away, and with it the one number that the time adds to the channel: the answer
    does not depend on the time. With ``late`` it is added after the norm, ``GELU(IN(h) + Linear(e) + x)`` (ours).
    """

    def __init__(self, width: int, time_size: int, late: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(width, width, 3, padding=1, bias=False)
        self.norm1 = InstanceNorm(width)
        self.conv2 = nn.Conv3d(width, width, 3, padding=1, bias=False)
        self.time = nn.Linear(time_size, width) if time_size else None
        self.norm2 = InstanceNorm(width)
        self.late = late

    def forward(self, x: Tensor, e: Tensor | None) -> Tensor:
        """Return a map of the shape of ``x``, (B, width, Z, Y, X)."""
        h: Tensor = self.conv2(F.gelu(self.norm1(self.conv1(x)), approximate="tanh"))
        if self.time is None or e is None:
            return F.gelu(self.norm2(h) + x, approximate="tanh")
        # One number for each channel, the same at every voxel.
        added = self.time(e)[:, :, None, None, None]
        h = self.norm2(h) + added if self.late else self.norm2(h + added)
        return F.gelu(h + x, approximate="tanh")


class Down(nn.Module):
    """Half the size, rounded up: (B, n_in, Z, Y, X) to (B, n_out, ⌈Z/2⌉, ⌈Y/2⌉, ⌈X/2⌉)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(n_in, n_out, 2, 2, bias=False)
        self.norm = InstanceNorm(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised, coarser map; there is no activation."""
        # An odd size gets one voxel of zeros at its end.
        z, y, width = x.shape[2:]
        coarser: Tensor = self.norm(self.conv(F.pad(x, (0, width % 2, 0, y % 2, 0, z % 2))))
        return coarser


class InstanceNorm(nn.InstanceNorm3d):
    """Instance norm with scale and shift that accepts a map of a single voxel; its result there is the shift.

    Windows of at most 16 voxels along each axis have such a map at 1/16; torch's own module refuses it.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-5, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map."""
        if learns_on_cpu(x):
            return each_window(x, self)
        return torch.instance_norm(
            x, self.weight, self.bias, None, None, True, 0.0, self.eps, torch.backends.cudnn.enabled
        )


def _init(module: nn.Module) -> None:
    """Draw weights from a normal of standard deviation 1/√fan_in, truncated at two of them; biases 0."""
    if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d, nn.Linear)):
        # A transposed convolution stores its input channels first.
        out_first = not isinstance(module, nn.ConvTranspose3d)
        fan_in = module.weight[0].numel() if out_first else module.weight[:, 0].numel()
        deviation = fan_in**-0.5
        nn.init.trunc_normal_(module.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
