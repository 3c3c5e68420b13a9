"""Modules that take the place of a network's own and compute the same, on the CPU, in float32.

Convolutions have two algorithms. *Direct* visits active kernels only; *dense* is torch's. A ``Pick`` says which: it
gets a key and both as functions, and returns ``"direct"`` or ``"dense"``. Where a kernel is off, the direct algorithm
does not read the input channel: a NaN there spreads through the dense one (0 · NaN is NaN) and not through the direct.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from voxtrace.kernels.sparse.direct import DirectConvolution, DirectTransposed, Moments, fits_direct
from voxtrace.kernels.sparse.elementwise import moments, moved, normalise, pool_maximum
from voxtrace.kernels.sparse.measured_choice import Algorithm

Pick = Callable[[str, Callable[[], object], Callable[[], object]], Algorithm]


@runtime_checkable
class MovingBlock(Protocol):
    """A module that promises to be ``act(norm(conv(moved)))`` of one map, or of several concatenated along channels.

    ``moves(channels)`` gives the slices that each input channel moves: it becomes ``in[z + move]``, 0 outside.
    """

    conv: nn.Conv3d
    norm: nn.InstanceNorm3d
    act: nn.LeakyReLU

    def moves(self, channels: int) -> Sequence[int]:
        """Return slices for each input channel."""
        ...


class MovingBlockReplacement(nn.Module):
    """A moving block that takes one pass over memory to convolve and one to normalise and activate."""

    def __init__(self, block: MovingBlock, pick: Pick) -> None:
        super().__init__()
        self.conv, self.norm, self.negative_slope = block.conv, block.norm, float(block.act.negative_slope)
        self.moves, self.pick = tuple(block.moves(block.conv.in_channels)), pick
        self.direct = DirectConvolution(block.conv, self.moves) if fits_direct(block.conv) else None

    def forward(self, maps: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the activated map (B, Cout, …)."""
        x, sums = self._convolve([maps] if isinstance(maps, Tensor) else list(maps))
        return normalise(x, sums, self.norm, self.negative_slope)

    def _convolve(self, maps: list[Tensor]) -> tuple[Tensor, Moments]:
        direct = self.direct
        if direct is None:
            return self._dense(maps)
        key = f"moved {_described(self.conv, direct.entries)} of {' + '.join(_size(m) for m in maps)}"
        algorithm = self.pick(key, lambda: direct(maps), lambda: self._dense(maps))
        return direct(maps) if algorithm == "direct" else self._dense(maps)

    def _dense(self, maps: list[Tensor]) -> tuple[Tensor, Moments]:
        x = self.conv(moved(maps, self.moves)).contiguous()
        return x, moments(x)


class MaskedConvolutionReplacement(nn.Module):
    """A convolution, or a transposed one, with kernels that are off."""

    def __init__(self, conv: nn.Module, direct: Callable[[Tensor], Tensor], entries: int, pick: Pick) -> None:
        super().__init__()
        self.conv, self.direct, self.entries, self.pick = conv, direct, entries, pick

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolved map (B, Cout, …)."""
        key = f"{_described(self.conv, self.entries)} of {_size(x)}"
        algorithm = self.pick(key, lambda: self.direct(x), lambda: self.conv(x))
        result: Tensor = self.direct(x) if algorithm == "direct" else self.conv(x)
        return result


def masked_convolution(conv: nn.Conv3d, pick: Pick) -> MaskedConvolutionReplacement:
    """Return the replacement of a convolution that ``fits_direct``."""
    direct = DirectConvolution(conv)
    return MaskedConvolutionReplacement(conv, lambda x: direct([x])[0], direct.entries, pick)


def masked_transposed(conv: nn.ConvTranspose3d, pick: Pick) -> MaskedConvolutionReplacement:
    """Return the replacement of a transposed convolution that ``fits_transposed``."""
    direct = DirectTransposed(conv)
    return MaskedConvolutionReplacement(conv, direct, direct.entries, pick)


class MaxPoolReplacement(nn.Module):
    """Maximum pooling without overlap; torch's also notes where each maximum was, which costs more than the search."""

    def __init__(self, pool: nn.MaxPool3d) -> None:
        super().__init__()
        self.stride = stride_of(pool)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maximum of each block of voxels."""
        return pool_maximum(x, self.stride)


def stride_of(pool: nn.MaxPool3d) -> tuple[int, int, int]:
    """Return the stride of a pooling along Z, Y and X."""
    s = pool.stride
    return (s, s, s) if isinstance(s, int) else (s[0], s[1], s[2])


def _described(conv: nn.Module, entries: int) -> str:
    assert isinstance(conv, (nn.Conv3d, nn.ConvTranspose3d))
    kernel = "×".join(map(str, conv.kernel_size))
    return f"{type(conv).__name__} {conv.in_channels}→{conv.out_channels} {kernel}, {entries} on,"


def _size(x: Tensor) -> str:
    """Return channels and size; not the batch, so that an answer does not depend on how many windows run at once."""
    return "×".join(map(str, x.shape[1:]))
