"""Runs a layer on test values in its own precision, and compares what comes out with float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from voxtrace.runtime.arithmetic.exact import Positions, correlated, gathered, grouped, scattered
from voxtrace.runtime.arithmetic.layers import LayerCall, memory_format

LARGEST = 8  # test values are integers up to this: exact in every type, and so are sums of 100,000 products
PATTERN = 65_537  # a prime: the values repeat after it, at another voxel of every channel
ROUNDINGS = 16  # how often a kernel may round a partial sum to its type
FLOAT32_ROUNDING = 2.0**-24
BLOCK = 16  # channels; libraries fill weights up to whole blocks


def disagreements(
    function: Callable[..., Tensor], call: LayerCall, device: torch.device, *, backward: bool
) -> tuple[str, ...]:
    """Return what a layer computes wrongly: ``"output"``, ``"input gradient"``, ``"weight gradient"`` … or nothing.

    ``backward`` compares gradients, too. Values are drawn from a generator of their own; the random state of torch
    stays as it is.
    """
    off = torch.autocast(device.type, enabled=False)
    with torch.inference_mode(False), torch.set_grad_enabled(backward), off:
        probe = _Probe(function, call, device)
        output = probe.output(backward)
        told = {"output": probe.output_differs(output.detach())}
        if backward:
            told |= probe.gradients_differ(output)
    return tuple(what for what, differs in told.items() if differs)


def tolerance(dtype: torch.dtype, products: int) -> float:
    """Return the largest difference from float64, relative to the largest number, of sums of so many products.

    Products are summed in float32 (one rounding a product), partial sums are rounded to the type at most
    ``ROUNDINGS`` times, each time by half a unit in the last place.
    """
    return ROUNDINGS * torch.finfo(dtype).eps / 2 + products * FLOAT32_ROUNDING


class _Probe:
    """A layer with test values."""

    def __init__(self, function: Callable[..., Tensor], call: LayerCall, device: torch.device) -> None:
        self.function, self.call, self.device = function, call, device
        generator = torch.Generator().manual_seed(0)
        self.pattern = torch.randint(-LARGEST, LARGEST + 1, (PATTERN,), generator=generator, dtype=torch.int8)
        self.positions = Positions.drawn(call, call.sparse_size, generator)
        in_weight, in_map = call.channels_last[1], call.channels_last[0]
        n_out = call.weight_shape[1] * call.groups if call.transposed else call.weight_shape[0]
        weight = self._values(call.weight_shape, shift=1)
        self.weight = weight.contiguous(memory_format=memory_format(in_weight, weight.ndim))
        self.bias = self._values((n_out,), shift=2) if call.bias else None
        x = self._values(call.input_shape, shift=3)
        x = self._thinned(x) if call.transposed else x
        self.x = x.contiguous(memory_format=memory_format(in_map, x.ndim))

    def output(self, backward: bool) -> Tensor:
        """Return what the layer gives."""
        for tensor in self._given():
            tensor.requires_grad_(backward)
        _fill_free_memory(self.call, self.device)
        return self.function(**self.call.arguments(self.x, self.weight, self.bias))

    @torch.no_grad()
    def output_differs(self, output: Tensor) -> bool:
        """Tell whether the output is wrong."""
        x, weight = self._map(self.x), grouped(self.call, self.weight)
        bias = torch.zeros(1, device=self.device) if self.bias is None else self.bias
        if not self.call.transposed:
            return self._sums_differ(self._map(output), self.positions.read(x), bias)
        exact = self.positions.written(scattered(self.positions.picked(x), weight), output)
        return self._differs(output, exact + bias.float().view(-1, *[1] * len(self.call.kernel)))

    def gradients_differ(self, output: Tensor) -> dict[str, bool]:
        """Tell which gradients are wrong."""
        values = self._values(tuple(output.shape), shift=4)
        values = values if self.call.transposed else self._thinned(values)
        gradient = torch.empty_like(output).copy_(values)
        _fill_free_memory(self.call, self.device)
        of_x, of_weight, *of_bias = torch.autograd.grad(output, self._given(), gradient)
        with torch.no_grad():
            told = self._of_maps(self._map(of_x), of_weight, self._map(gradient))
            if of_bias:
                exact = self._map(gradient).double().transpose(0, 1).flatten(1).sum(1)
                told["bias gradient"] = self._differs(of_bias[0], exact)
        return told

    def _of_maps(self, of_x: Tensor, of_weight: Tensor, gradient: Tensor) -> dict[str, bool]:
        """Tell whether the gradients of input and weight are wrong."""
        x = self._map(self.x)
        dense, sparse = (gradient, x) if self.call.transposed else (x, gradient)
        met, picked = self.positions.read(dense), self.positions.picked(sparse)
        if self.call.transposed:
            differs = self._sums_differ(of_x, met, torch.zeros(1, device=self.device))
        else:
            added = scattered(picked, grouped(self.call, self.weight))
            differs = self._differs(of_x, self.positions.written(added, of_x))
        exact = correlated(picked, met)
        return {"input gradient": differs, "weight gradient": self._differs(grouped(self.call, of_weight), exact)}

    def _sums_differ(self, found: Tensor, met: Tensor, bias: Tensor) -> bool:
        """Compare a sparse map at the positions; elsewhere it may not exceed what the weights allow."""
        weight = grouped(self.call, self.weight)
        most = LARGEST * (float(weight.abs().sum((2, 3)).max()) + 1) * (1 + tolerance(self.call.dtype, 1))
        within = bool(found.abs().amax() <= most)  # nan is not
        return not within or self._differs(self.positions.picked(found), gathered(met, weight) + bias)

    def _differs(self, found: Tensor, exact: Tensor) -> bool:
        """Tell whether a value is not finite or further from the exact one than the type's rounding explains."""
        products = max(len(self.positions.at), self.weight[0].numel())
        largest = float(exact.abs().amax()) or 1.0
        difference = (found.to(exact.dtype) - exact).abs_().amax()
        return not bool(difference <= largest * tolerance(self.call.dtype, products))  # nan is not

    def _values(self, shape: tuple[int, ...], shift: int) -> Tensor:
        """Return test values in the layer's type."""
        numbers = math.prod(shape)
        pattern = self.pattern.roll(shift * 7919).to(self.device, self.call.dtype)
        return pattern.repeat(-(-numbers // PATTERN))[:numbers].view(shape)

    def _thinned(self, values: Tensor) -> Tensor:
        """Return values at the positions of the kernel that are compared, and 0 elsewhere."""
        sparse = self._map(values)
        kept = self.positions.placed(self.positions.picked(sparse), sparse)
        return kept.movedim(1, -1).reshape(values.shape) if self.call.name == "linear" else kept

    def _map(self, x: Tensor) -> Tensor:
        """Return rows of a linear layer as a map (1, C, rows), other maps as they are."""
        return x.reshape(1, -1, x.shape[-1]).movedim(1, -1) if self.call.name == "linear" else x

    def _given(self) -> list[Tensor]:
        return [t for t in (self.x, self.weight, self.bias) if t is not None]


def _fill_free_memory(call: LayerCall, device: torch.device) -> None:
    """Leave nan in memory that the layer is likely to get, so that numbers it forgets to write are seen."""
    n, m, *kernel = call.weight_shape
    blocks = math.prod((math.ceil(n / BLOCK) * BLOCK, math.ceil(m / BLOCK) * BLOCK, *kernel))
    sizes = [math.prod(call.weight_shape), blocks] * 2
    filled = [
        torch.full((size,), torch.nan, dtype=dtype, device=device)
        for size in sizes
        for dtype in (call.dtype, torch.float32)
    ]
    filled.clear()
