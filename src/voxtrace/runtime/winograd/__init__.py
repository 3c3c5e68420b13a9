"""Winograd: convolutions in float32 on the CPU with a quarter to an eighth of the multiplications.

Four neighbouring outputs of a row with three taps share six products in place of twelve: along Y and X that is 36 in
place of 144, along all three axes 216 in place of 1,728. What is saved in multiplications is partly spent on adding;
what is left makes a U-Net three times faster than any direct way where processors have no matrix instructions. The
answer differs from the direct one by rounding, by less than a hundred-thousandth of the largest number.

============  ==================================================================
file          what it holds
============  ==================================================================
twins         modules that stand in for a network's own
maps          features: maps whose normalisation and concatenation are yet to do
rooms         memory for maps that is used again
layers        convolutions, strided and transposed ones, too
kernels       their kernels, as compiled loops read them
points        compiled loops of Winograd's way
strips        what they hold meanwhile
direct        compiled loops of direct convolutions and transposed ones
loops         compiled loops over rows: packing, writing, turning
transforms    the innermost loops of Winograd's transforms
instructions  the other innermost loops: products, norm, moments
============  ==================================================================

References
----------
Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016 (arXiv:1509.09308).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from voxtrace.errors import UsageError
from voxtrace.runtime.opened import Opened

__all__ = ["fast_convolutions", "is_leaky", "open_winograd"]


def fast_convolutions(network: nn.Module) -> tuple[int, int]:
    """Return how many convolutions have kernels for Winograd's way, and how many convolutions there are."""
    from voxtrace.runtime.winograd.layers import fits_winograd

    convs = [m for m in network.modules() if isinstance(m, (nn.Conv1d, nn.Conv2d, nn.Conv3d))]
    return sum(type(m) is nn.Conv3d and fits_winograd(m) for m in convs), len(convs)


def is_leaky(module: nn.Module) -> bool:
    """Tell whether a module is a ReLU, or a leaky one, which costs nothing here; others are left to torch."""
    return isinstance(module, (nn.LeakyReLU, nn.ReLU)) and getattr(module, "negative_slope", 0.0) <= 1


def open_winograd(network: nn.Module, device: str, precision: str) -> Opened:
    """Return the network's children on the CPU in float32; see :func:`voxtrace.runtime.open_runtime`.

    Raises
    ------
    UsageError
        Another device or precision was asked for.
    """
    from voxtrace.runtime.winograd.rooms import Rooms
    from voxtrace.runtime.winograd.twins import PartTwin, twin

    if device not in ("auto", "cpu") or precision not in ("auto", "float32"):
        raise UsageError(
            f"runtime 'winograd' computes in float32 on the CPU; device {device!r} and precision {precision!r} were "
            "asked for. Use runtime 'auto'."
        )
    if any(p.device.type != "cpu" for p in network.parameters()):
        network = copy.deepcopy(network).to("cpu")
    fast, convs = fast_convolutions(network)
    rooms = Rooms()
    parts = {name: _part(PartTwin(twin(child, rooms))) for name, child in network.named_children()}
    return Opened(parts, "cpu", "float32", "winograd", f"{fast} of {convs} convolutions by Winograd's way, in float32")


def _part(inside: nn.Module) -> Callable[..., Any]:
    def run(*tensors: Tensor) -> Any:
        with torch.inference_mode():
            return inside(*tensors)

    return run
