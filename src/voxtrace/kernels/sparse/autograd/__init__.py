"""Learn: training passes over kernels that a mask switches off, too, on the CPU in float32.

===========  ======================================================
file         what it holds
===========  ======================================================
twins        modules that stand in for a network's own, and learn
convolution  masked convolutions, forward and backward
transposed   masked transposed convolutions, forward and backward
around       moving, normalising and pooling, forward and backward
groups       sums that do not depend on the number of threads
loops        what numba compiles
lanes        the gradient of nine weights in vector instructions
===========  ======================================================
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxtrace.kernels.sparse import masked_fraction

__all__ = ["skip_while_learning"]


def skip_while_learning(network: nn.Module, images: Tensor) -> nn.Module:
    """Return a network that computes the same, shares its weights and learns without the kernels that are off.

    It holds for one update, as masks may change after it. Where ``images`` are not float32 on the CPU, autocast lowers
    the precision or no mask switches anything off, it is ``network`` itself.
    """
    plain = images.device.type != "cpu" or images.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
    if plain or not masked_fraction(network):
        return network
    from voxtrace.kernels.sparse.autograd.replacements import with_learning_replacements

    return with_learning_replacements(network)
