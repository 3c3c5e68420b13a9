"""How far a result may be from float64; the part that methods are held to is shipped in :mod:`voxtrace.testing`."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from voxtrace.testing.tolerance import CountedLayers
from voxtrace.testing.tolerance import InFloat64 as InFloat64  # noqa: PLC0414
from voxtrace.testing.tolerance import distance as distance  # noqa: PLC0414
from voxtrace.testing.tolerance import rounding as rounding  # noqa: PLC0414
from voxtrace.testing.tolerance import strayed as strayed  # noqa: PLC0414

Counted = CountedLayers


def assert_close_to_float64(
    a: Tensor, b: Tensor, exact: Tensor, dtype: torch.dtype, *, products: int, roundings: int = 1
) -> None:
    """Check that two ways of computing are each as close to float64 as their type allows (see :func:`rounding`)."""
    allowed = rounding(dtype, products=products, roundings=roundings)
    for name, found in (("the first", a), ("the second", b)):
        away = distance(found, exact)
        assert away <= allowed, (
            f"{name} is {away:.2g} of the largest number away from float64; {allowed:.2g} is allowed"
        )


def apart(found: Tensor, exact: Tensor) -> float:
    """Return the norm of the difference from the float64 result, relative to its norm; inf where not finite."""
    found, exact = found.detach().double(), exact.detach().double()
    if not found.isfinite().all():
        return torch.inf
    return float((found - exact).norm()) / (float(exact.norm()) or 1.0)


def learning_error(network: nn.Module, dtype: torch.dtype, passes: int = 1) -> float:
    """Return how far gradients may be apart from float64 ones, as :func:`apart` measures it.

    Convolution, norm and activation round their maps once each on the way there and on the way back, by half a unit
    in the last place, in every pass through the network; a gradient that is missing is 1 apart.
    """
    layers = [p for p in network.parameters() if p.ndim > 1]
    products = 2 * passes * sum(weight[0].numel() for weight in layers)
    return rounding(dtype, products=products, roundings=3 * passes * len(layers))


def in_float64(module: nn.Module, *inputs: Tensor) -> Any:
    """Return what a module gives in float64, from float32 inputs and weights."""
    wide = copy.deepcopy(module).double()
    with torch.no_grad():
        return wide(*(x.double() if x.is_floating_point() else x for x in inputs))
