"""How much of a network Winograd convolution computes; numba is loaded only to look at convolutions."""

from __future__ import annotations

from torch import nn


def fast_convolutions(network: nn.Module) -> tuple[int, int]:
    """Return how many convolutions have filters that fit Winograd convolution, and how many convolutions there are."""
    from voxtrace.kernels.winograd.layers import fits_winograd

    convs = [m for m in network.modules() if isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Conv3d))]
    return sum(type(m) is nn.Conv3d and fits_winograd(m) for m in convs), len(convs)


def is_leaky(module: nn.Module) -> bool:
    """Tell whether a module is a ReLU or leaky ReLU, which the next convolution applies; others are left to torch."""
    return isinstance(module, (nn.LeakyReLU, nn.ReLU)) and getattr(module, "negative_slope", 0.0) <= 1
