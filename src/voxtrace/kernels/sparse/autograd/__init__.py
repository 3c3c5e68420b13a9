"""Masked convolutions with gradients: training skips kernels that a mask switches off, on the CPU in float32.

============  ======================================================
file          what it holds
============  ======================================================
replacements  modules that take the place of a network's own
convolution   masked convolutions, forward and backward
transposed    masked transposed convolutions, forward and backward
elementwise   moving, normalising and pooling, forward and backward
task_groups   sums that do not depend on the number of threads
loops         what numba compiles
simd_kernels  the gradient of nine weights in SIMD instructions
============  ======================================================
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxtrace.kernels.sparse import masked_fraction
from voxtrace.kernels.switches import is_enabled

__all__ = ["skip_while_learning"]


def skip_while_learning(network: nn.Module, images: Tensor) -> nn.Module:
    """Return a network that computes the same, shares the weights, and trains without the kernels that are off.

    It holds for one update, as masks may change after it. It is ``network`` itself where ``images`` are not float32 on
    the CPU, autocast lowers the precision, no mask switches anything off, or the sparse kernels are switched off.
    """
    plain = images.device.type != "cpu" or images.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
    if plain or not masked_fraction(network) or not is_enabled("sparse"):
        return network
    from voxtrace.kernels.sparse.autograd.replacements import with_learning_replacements

    return with_learning_replacements(network)
