"""The direct way: a convolution that visits active kernels only.

A strip is some rows of every input plane that one output slice needs, copied side by side within a border of zeros.
It fits the second-level cache, where every output channel in turn reads it. The copy is also where maps are
concatenated and channels move along depth, so neither costs a pass over memory of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from voxtrace.runtime.sparse import loops
from voxtrace.runtime.sparse.active import Floats, Words, active
from voxtrace.runtime.sparse.lanes import TILE_COLUMNS, TILE_ROWS
from voxtrace.runtime.sparse.workers import share

Moments = npt.NDArray[np.float64]  # (B, C, 2): sum and sum of squares of each map
Layout = tuple[int, int, int]  # rows of a strip; floats from row to row and from plane to plane
STRIP_BYTES = 400_000
LINE = loops.CACHE_LINE // loops.FLOAT_BYTES


def fits_direct(conv: nn.Module) -> bool:
    """Tell whether the direct way computes this convolution: (odd, 3, 3), stride 1, size kept, zeros around."""
    if not isinstance(conv, nn.Conv3d) or conv.groups != 1 or conv.padding_mode != "zeros":
        return False
    depth = conv.kernel_size[0]
    same = conv.padding == (depth // 2, 1, 1)
    return depth % 2 == 1 and conv.kernel_size[1:] == (3, 3) and same and {*conv.stride, *conv.dilation} == {1}


class DirectConvolution:
    """A convolution of maps (B, Ci, Z, Y, X), concatenated along channels and moved along depth first.

    Parameters
    ----------
    conv
        One that :func:`fits_direct`.
    moves
        Slices for each input channel, Cin integers: it reads ``in[z + move]``, and 0 outside. None: all stay.
    """

    def __init__(self, conv: nn.Conv3d, moves: Sequence[int] | None = None) -> None:
        kernels, taps = active(conv.weight), conv.kernel_size[0]
        self.first_entry, self.weights = kernels.first_entry, kernels.weights
        used, self.slot_of_entry = np.unique(kernels.channels * taps + kernels.planes, return_inverse=True)
        self.channel, self.tap = used // taps, used % taps - taps // 2  # of each slot: a plane that is read
        self.move = np.asarray(moves or [0] * conv.in_channels, np.int64)[self.channel]
        bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias
        self.bias: Floats = bias.detach().float().cpu().numpy().copy()

    @property
    def entries(self) -> int:
        """Kernel planes that are computed."""
        return len(self.weights)

    def __call__(self, maps: Sequence[Tensor]) -> tuple[Tensor, Moments]:
        """Return the convolved map (B, Cout, Z, Y, X) float32, and its moments."""
        maps = [m.contiguous() for m in maps]
        batch, _, depth, height, width = maps[0].shape
        layout = strip_layout(len(self.channel), height, width)
        firsts = np.arange(0, height, layout[0])
        tasks = np.stack(np.meshgrid(np.arange(batch), np.arange(depth), firsts, indexing="ij"), -1).reshape(-1, 3)
        out = np.empty((batch, len(self.bias), depth, height, width), np.float32)
        sums = np.empty((len(tasks), len(self.bias), 2))
        entries = (self.slot_of_entry * layout[2], self.weights, self.bias)
        planes = self._addresses(maps)
        share(loops.convolve, len(tasks), tasks, planes, self.first_entry, entries, layout, out, sums)
        return torch.from_numpy(out), sums.reshape(batch, -1, len(self.bias), 2).sum(1)

    def _addresses(self, maps: Sequence[Tensor]) -> Words:
        """Return where each plane that is read begins, (B·Z, slots); 0 where it lies outside the volume."""
        batch, _, depth, height, width = maps[0].shape
        z = np.arange(depth)[:, None]
        tap = z + self.tap
        source = tap + self.move
        inside = (tap >= 0) & (tap < depth) & (source >= 0) & (source < depth)
        plane, bounds = height * width, np.cumsum([0, *(m.shape[1] for m in maps)])
        addresses = np.zeros((batch, depth, len(self.channel)), np.int64)
        for map_, (start, stop) in zip(maps, pairwise(bounds), strict=True):
            mine = (self.channel >= start) & (self.channel < stop)
            channel = np.arange(batch)[:, None, None] * (stop - start) + (self.channel - start)
            where = map_.data_ptr() + loops.FLOAT_BYTES * plane * (channel * depth + source)
            addresses = np.where(mine & inside, where, addresses)
        return addresses.reshape(batch * depth, -1)


def strip_layout(slots: int, height: int, width: int) -> Layout:
    """Return rows of a strip, and floats from row to row and from plane to plane.

    As many whole tiles of rows as the cache holds. A plane is an odd number of cache lines, because planes a power of
    two apart would push one another out of the cache.
    """
    row = -(-width // TILE_COLUMNS) * TILE_COLUMNS + LINE
    tiles = max(1, (STRIP_BYTES // (loops.FLOAT_BYTES * row * max(1, slots)) - 2) // TILE_ROWS)
    rows = TILE_ROWS * min(tiles, -(-height // TILE_ROWS))
    lines = -(-(rows + 2) * row // LINE)
    return rows, row, (lines | 1) * LINE


class DirectTransposed:
    """A transposed convolution without overlap (kernel = stride), over active kernels only."""

    def __init__(self, conv: nn.ConvTranspose3d) -> None:
        kernels = active(conv.weight.transpose(0, 1), whole=True)
        self.first_entry, self.channels, self.weights = kernels.first_entry, kernels.channels, kernels.weights
        self.n_out = conv.out_channels

    @property
    def entries(self) -> int:
        """Kernels that are computed."""
        return len(self.weights)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the larger map (B, Cout, Z·sz, Y·sy, X·sx) float32."""
        shape = tuple(n * s for n, s in zip(x.shape[2:], self.weights.shape[1:], strict=True))
        out = np.empty((x.shape[0], self.n_out, *shape), np.float32)
        source = x.contiguous().numpy()
        tasks = x.shape[0] * x.shape[2] * self.n_out
        share(loops.convolve_transposed, tasks, source, self.first_entry, self.channels, self.weights, out)
        return torch.from_numpy(out)


def fits_transposed(conv: nn.Module) -> bool:
    """Tell whether :class:`DirectTransposed` computes this: kernel = stride, no bias, nothing else unusual."""
    return (
        isinstance(conv, nn.ConvTranspose3d)
        and conv.kernel_size == conv.stride
        and conv.bias is None
        and conv.groups == 1
        and {*conv.padding, *conv.output_padding} == {0}
        and {*conv.dilation} == {1}
    )
