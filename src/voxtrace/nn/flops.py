"""What a network costs: active parameters, and FLOPs in the conventions that papers use.

====================  ================================================  =================  =========
convention            convolution, transposed convolution               norm, per element  attention
====================  ================================================  =================  =========
``true``              2·K·Cin·Cout·V_out; transposed on the input grid   0                  2 a MAC
====================  ================================================  =================  =========

``true`` is what :mod:`torch.utils.flop_counter` counts: two floating-point operations a multiply-add. The other
three conventions come with the methods whose papers use them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from voxtrace.errors import MethodError

CONVENTIONS = ("true",)


def parameters(network: nn.Module) -> int:
    """Return the number of active parameters: kernels switched off by a mask do not count."""
    return sum(p.numel() for p in network.parameters())


def flops(network: nn.Module, shape: Sequence[int], convention: str = "true") -> float:
    """Return the cost in GFLOP of one call on an input of ``shape``, (C, Z, Y, X) or (B, C, Z, Y, X).

    Raises
    ------
    MethodError
        For a convention that is not counted.
    """
    if convention not in CONVENTIONS:
        raise MethodError(f"convention {convention!r} is not counted; choose one of {', '.join(CONVENTIONS)}.")
    size = tuple(shape) if len(shape) == 5 else (1, *shape)
    twin = _on_meta(network)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        twin(torch.empty(size, device="meta"))
    return counter.get_total_flops() / 1e9


def _on_meta(network: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(network).to("meta")
