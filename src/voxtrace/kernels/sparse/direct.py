"""Direct convolution that visits active kernels only.

A strip is some rows of every input plane that one output slice needs, copied side by side within a border of zeros.
It fits the second-level cache, where every output channel in turn reads it. The copy is also where maps are
concatenated and channels move along depth, so neither costs a pass over memory of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from voxtrace.kernels.sparse import loops
from voxtrace.kernels.sparse.active import Floats, Words, active
from voxtrace.kernels.sparse.tiling import plane_addresses, strip_layout, strip_tasks
from voxtrace.kernels.threads import parallel_for

# (B, C, 2): sum and sum of squares of each map.
Moments = npt.NDArray[np.float64]


def fits_direct(conv: nn.Module) -> bool:
    """Tell whether direct convolution computes this layer: (odd, 3, 3), stride 1, size kept, zeros around."""
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
        # Each plane that any active kernel reads is packed once, in a slot.
        used, self.slot_of_entry = np.unique(kernels.channels * taps + kernels.planes, return_inverse=True)
        # Of each slot: a plane that is read.
        self.channel, self.tap = used // taps, used % taps - taps // 2
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
        batch, _, *size = maps[0].shape
        out = torch.empty((batch, len(self.bias), *size))
        every = np.arange(len(self.bias))
        return out, self.write(maps, plane_addresses([out], every, np.zeros_like(every)))

    def write(self, maps: Sequence[Tensor], targets: Words, *, with_moments: bool = True) -> Moments:
        """Convolve contiguous maps into the planes that begin at ``targets`` (B·Z, Cout), but for those at 0.

        Returns the moments of what was written, or none at all.
        """
        batch, _, depth, height, width = maps[0].shape
        layout = strip_layout(len(self.channel), height, width)
        tasks = strip_tasks(batch, depth, height, layout[0])
        planes = plane_addresses(maps, self.channel, self.move, self.tap)
        sums = np.zeros((len(tasks) if with_moments else 0, len(self.bias), 2))
        entries = (self.first_entry, self.slot_of_entry * layout[2], self.weights, self.bias)
        parallel_for(loops.convolve, len(tasks), tasks, planes, targets, entries, layout, (depth, height, width), sums)
        by_window: Moments = sums.reshape(batch, -1, len(self.bias), 2).sum(1)
        return by_window


class DirectTransposed:
    """A transposed convolution without overlap (kernel = stride), over active kernels only."""

    def __init__(self, conv: nn.ConvTranspose3d) -> None:
        kernels = active(conv.weight.transpose(0, 1), whole=True)
        self.first_entry, self.channels, self.weights = kernels.first_entry, kernels.channels, kernels.weights
        self.n_out = conv.out_channels

    @property
    def entries(self) -> int:
        """Number of active kernels."""
        return len(self.weights)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the larger map (B, Cout, Z·sz, Y·sy, X·sx) float32."""
        shape = tuple(n * s for n, s in zip(x.shape[2:], self.weights.shape[1:], strict=True))
        out = np.empty((x.shape[0], self.n_out, *shape), np.float32)
        source = x.contiguous().numpy()
        tasks = x.shape[0] * x.shape[2] * self.n_out
        parallel_for(loops.convolve_transposed, tasks, source, self.first_entry, self.channels, self.weights, out)
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
