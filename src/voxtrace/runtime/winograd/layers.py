"""Layers on features: convolutions with the kernels of Winograd's way, direct ones, transposed ones."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from voxtrace.runtime.vectors import LANES
from voxtrace.runtime.winograd import loops, points
from voxtrace.runtime.winograd.instructions import COLUMNS
from voxtrace.runtime.winograd.maps import Features, Floats, Map, Words, reads, rows_of
from voxtrace.runtime.winograd.rooms import Rooms
from voxtrace.runtime.workers import share

LEAST_TILES, LEAST_STRIPS = 96, 4  # tiles of a strip, so that kernels are fetched for many; strips, to share out
STRIP_ROWS = 8  # of a direct convolution

# G of Lavin and Gray: kernels of three taps at the points 0, ±1, ±2, ∞ and at 0, ±1, ∞.
SIX = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
FOUR = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]) / 2


class Layer(Protocol):
    """Computes features from features."""

    def __call__(self, x: Features) -> Features:
        """Return a single plain map with its moments."""
        ...


def layer_for(conv: nn.Module, rooms: Rooms) -> Layer | None:
    """Return the fastest layer that computes what ``conv`` does, or None; its maps are made in ``rooms``."""
    if type(conv) is nn.ConvTranspose3d and _is_usual(conv) and conv.kernel_size == conv.stride:
        unpadded = not any((*conv.padding, *conv.output_padding))
        return Enlarging(conv, rooms) if unpadded else None
    if type(conv) is not nn.Conv3d or not _is_usual(conv) or isinstance(conv.padding, str):
        return None  # a class derived from it may compute something else
    return Winograd(conv, rooms) if fits_winograd(conv) else Direct(conv, rooms)


def _is_usual(conv: nn.Conv3d | nn.ConvTranspose3d) -> bool:
    return conv.groups == 1 and {*conv.dilation} == {1} and conv.padding_mode == "zeros"


def fits_winograd(conv: nn.Conv3d) -> bool:
    """Tell whether a convolution has 3×3×3 or 1×3×3 taps and stride 1, keeps the size, and reads whole vectors."""
    kernel = conv.kernel_size
    same = conv.padding == (kernel[0] // 2, 1, 1) and {*conv.stride} == {1}
    return kernel[0] in (1, 3) and kernel[1:] == (3, 3) and same and conv.in_channels % LANES == 0


class Winograd:
    """A convolution with 3×3×3 or 1×3×3 taps by F(4×4, 3×3) in plane and F(2, 3) along Z."""

    def __init__(self, conv: nn.Conv3d, rooms: Rooms) -> None:
        self.rooms = rooms
        self.weights, self.bias = transformed(conv.weight), _bias(conv)

    def __call__(self, x: Features) -> Features:
        """Return the convolved map."""
        batch, _, depth, height, width = x.shape
        slices = 2 if len(self.weights) > 1 else 1
        rows, across = (-(-n // points.TILE) for n in (height, width))
        most = rows * -(-depth // slices) // LEAST_STRIPS
        strips = max(1, min(-(-LEAST_TILES // across), rows, most))  # rows of tiles in a strip
        tasks = _grid(range(batch), range(0, depth, slices), range(0, height, points.TILE * strips))
        out, sums = _answer(self.rooms, batch, (depth, height, width), self.bias, tasks)
        share(points.convolve_winograd, len(tasks), tasks, reads(x), self.weights, self.bias, strips, out, sums)
        return _counted(out, sums, tasks)


class Direct:
    """A convolution with kernels of any size and stride, tap by tap."""

    def __init__(self, conv: nn.Conv3d, rooms: Rooms) -> None:
        self.rooms = rooms
        self.kernel = np.array([conv.kernel_size, conv.stride, conv.padding], np.int64)
        w = conv.weight.detach().float().permute(2, 3, 4, 1, 0)  # Z, Y, X, Cin, Cout
        self.weights = _columns(w.reshape(w.shape[0] * w.shape[1], -1, w.shape[-1])).transpose(1, 0, 2, 3).copy()
        self.bias = _bias(conv)

    def __call__(self, x: Features) -> Features:
        """Return the convolved map."""
        batch, _, *size = x.shape
        taps, stride, pad = self.kernel.tolist()
        shape = tuple((n + 2 * p - t) // s + 1 for n, t, s, p in zip(size, taps, stride, pad, strict=True))
        corners = _grid(range(batch), range(shape[0]), range(0, shape[1], STRIP_ROWS))
        tasks = np.column_stack([corners, np.minimum(STRIP_ROWS, shape[1] - corners[:, 2])])
        out, sums = _answer(self.rooms, batch, shape, self.bias, tasks)
        given = (tasks, reads(x), tuple(size), self.kernel, self.weights, self.bias, out, sums)
        share(loops.convolve_direct, len(tasks), *given)
        return _counted(out, sums, tasks)


class Enlarging:
    """A transposed convolution without overlap: kernel = stride."""

    def __init__(self, conv: nn.ConvTranspose3d, rooms: Rooms) -> None:
        self.rooms = rooms
        self.stride = np.array(conv.stride, np.int64)
        w = conv.weight.detach().float().permute(2, 3, 4, 0, 1)
        self.weights = _columns(w.reshape(-1, *w.shape[3:]))
        self.bias = _bias(conv)

    def __call__(self, x: Features) -> Features:
        """Return the larger map."""
        batch, _, *size = x.shape
        tasks = rows_of(batch, size)
        shape = tuple(n * s for n, s in zip(size, self.stride.tolist(), strict=True))
        out, sums = _answer(self.rooms, batch, shape, self.bias, tasks)
        given = (tasks, reads(x), tuple(size), self.stride, self.weights, self.bias, out, sums)
        share(loops.enlarge, len(tasks), *given)
        return _counted(out, sums, tasks)


def transformed(weight: Tensor) -> Floats:
    """Return kernels (Cout, Cin, 1 or 3, 3, 3) at Winograd's points, (1 or 4, 6, 6, columns, Cin, 16)."""
    w = weight.detach().double().cpu().numpy()
    along_z = FOUR if w.shape[2] == 3 else np.ones((1, 1))
    u = np.einsum("az,by,cx,oizyx->abcio", along_z, SIX, SIX, w, optimize=True)
    return _columns(torch.from_numpy(u))


