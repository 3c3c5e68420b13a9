"""Modules that take the place of a network's own, compute the same, and pass deferred tensors on."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from voxtrace.kernels.llvm_simd import LANES
from voxtrace.kernels.winograd.buffer_pool import BufferPool
from voxtrace.kernels.winograd.coverage import is_leaky
from voxtrace.kernels.winograd.deferred import DeferredTensor, FeatureMap, PartOutput
from voxtrace.kernels.winograd.layers import Layer, layer_for

Given = Tensor | DeferredTensor


class ConvolutionReplacement(nn.Module):
    """A convolution."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Given) -> Given:
        """Return the convolved map."""
        return self.layer(DeferredTensor.of(x))


class DeferredNorm(nn.Module):
    """Instance norm, left to whatever reads the map next."""

    def __init__(self, norm: nn.InstanceNorm3d) -> None:
        super().__init__()
        self.norm = norm
        self.scale, self.shift = _numbers(norm.weight, 1.0), _numbers(norm.bias, 0.0)

    def forward(self, x: Given) -> Any:
        """Return the normalised map; moments come from the convolution before."""
        if not isinstance(x, DeferredTensor) or len(x.maps) > 1 or not x.maps[0].plain:
            return self.norm(x)
        voxels = x.shape[2:].numel()
        if x.maps[0].moments is None or voxels == 1:
            return self.norm(x)
        # Var = E[x²] − E[x]² in float64; rounding may take it below 0.
        mean, square = np.moveaxis(x.maps[0].moments / voxels, 1, 0)
        scale = self.scale / np.sqrt(np.maximum(square - mean * mean, 0) + self.norm.eps)
        shift = self.shift - mean * scale
        return x.with_norm(np.stack([scale, shift], 1).astype(np.float32))


class DeferredActivation(nn.Module):
    """ReLU or leaky ReLU, left to whatever reads the map next."""

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.act, self.negative_slope = act, float(getattr(act, "negative_slope", 0.0))

    def forward(self, x: Given) -> Any:
        """Return the activated map."""
        if isinstance(x, DeferredTensor) and all(_takes_activation(m) for m in x.maps):
            return x.with_activation(self.negative_slope)
        return self.act(x)


def _takes_activation(features: FeatureMap) -> bool:
    """Tell whether a map has no activation waiting yet, and channels that fill whole vectors."""
    return features.negative_slope == 1.0 and features.raw.shape[4] % LANES == 0


class PartReplacement(nn.Module):
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
    if not isinstance(given, DeferredTensor):
        return given
    return given.planes() if given.shape[1] % LANES else PartOutput(given.maps)


def replaced(module: nn.Module, buffers: BufferPool, look: Callable[[], object] | None = None) -> nn.Module:
    """Return a copy with replaced modules; the rest is shared. ``look`` is called for each and may raise to stop."""
    if look is not None:
        look()
    layer = layer_for(module, buffers)
    if layer is not None:
        return ConvolutionReplacement(layer)
    if isinstance(module, nn.InstanceNorm3d) and not module.track_running_stats:
        return DeferredNorm(module)
    if is_leaky(module):
        return DeferredActivation(module)
    same = copy.copy(module)
    children = module._modules.items()
    same._modules = {name: None if child is None else replaced(child, buffers, look) for name, child in children}
    return same


def _numbers(parameter: Tensor | None, default: float) -> Any:
    return np.asarray(default) if parameter is None else parameter.detach().double().numpy()
