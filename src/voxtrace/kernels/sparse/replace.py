"""A copy of a network that shares its weights, with masked convolutions and what surrounds them replaced."""

from __future__ import annotations

import copy
from functools import cache
from typing import Literal, TypeGuard

import torch
from torch import Tensor, nn

from voxtrace.kernels.sparse.direct import DirectConvolution, DirectTransposed, fits_direct, fits_transposed
from voxtrace.kernels.sparse.elementwise import moments, normalise, pool_maximum
from voxtrace.kernels.sparse.measured_choice import Algorithm, machine_choices
from voxtrace.kernels.sparse.replacements import (
    MaxPoolReplacement,
    MovingBlock,
    MovingBlockReplacement,
    Pick,
    masked_convolution,
    masked_transposed,
    stride_of,
)


def with_replacements(network: nn.Module, kernels: Literal["measured"] | Algorithm = "measured") -> nn.Module:
    """Return a copy of ``network`` with replaced modules; ``network`` stays as it is, and the copy shares its weights.

    ``kernels`` is the algorithm of each convolution: the faster one as measured once on this machine, or the same
    everywhere.
    """
    _compile()
    return _replaced(network, _pick(kernels))


def _pick(kernels: Literal["measured"] | Algorithm) -> Pick:
    if kernels != "measured":
        return lambda _key, _direct, _dense: kernels
    # Tasks are shared out by torch's number of threads, so another number is another measurement.
    return lambda key, direct, dense: machine_choices().choose(
        f"{key}, {torch.get_num_threads()} threads", direct, dense
    )


def _replaced(module: nn.Module, pick: Pick) -> nn.Module:
    if is_moving_block(module):
        return MovingBlockReplacement(module, pick)
    if isinstance(module, nn.ConvTranspose3d) and kernels_off(module) and fits_transposed(module):
        return masked_transposed(module, pick)
    if isinstance(module, nn.Conv3d) and kernels_off(module) and fits_direct(module):
        return masked_convolution(module, pick)
    if isinstance(module, nn.MaxPool3d) and blocks_only(module):
        return MaxPoolReplacement(module)
    same = copy.copy(module)
    same._modules = {name: None if child is None else _replaced(child, pick) for name, child in module._modules.items()}
    return same


def is_moving_block(module: nn.Module) -> TypeGuard[MovingBlock]:
    """Tell whether a module is a moving block whose every layer can be replaced."""
    return (
        isinstance(module, MovingBlock)
        and isinstance(module.conv, nn.Conv3d)
        and isinstance(module.norm, nn.InstanceNorm3d)
        and not module.norm.track_running_stats
        and isinstance(module.act, nn.LeakyReLU)
    )


def blocks_only(pool: nn.MaxPool3d) -> bool:
    """Tell whether a pooling's blocks do not overlap and nothing else is unusual about it."""
    stride, kernel = stride_of(pool), pool.kernel_size
    same = stride == ((kernel,) * 3 if isinstance(kernel, int) else tuple(kernel))
    return same and pool.padding == 0 and pool.dilation == 1 and not pool.ceil_mode and not pool.return_indices


def kernels_off(conv: nn.Module) -> bool:
    """Tell whether a convolution has a ``mask`` that switches kernels off."""
    mask = getattr(conv, "mask", None)
    return isinstance(mask, Tensor) and not bool(mask.all())


def sparse_layers(network: nn.Module) -> tuple[int, int]:
    """Return how many convolutions can skip kernels, and how many there are."""
    convs = [m for m in network.modules() if isinstance(m, (nn.Conv3d, nn.ConvTranspose3d))]
    return sum(kernels_off(m) and (fits_direct(m) or fits_transposed(m)) for m in convs), len(convs)


@cache
def _compile() -> None:
    """Compile what is not in numba's cache yet, so that no measurement counts it."""
    x = torch.zeros(1, 1, 2, 2, 2)
    x, _ = DirectConvolution(nn.Conv3d(1, 1, (1, 3, 3), padding=(0, 1, 1)))([x])
    normalise(x, moments(x), nn.InstanceNorm3d(1), 1.0)
    pool_maximum(x, (2, 2, 2))
    DirectTransposed(nn.ConvTranspose3d(1, 1, 2, 2, bias=False))(x)
