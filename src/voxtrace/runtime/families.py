"""Families of networks: what decides which runtime computes a network fastest."""

from __future__ import annotations

from torch import nn

from voxtrace.kernels.sparse import masked_fraction
from voxtrace.kernels.winograd.coverage import fast_convolutions, is_leaky

FAMILIES = {
    "leaky": "3-D networks of 3×3×3 and 1×3×3 convolutions with ReLU or leaky ReLU, e.g. U-Nets",
    "smooth": "the same with other activations, e.g. residual networks with GELU",
    "planar": "networks of slices, and others with few such convolutions",
    "masked": "networks of which a mask switches most kernels off",
}
# Fraction of kernels off from which skipping them beats compiled dense convolutions.
MOSTLY_OFF = 0.5


def family_of(network: nn.Module) -> str:
    """Return the family of a network, a key of ``FAMILIES``, from its modules and masks alone."""
    return "masked" if masked_fraction(network) >= MOSTLY_OFF else dense_family_of(network)


def dense_family_of(network: nn.Module) -> str:
    """Return the family of a network as if no mask switched anything off."""
    fast, convolutions = fast_convolutions(network)
    # Convolutions that no Winograd kernel fits run in torch there, so that few fast ones bring nothing.
    if 2 * fast < convolutions or not fast:
        return "planar"
    others = any(type(m).__module__ == "torch.nn.modules.activation" and not is_leaky(m) for m in network.modules())
    return "smooth" if others else "leaky"
