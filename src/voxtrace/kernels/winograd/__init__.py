"""Winograd convolution: float32 on the CPU with a quarter to an eighth of the multiplications.

Four neighbouring outputs of a row with three taps share six products in place of twelve: along Y and X that is 36 in
place of 144, along all three axes 216 in place of 1,728. Part of what is saved in multiplications is spent on
additions; a U-Net is still three times faster than with direct convolution where processors have no matrix
instructions. Results differ from direct convolution by rounding, by less than 1e-5 of the largest value.

============  =====================================================================================
file          what it holds
============  =====================================================================================
coverage      how much of a network Winograd convolution computes
replacements  modules that take the place of a network's own
deferred      tensors whose normalisation, activation and concatenation are done by the next reader
buffer_pool   memory for feature maps that is used again
layers        convolutions, strided and transposed ones included
filters       filters of convolutions, transformed and laid out for the compiled loops
convolution   compiled loops of Winograd convolution
tiling        sizes and addresses of what these loops hold meanwhile
direct        compiled loops of direct and transposed convolutions
loops         compiled loops over rows: packing, writing, transposing
transforms    innermost loops of the input and output transforms
simd_kernels  the other innermost loops: products, norm, moments
============  =====================================================================================

References
----------
Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016 (arXiv:1509.09308).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["winograd_parts"]


def winograd_parts(network: nn.Module, look: Callable[[], object] | None = None) -> dict[str, Callable[..., Any]]:
    """Return a network's children by name as callables that compute in float32 on the CPU.

    ``network`` is on the CPU and in evaluation mode; it stays as it is, and the callables share its weights where they
    do not transform them. Modules that no kernel computes run in torch. ``look`` is called before the filters of each
    layer are transformed, which takes a second for all of them, and may raise to stop.
    """
    from voxtrace.kernels.winograd.buffer_pool import BufferPool
    from voxtrace.kernels.winograd.replacements import PartReplacement, replaced

    buffers = BufferPool()
    return {name: _part(PartReplacement(replaced(child, buffers, look))) for name, child in network.named_children()}


def _part(inside: nn.Module) -> Callable[..., Any]:
    def run(*tensors: Tensor) -> Any:
        with torch.inference_mode():
            return inside(*tensors)

    return run
