"""A layer as it is called: kind, shapes, type and memory format."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LARGE = 2**20  # numbers in the map of one window, from which one window is checked in place of two
CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")

# function -> name, axes of a map, names of its arguments in order
LAYERS: dict[Callable[..., Any], tuple[str, int, tuple[str, ...]]] = {
    F.linear: ("linear", 0, ("input", "weight", "bias")),
    torch.conv1d: ("conv1d", 1, CONVOLUTION),
    torch.conv2d: ("conv2d", 2, CONVOLUTION),
    torch.conv3d: ("conv3d", 3, CONVOLUTION),
    torch.conv_transpose1d: ("conv_transpose1d", 1, TRANSPOSED),
    torch.conv_transpose2d: ("conv_transpose2d", 2, TRANSPOSED),
    torch.conv_transpose3d: ("conv_transpose3d", 3, TRANSPOSED),
}
PLAIN_TENSORS = (Tensor, nn.Parameter)

Axes = tuple[int, ...]


@dataclass(frozen=True)
class LayerCall:
    """A call of a layer, without its values.

    Attributes
    ----------
    name
        ``"conv3d"``, ``"conv_transpose2d"``, ``"linear"`` …
    input_shape, weight_shape
        As torch has them; the input has at most two windows along its first axis.
    stride, padding, output_padding, dilation
        One number an axis of the map; padding may be ``"same"`` or ``"valid"``. Rows of a linear layer are an axis.
    dtype
        The type it is computed in.
    channels_last
        Whether input and weight lie in memory with the channels last.
    """

    name: str
    input_shape: Axes
    weight_shape: Axes
    stride: Axes
    padding: Axes | str
    output_padding: Axes
    dilation: Axes
    groups: int
    bias: bool
    dtype: torch.dtype
    channels_last: tuple[bool, bool]

    @property
    def transposed(self) -> bool:
        """Whether the weight is (Cin, Cout/groups, …) and its kernel is spread over the output."""
        return self.name.startswith("conv_transpose")

    @property
    def kernel(self) -> Axes:
        """The kernel's size along each axis of the map; 1 for linear layers, whose rows count as one axis."""
        return self.weight_shape[2:] or (1,)

    @property
    def paddings(self) -> tuple[tuple[int, int], ...]:
        """Zeros before and after the dense map along each axis."""
        if self.padding == "same":
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
            return tuple((n // 2, n - n // 2) for n in total)
        if isinstance(self.padding, str):
            return ((0, 0),) * len(self.kernel)
        return tuple((n, n) for n in self.padding)

    @property
    def sparse_size(self) -> Axes:
        """Windows and voxels of the map with one voxel for each position of the kernel (see :mod:`.exact`)."""
        windows, *size = self.input_shape[:1] + self.input_shape[2:]
        if self.name == "linear":
            return (1, math.prod(self.input_shape[:-1]))
        if self.transposed:
            return (windows, *size)
        axes = zip(size, self.paddings, self.dilation, self.kernel, self.stride, strict=True)
        return (windows, *((n + sum(pads) - d * (k - 1) - 1) // s + 1 for n, pads, d, k, s in axes))

    def arguments(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> dict[str, Any]:
        """Return the arguments of the call with other tensors."""
        if self.name == "linear":
            return {"input": x, "weight": weight, "bias": bias}
        output_padding = {"output_padding": self.output_padding} if self.transposed else {}
        return {
            "input": x,
            "weight": weight,
            "bias": bias,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
            **output_padding,
        }

    def __str__(self) -> str:
        sparse, dense = self.weight_shape[0], self.weight_shape[1] * self.groups
        words = [f"{self.name} {sparse}→{dense}" if self.transposed else f"{self.name} {dense}→{sparse}"]
        if self.name == "linear":
            return f"{words[0]} of {_times(self.input_shape[:-1])} rows"
        words.append(_times(self.kernel))
        words += [f"{what} {_times(given)}" for what, given, usual in self._unusual() if set(given) != {usual}]
        words += [f"groups {self.groups}"] if self.groups > 1 else []
        return f"{' '.join(words)} of {self.input_shape[0]} × {_times(self.input_shape[2:])}"

    def _unusual(self) -> list[tuple[str, Axes, int]]:
        padding = tuple(before for before, _ in self.paddings)
        return [
            *[("stride", self.stride, 1), ("padding", padding, 0), ("dilation", self.dilation, 1)],
            *([("output padding", self.output_padding, 0)] if self.transposed else []),
        ]

    @property
    def key(self) -> str:
        """What a verdict is remembered for: all of it."""
        layout = {(True, True): "channels last", (False, False): "channels first"}
        mixed = f"channels {'last' if self.channels_last[0] else 'first'} in the map alone"
        bias = "with bias" if self.bias else "without bias"
        return f"{self}, {bias}, {str(self.dtype).removeprefix('torch.')}, {layout.get(self.channels_last, mixed)}"


def layer_call(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], dtype: torch.dtype
) -> LayerCall | None:
    """Return the call of a layer computed in ``dtype``; None where there are no values, as while a graph is traced."""
    name, axes, names = LAYERS[function]
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    x, weight, bias = given["input"], given["weight"], given.get("bias")
    if any(type(t) not in PLAIN_TENSORS or t.is_meta for t in (x, weight)) or not x.numel():
        return None
    padding = given.get("padding", 0)
    return LayerCall(
        name=name,
        input_shape=_few(x, axes),
        weight_shape=tuple(weight.shape),
        stride=_each(given.get("stride", 1), axes),
        padding=padding if isinstance(padding, str) else _each(padding, axes),
        output_padding=_each(given.get("output_padding", 0), axes),
        dilation=_each(given.get("dilation", 1), axes),
        groups=given.get("groups", 1),
        bias=bias is not None,
        dtype=dtype,
        channels_last=(_channels_last(x), _channels_last(weight)),
    )


def memory_format(channels_last: bool, ndim: int) -> torch.memory_format:
    """Return torch's name for a memory format of maps with ``ndim`` axes, batch and channels included."""
    if not channels_last:
        return torch.contiguous_format
    return torch.channels_last if ndim == 4 else torch.channels_last_3d


def _few(x: Tensor, axes: int) -> Axes:
    """Return the input's shape with at most two windows; an input without a batch gets one."""
    shape = tuple(x.shape) if axes == 0 or x.ndim == axes + 2 else (1, *x.shape)
    if axes == 0 and len(shape) < 3:
        return shape
    return (min(shape[0], 2 if math.prod(shape[1:]) <= LARGE else 1), *shape[1:])


def _each(value: int | Sequence[int], axes: int) -> Axes:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * max(axes, 1) if len(values) == 1 else values


def _channels_last(x: Tensor) -> bool:
    if x.ndim not in (4, 5) or x.is_contiguous():
        return False
    return x.is_contiguous(memory_format=memory_format(True, x.ndim))


def _times(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes))
