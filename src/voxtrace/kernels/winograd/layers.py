"""Layers on deferred tensors: Winograd convolutions, direct ones, transposed ones."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from voxtrace.kernels.llvm_simd import LANES
from voxtrace.kernels.threads import parallel_for
from voxtrace.kernels.winograd import convolution, direct
from voxtrace.kernels.winograd.buffer_pool import BufferPool
from voxtrace.kernels.winograd.deferred import DeferredTensor, FeatureMap, Words, reads, rows_of
from voxtrace.kernels.winograd.filters import bias_of, in_columns, transform_filters, transform_for
from voxtrace.kernels.winograd.tiling import TILE

# Filters are read once for all tiles of a strip, so a strip needs many; threads need several strips to share.
LEAST_TILES, LEAST_STRIPS = 24, 4
# A task is a run of strips that reuse rows of one another; threads need many tasks to share.
MOST_STEPS, LEAST_TASKS = 8, 32
# Cin · Cout up to which transformed filters of strided convolutions stay in the caches.
MOST_STRIDED = 64 * 128
STRIP_ROWS, STRIP_SLICES = 4, 4  # of a direct convolution


class Layer(Protocol):
    """Computes a deferred tensor from one."""

    def __call__(self, x: DeferredTensor) -> DeferredTensor | Tensor:
        """Return one plain map with its moments; a torch tensor where channels do not fill whole vectors."""
        ...


def layer_for(conv: nn.Module, buffers: BufferPool) -> Layer | None:
    """Return the fastest layer that computes what ``conv`` does, or None; its results are allocated in ``buffers``."""
    if type(conv) is nn.ConvTranspose3d and _is_usual(conv) and conv.kernel_size == conv.stride:
        unpadded = not any((*conv.padding, *conv.output_padding))
        return TransposedLayer(conv, buffers) if unpadded else None
    if type(conv) is not nn.Conv3d or not _is_usual(conv) or isinstance(conv.padding, str):
        # A derived class may compute something else, so only the exact types are replaced.
        return None
    return WinogradLayer(conv, buffers) if fits_winograd(conv) else DirectLayer(conv, buffers)


def _is_usual(conv: nn.Conv3d | nn.ConvTranspose3d) -> bool:
    return conv.groups == 1 and {*conv.dilation} == {1} and conv.padding_mode == "zeros"


def fits_winograd(conv: nn.Conv3d) -> bool:
    """Tell whether a convolution has 3×3×3 or 1×3×3 taps and padding 1, stride 1 or 2, and Cin of whole vectors.

    With stride 2 transformed filters are up to 27 times as large, which pays only while they fit the caches.
    """
    (taps, *in_plane), (step, *steps) = conv.kernel_size, conv.stride
    usual = taps in (1, 3) and in_plane == [3, 3] and conv.padding == (taps // 2, 1, 1)
    if not usual or conv.in_channels % LANES or step not in (1, taps // 2 + 1) or steps not in ([1, 1], [2, 2]):
        return False
    return {*conv.stride} == {1} or conv.in_channels * conv.out_channels <= MOST_STRIDED


class WinogradLayer:
    """A convolution with 3×3×3 or 1×3×3 taps by F(4, 3) along every axis that has three, or F(4, 2) of strides."""

    def __init__(self, conv: nn.Conv3d, buffers: BufferPool) -> None:
        self.buffers, self.n_out, self.stride = buffers, conv.out_channels, conv.stride
        weight = _without_zeros(conv)
        transforms = [transform_for(*axis) for axis in zip(weight.shape[2:], conv.stride, strict=True)]
        self.weights, self.bias = transform_filters(weight, transforms), bias_of(conv)
        self.factors = np.ascontiguousarray(transforms[0].output_transform, np.float32)

    def __call__(self, x: DeferredTensor) -> DeferredTensor | Tensor:
        """Return the convolved map."""
        # Strips are as short as the number of tiles for one read of the filters allows, so that threads share many.
        batch, _, *size = x.shape
        depth, height, width = shape = tuple(-(-n // s) for n, s in zip(size, self.stride, strict=True))
        slices = len(self.factors)
        rows, across = (-(-n // TILE) for n in (height, width))
        most = rows * -(-depth // slices) // LEAST_STRIPS
        strip = max(1, min(-(-LEAST_TILES // across), rows, most))  # rows of tiles at once
        steps = max(1, min(MOST_STEPS, -(-rows // strip) * -(-depth // slices) // LEAST_TASKS))
        tasks = _grid(range(batch), range(0, depth, slices), range(0, height, TILE * strip * steps))
        answer = LayerOutput(self.buffers, batch, shape, self.n_out, tasks)
        kernels = (self.weights, self.factors, self.bias)
        given = (tasks, reads(x), tuple(size), *kernels, strip, steps, answer.maps, answer.sums)
        parallel_for(convolution.convolve_winograd, len(tasks), *given)
        return answer.features()


def _without_zeros(conv: nn.Conv3d) -> Tensor:
    """Return the kernels (Cout, Cin, Z, Y, X): as 1×3×3 where those of 3×3×3 hold zeros above and below."""
    weight = conv.weight.detach()
    if conv.stride[0] == 1 and weight.shape[2] == 3 and not weight[:, :, [0, 2]].any():
        return weight[:, :, 1:2]
    return weight


class DirectLayer:
    """A convolution with kernels of any size and stride, tap by tap."""

    def __init__(self, conv: nn.Conv3d, buffers: BufferPool) -> None:
        self.buffers, self.n_out = buffers, conv.out_channels
        self.kernel = np.array([conv.kernel_size, conv.stride, conv.padding], np.int64)
        w = conv.weight.detach().float().permute(2, 3, 4, 1, 0)  # Z, Y, X, Cin, Cout
        self.weights = in_columns(w.reshape(w.shape[0] * w.shape[1], -1, w.shape[-1])).transpose(1, 0, 2, 3).copy()
        self.bias = bias_of(conv)

    def __call__(self, x: DeferredTensor) -> DeferredTensor | Tensor:
        """Return the convolved map."""
        batch, _, *size = x.shape
        taps, stride, pad = self.kernel.tolist()
        shape = tuple((n + 2 * p - t) // s + 1 for n, t, s, p in zip(size, taps, stride, pad, strict=True))
        b, z, y = _grid(range(batch), range(0, shape[0], STRIP_SLICES), range(0, shape[1], STRIP_ROWS)).T
        tasks = np.stack([b, z, np.minimum(STRIP_SLICES, shape[0] - z), y, np.minimum(STRIP_ROWS, shape[1] - y)], 1)
        answer = LayerOutput(self.buffers, batch, shape, self.n_out, tasks)
        given = (tasks, reads(x), tuple(size), self.kernel, self.weights, self.bias, answer.maps, answer.sums)
        parallel_for(direct.convolve_direct, len(tasks), *given)
        return answer.features()


class TransposedLayer:
    """A transposed convolution without overlap: kernel = stride."""

    def __init__(self, conv: nn.ConvTranspose3d, buffers: BufferPool) -> None:
        self.buffers, self.n_out = buffers, conv.out_channels
        self.stride = np.array(conv.stride, np.int64)
        w = conv.weight.detach().float().permute(2, 3, 4, 0, 1)
        self.weights = in_columns(w.reshape(-1, *w.shape[3:]))
        self.bias = bias_of(conv)

    def __call__(self, x: DeferredTensor) -> DeferredTensor | Tensor:
        """Return the larger map."""
        batch, _, *size = x.shape
        tasks = rows_of(batch, size)
        shape = tuple(n * s for n, s in zip(size, self.stride.tolist(), strict=True))
        answer = LayerOutput(self.buffers, batch, shape, self.n_out, tasks)
        given = (tasks, reads(x), tuple(size), self.stride, self.weights, self.bias, answer.maps, answer.sums)
        parallel_for(direct.convolve_transposed, len(tasks), *given)
        return answer.features()


def _grid(*axes: range) -> Words:
    return np.stack(np.meshgrid(*(np.array(axis, np.int64) for axis in axes), indexing="ij"), -1).reshape(-1, len(axes))


class LayerOutput:
    """Memory for a layer's result and its moments: channels last if they fill whole vectors, else as torch has it."""

    def __init__(self, buffers: BufferPool, batch: int, shape: tuple[int, ...], channels: int, tasks: Words) -> None:
        self.whole = channels % LANES == 0
        self.buffer = buffers.acquire((batch, *shape, channels) if self.whole else (batch, channels, *shape))
        self.maps = self.buffer if self.whole else np.moveaxis(self.buffer, 1, -1)
        self.sums = np.zeros((len(tasks), 2 * channels))

    def features(self) -> DeferredTensor | Tensor:
        """Return the map with the moments of its tasks, which come batch by batch; or planes, which have none."""
        if not self.whole:
            return torch.from_numpy(self.buffer)
        batch = len(self.buffer)
        moments = self.sums.reshape(batch, len(self.sums) // batch, 2, -1).sum(1)
        return DeferredTensor([FeatureMap(self.buffer, moments)])
