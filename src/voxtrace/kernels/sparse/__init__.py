"""Sparse convolution: kernels that a mask switches off cost no time, on the CPU in float32.

A *kernel* here is all weights between one input and one output channel.

===============  ======================================================================
file             what it holds
===============  ======================================================================
replace          a copy of a network with other modules in place of its own
replacements     these modules, with a direct and a dense algorithm
direct           convolutions over active kernels
tiling           the copy into the cache that they read from
elementwise      moving, normalising and pooling in few passes over memory
active           active kernels, listed by output channel
measured_choice  which algorithm a layer takes: measured once, remembered on disk
loops            what numba compiles
simd_kernels     the innermost loop in SIMD instructions
autograd         the same with gradients, for training
===============  ======================================================================
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from voxtrace.kernels.switches import is_enabled

__all__ = ["SkipMode", "masked_fraction", "skip_masked", "wants_float32"]

SkipMode = Literal["measured", "direct", "dense", "plain"]
# From this fraction on, float32 over active kernels beats dense bfloat16 even with AMX (96→48 channels, 32×128×128, two
# cores: 84 ms with 90 % off and 170 ms with 80 %, against 350 ms).
MOSTLY_OFF = 0.75


def masked_fraction(network: nn.Module) -> float:
    """Return the fraction of kernels that masks switch off, 0 to 1; 0 for a network without masks.

    A masked layer has a tensor ``mask`` with an entry for each kernel.
    """
    masks = [mask for layer in network.modules() if isinstance(mask := getattr(layer, "mask", None), Tensor)]
    kernels = sum(mask.numel() for mask in masks)
    return 1 - sum(int(mask.sum()) for mask in masks) / kernels if kernels else 0.0


def wants_float32(network: nn.Module) -> bool:
    """Tell whether skipping kernels, which is done in float32, beats bfloat16 on a CPU that computes in it."""
    return is_enabled("sparse") and masked_fraction(network) >= MOSTLY_OFF


def skip_masked(network: nn.Module, kernels: SkipMode = "measured") -> tuple[nn.Module, str]:
    """Return a network that computes the same and skips kernels that are off, and a sentence about it.

    Parameters
    ----------
    network
        On the CPU, float32. It stays as it is; the copy shares its weights.
    kernels
        ``"measured"``: each layer skips them where that was faster when it was first measured on this machine.
        ``"direct"`` and ``"dense"`` take one algorithm everywhere, ``"plain"`` returns the network itself.
    """
    if kernels == "plain" or not masked_fraction(network) or not is_enabled("sparse"):
        return network, ""
    from voxtrace.kernels.sparse.replace import sparse_layers, with_replacements

    skipping, layers = sparse_layers(network)
    where = {"measured": "where that measured faster", "direct": "wherever possible", "dense": "nowhere"}[kernels]
    return with_replacements(network, kernels), f"{skipping} of {layers} layers skip the kernels that are off {where}"
