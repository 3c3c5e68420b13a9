"""How far a result may be from float64: from the number type and the products summed, not from what a machine gave."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map


def rounding(dtype: torch.dtype, *, products: int, roundings: int = 1) -> float:
    """Return the largest error of a sum of ``products``, relative to the largest number that goes into it.

    Products are summed in float32 or better, each sum rounded by at most half a unit in the last place;
    ``roundings`` results are rounded to ``dtype`` one after another, such as the maps between layers.
    """
    accumulated = min(torch.finfo(dtype).eps, torch.finfo(torch.float32).eps)
    return roundings * torch.finfo(dtype).eps + products * accumulated / 2


def strayed(products: int) -> int:
    """Return to how many half units the errors of many products add up, for :func:`rounding`.

    Errors lie on either side, so their sum strays as a random walk does: by 6·√n, six deviations, at most.
    """
    return min(products, math.ceil(6 * math.sqrt(products)))


def distance(found: Tensor, exact: Tensor) -> float:
    """Return the largest difference from the float64 result, relative to its largest number; inf where not finite."""
    if exact.dtype is not torch.float64 or found.shape != exact.shape:
        raise ValueError(f"{tuple(found.shape)} is compared with {tuple(exact.shape)} {exact.dtype}; expected float64.")
    found, exact = found.detach(), exact.detach()
    if not found.isfinite().all():
        return torch.inf
    return float((found.double() - exact).abs().max()) / (float(exact.abs().max()) or 1.0)


class InFloat64(TorchFunctionMode):
    """Inside, every float32 tensor that a torch function is given is float64: a network computes in float64.

    Gradients of the network's own weights are float32, rounded once.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if function is Tensor.__deepcopy__:  # computes nothing, and its memo of all copies so far is a long walk
            return function(*args, **(kwargs or {}))
        args, kwargs = tree_map(_wide, (tuple(args), dict(kwargs or {})))
        return function(*args, **kwargs)


def _wide(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.dtype is torch.float32 else value


class CountedLayers:
    """Inside, counts what the layers of a whole network sum and round, each time they run; see :func:`rounding`.

    A layer with weights rounds its map, and the norm and the activation after it round it again.
    """

    def __init__(self, network: nn.Module) -> None:
        self.products = self.roundings = 0
        layers = [m for m in network.modules() if isinstance(w := getattr(m, "weight", None), Tensor) and w.ndim > 1]
        self._layers, self._hooks = layers, list[Any]()

    def __enter__(self) -> Self:
        self._hooks = [layer.register_forward_hook(self._count) for layer in self._layers]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    @property
    def counts(self) -> dict[str, int]:
        """As :func:`rounding` takes them."""
        return {"products": strayed(self.products), "roundings": self.roundings}

    def rounding(self, dtype: torch.dtype = torch.float32) -> float:
        """Return how far an answer may be from float64 by what was counted so far."""
        return rounding(dtype, **self.counts)

    def _count(self, layer: Any, inputs: Any, answer: Any) -> None:
        weight = layer.weight
        if isinstance(layer, (nn.ConvTranspose2d, nn.ConvTranspose3d)):  # stores its inputs first
            self.products += weight[:, 0].numel() // math.prod(layer.stride)
        else:
            self.products += weight[0].numel()
        self.roundings += 3