def _columns(weights: Tensor) -> Floats:
    """Return (…, Cin, Cout) as (…, Cout / 16 rounded up, Cin, 16), padded with zeros."""
    missing = -weights.shape[-1] % COLUMNS
    padded = nn.functional.pad(weights, (0, missing)).float()
    split = padded.reshape(*padded.shape[:-1], -1, COLUMNS)
    columns: Floats = split.transpose(-2, -3).contiguous().cpu().numpy()
    return columns


def _bias(conv: nn.Conv3d | nn.ConvTranspose3d) -> Floats:
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias
    values: Floats = bias.detach().float().cpu().numpy().copy()
    return values


def _grid(*axes: range) -> Words:
    return np.stack(np.meshgrid(*(np.array(axis, np.int64) for axis in axes), indexing="ij"), -1).reshape(-1, len(axes))


def _answer(rooms: Rooms, batch: int, shape: tuple[int, ...], bias: Floats, tasks: Words) -> tuple[Floats, Any]:
    """Return where maps and moments go."""
    return rooms.take((batch, *shape, len(bias))), np.zeros((len(tasks), 2 * len(bias)))


def _counted(out: Floats, sums: Any, tasks: Words) -> Features:
    """Return a map with the moments of its tasks, which come batch by batch."""
    moments = sums.reshape(len(out), len(tasks) // len(out), 2, -1).sum(1)
    return Features([Map(out, moments)])
