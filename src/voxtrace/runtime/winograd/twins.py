"""Twins: modules that stand in for a network's own, compute the same, and pass features on."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from torch import Tensor, nn

from voxtrace.runtime.vectors import LANES
from voxtrace.runtime.winograd import is_leaky
from voxtrace.runtime.winograd.layers import Layer, layer_for
from voxtrace.runtime.winograd.maps import Features, Outgoing
from voxtrace.runtime.winograd.rooms import Rooms

Given = Tensor | Features


class ConvolutionTwin(nn.Module):
    """A convolution."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Given) -> Given:
        """Return the convolved map."""
        return self.layer(Features.of(x))


class NormTwin(nn.Module):
    """Instance norm, left to whatever reads the map next."""

    def __init__(self, norm: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.norm = norm
        self.scale, self.shift = _numbers(norm.weight, 1.0), _numbers(norm.bias, 0.0)

    def forward(self, x: Given) -> Any:
        """Return the normalised map; moments come from the convolution before."""
        if not isinstance(x, Features) or len(x.maps) > 1 or not x.maps[0].plain:
            return self.norm(x)
        voxels = x.shape[2:].numel()
        if x.maps[0].moments is None or voxels == 1:
            return self.norm(x)
        mean, square = np.moveaxis(x.maps[0].moments / voxels, 1, 0)
        scale = self.scale / np.sqrt(np.maximum(square - mean * mean, 0) + self.norm.eps)
        shift = self.shift - mean * scale
        return x.with_norm(np.stack([scale, shift], 1).astype(np.float32))


class LeakTwin(nn.Module):
    """ReLU or leaky ReLU, left to whatever reads the map next."""

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.act, self.leak = act, float(getattr(act, "negative_slope", 0.0))

    def forward(self, x: Given) -> Any:
        """Return the activated map."""
        whole = isinstance(x, Features) and all(m.leak == 1.0 and m.raw.shape[4] % LANES == 0 for m in x.maps)
        return x.with_leak(self.leak) if whole and isinstance(x, Features) else self.act(x)


class PartTwin(nn.Module):
    """A part of a network: features end here. Those of whole vectors can be read as they are by the next part."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, *given: Given) -> Any:
        """Return what the part returns, with features that stand for tensors, or tensors."""
        return _outgoing(self.inside(*given))


def _outgoing(given: Any) -> Any:
    if isinstance(given, (list, tuple)):
        return type(given)(_outgoing(one) for one in given)
    if not isinstance(given, Features):
        return given
    return given.planes() if given.shape[1] % LANES else Outgoing(given.maps)


def twin(module: nn.Module, rooms: Rooms) -> nn.Module:
    """Return a copy with twins in place of modules; the rest is shared."""
    layer = layer_for(module, rooms)
    if layer is not None:
        return ConvolutionTwin(layer)
    if isinstance(module, nn.InstanceNorm3d) and not module.track_running_stats:
        return NormTwin(module)
    if is_leaky(module):
        return LeakTwin(module)
    same = copy.copy(module)
    same._modules = {name: None if child is None else twin(child, rooms) for name, child in module._modules.items()}
    return same


def _numbers(parameter: Tensor | None, default: float) -> Any:
    return np.asarray(default) if parameter is None else parameter.detach().double().numpy()
