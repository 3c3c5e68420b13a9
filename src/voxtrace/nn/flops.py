"""Cost of a network: active parameters, and operations in the conventions of the papers.

With kernel volume K, input and output voxels V_in and V_out:

==============  ======================  ============================  ==============  ================  =======
convention      convolution             transposed convolution         norm, a number  linear, attention  unit
==============  ======================  ============================  ==============  ================  =======
``true``        2·K·Cin·Cout·V_out      2·K·Cin·Cout·V_in              0               2 a MAC           GFLOP
``e2e``         2·K·Cin·Cout·V_out      2·K·Cin·Cout·V_out             0               –                 GFLOP
``thop``        K·Cin·Cout·V_out        K·Cin·Cout·V_out               4               1 a MAC           GMAC
``fvcore-old``  K·Cin·Cout·V_out        K·Cin·Cout·V_out               5               1 a MAC           GMAC
==============  ======================  ============================  ==============  ================  =======

``true`` is what :mod:`torch.utils.flop_counter` counts. ``e2e`` (E2ENet) adds Cout·V_out for convolutions that fuse
features (``module.fuses``). ``thop`` is CDL-UNet's, ``fvcore-old`` Med-DANet's. Where a mask switches kernels off
(``module.active_kernels``), Cin·Cout is the number of those that are on. Biases, activations, softmax, pooling,
shifting and concatenation count 0. A module whose forward multiplies matrices without a layer (attention) returns the
MACs of that from ``module.matmul_macs(*inputs)``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from voxtrace.errors import MethodError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    *(nn.GroupNorm, nn.LayerNorm),
)


@dataclass(frozen=True)
class Convention:
    """What each kind of operation counts; ``per_normalised`` is for each number that a norm writes."""

    per_mac: int
    transposed_on_output: bool
    per_normalised: int
    per_fused: int
    unit: str


CONVENTIONS = {
    "true": Convention(2, False, 0, 0, "GFLOP"),
    "e2e": Convention(2, True, 0, 1, "GFLOP"),
    "thop": Convention(1, True, 4, 0, "GMAC"),
    "fvcore-old": Convention(1, True, 5, 0, "GMAC"),
}


def parameters(network: nn.Module) -> int:
    """Return the number of active parameters: kernels switched off by a mask do not count."""
    total = sum(p.numel() for p in network.parameters())
    for module in network.modules():
        if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
            total -= module.weight.numel() - int(active_kernels(module) or 0) * math.prod(module.kernel_size)
    return total


def flops(network: nn.Module, shape: Sequence[int], convention: str = "true", *, in_memory: bool = False) -> float:
    """Return the cost in GFLOP (``thop``, ``fvcore-old``: GMAC) of one call on an input of ``shape``.

    ``shape`` is (C, Z, Y, X) or (B, C, Z, Y, X). A network with a method ``counted(images)`` is called by that
    instead: one pass through every part that published figures include, e.g. all heads.

    The network is called on shapes alone (the meta device), for which torch first loads its compiler: two seconds in a
    fresh process. With ``in_memory`` it is called on an empty batch instead; its weights must then be in memory, and
    every module in it must keep the batch as the first axis.

    Raises
    ------
    MethodError
        For an unknown convention.
    """
    return sum(_count(network, shape, convention, in_memory).values()) / 1e9


def flops_by_part(network: nn.Module, shape: Sequence[int], convention: str = "true") -> dict[str, float]:
    """Return the cost of each direct child in the call that :func:`flops` counts, by name; 0 if it is not called.

    The parts sum to the whole: what the network computes outside its children is under ``""``, where there is any.
    """
    # Children in order of definition, also those that cost nothing.
    whole = dict.fromkeys([name for name, _ in network.named_children()], 0) | _count(network, shape, convention)
    return {name: operations / 1e9 for name, operations in whole.items()}


def _count(network: nn.Module, shape: Sequence[int], convention: str, in_memory: bool = False) -> dict[str, int]:
    """Return operations by direct child; children without any are left out."""
    if convention not in CONVENTIONS:
        raise MethodError(f"convention {convention!r} is not counted; choose one of {', '.join(CONVENTIONS)}.")
    size = tuple(shape) if len(shape) == 5 else (1, *shape)
    twin = copy.deepcopy(network).eval() if in_memory else copy.deepcopy(network).to("meta").eval()
    images = torch.empty((0, *size[1:])) if in_memory else torch.empty(size, device="meta")
    counts: dict[str, int] = {}

    def counter(part: str, kernels: int | None) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def add(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            # An empty batch counts nothing: put the batch size back into the shapes.
            if in_memory:
                inputs, output = tuple(_in_batch(value, size[0]) for value in inputs), _in_batch(output, size[0])
            done = operations(module, inputs, output, CONVENTIONS[convention], kernels)
            if done:
                counts[part] = counts.get(part, 0) + done

        return add

    # Active kernels are read from the network itself: its copy on the meta device has masks without values.
    for (name, module), shapes_only in zip(network.named_modules(), twin.modules(), strict=True):
        shapes_only.register_forward_hook(counter(name.partition(".")[0], active_kernels(module)))
    call: Callable[..., Any] = getattr(twin, "counted", twin)
    with torch.no_grad():
        call(images)
    return counts


def _in_batch(value: Any, size: int) -> Any:
    """Return a tensor's shape with another batch size, as a tensor without values; other values unchanged."""
    return torch.empty((size, *value.shape[1:]), device="meta") if isinstance(value, Tensor) else value


def operations(
    module: nn.Module, inputs: tuple[Any, ...], output: Any, convention: Convention, kernels: int | None
) -> int:
    """Return the operations of one call of a module without its children; ``kernels`` are those of a convolution."""
    per_mac = convention.per_mac
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
        assert kernels is not None
        on_input = isinstance(module, TRANSPOSED) and not convention.transposed_on_output
        grid = inputs[0] if on_input else output
        voxels: int = grid.shape[0] * math.prod(grid.shape[2:])
        fused = convention.per_fused * int(output.numel()) if getattr(module, "fuses", False) else 0
        return per_mac * math.prod(module.kernel_size) * kernels * voxels + fused
    # Only norms with scale and shift are counted.
    if isinstance(module, NORMS):
        affine = getattr(module, "weight", None) is not None
        return convention.per_normalised * int(output.numel()) if affine else 0
    if isinstance(module, nn.Linear):
        return per_mac * module.in_features * int(output.numel())
    count = getattr(module, "matmul_macs", None)
    return per_mac * int(count(*inputs)) if count is not None else 0


def active_kernels(module: nn.Module) -> int | None:
    """Return how many kernels (one an input and output channel) of a convolution are on; None for other modules."""
    if not isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
        return None
    return int(getattr(module, "active_kernels", module.in_channels * module.out_channels // module.groups))
