"""DeferredTensor: what flows between layers, channels last, with normalisation and activation still to be done.

A convolution reads its input once anyway, so that is where instance norm, leaky ReLU and concatenation happen; done by
themselves each would take a pass over memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtrace.kernels.threads import parallel_for
from voxtrace.kernels.winograd import loops

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FeatureMap:
    """One map.

    Attributes
    ----------
    raw
        (B, Z, Y, X, C) float32, contiguous.
    moments
        Sum and sum of squares of each channel, (B, 2, C); None if unknown.
    norm
        Scale and shift of each channel, (B, 2, C), still to be applied; None for as it is.
    negative_slope
        Slope for negative numbers, still to be applied; 1 for none.
    """

    raw: Floats
    moments: npt.NDArray[np.float64] | None = None
    norm: Floats | None = None
    negative_slope: float = 1.0

    @property
    def plain(self) -> bool:
        """Whether nothing is left to be done."""
        return self.norm is None and self.negative_slope == 1.0


class DeferredTensor:
    """Maps concatenated along channels. Torch's functions take them for the tensor (B, C, Z, Y, X) that they stand for.

    ``torch.cat`` along channels stays undone; every other function gets the tensor.
    """

    def __init__(self, maps: Sequence[FeatureMap]) -> None:
        self.maps = tuple(maps)
        self._tensor: Tensor | None = None

    @classmethod
    def of(cls, x: Tensor | DeferredTensor) -> DeferredTensor:
        """Return a tensor (B, C, Z, Y, X) float32 as features."""
        if isinstance(x, DeferredTensor):
            return x
        # Memory that is channels last already is shared; plane-by-plane memory is transposed by a compiled loop.
        last = x.movedim(1, -1)
        if last.is_contiguous() or not x.is_contiguous():
            return cls([FeatureMap(last.contiguous().numpy())])
        raw = np.empty(tuple(last.shape), np.float32)
        _transpose(raw, x.numpy(), out=False)
        return cls([FeatureMap(raw)])

    @property
    def shape(self) -> torch.Size:
        """(B, C, Z, Y, X)."""
        b, z, y, x = self.maps[0].raw.shape[:4]
        return torch.Size((b, sum(m.raw.shape[4] for m in self.maps), z, y, x))

    def tensor(self) -> Tensor:
        """Return the tensor, channels last in memory; made once."""
        if self._tensor is None:
            if len(self.maps) > 1 or not self.maps[0].plain:
                self.maps = (FeatureMap(_activated(self)),)
            self._tensor = torch.from_numpy(self.maps[0].raw).movedim(-1, 1)
        return self._tensor

    def planes(self) -> Tensor:
        """Return the tensor, plane after plane in memory, as torch makes it."""
        out = np.empty(tuple(self.shape), np.float32)
        _transpose(self.tensor().movedim(1, -1).numpy(), out, out=True)
        return torch.from_numpy(out)

    def with_norm(self, norm: Floats) -> DeferredTensor:
        """Return a single map with a normalisation to be done."""
        return DeferredTensor([replace(self.maps[0], moments=None, norm=norm)])

    def with_activation(self, negative_slope: float) -> DeferredTensor:
        """Return the maps with an activation to be done."""
        return DeferredTensor([replace(m, moments=None, negative_slope=negative_slope) for m in self.maps])

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], kinds: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Concatenate without moving anything, or call torch with tensors."""
        # Only concatenation along channels stays deferred: every other function needs the values.
        named = dict(kwargs or {})
        if function in (torch.cat, torch.concat) and (named.get("dim", args[1] if len(args) > 1 else 0)) == 1:
            return DeferredTensor([m for x in args[0] for m in DeferredTensor.of(x).maps])
        return function(*_as_tensors(args), **_as_tensors(named))

    def __getattr__(self, name: str) -> Any:
        """Whatever else a tensor has."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.tensor(), name)

    def __getitem__(self, index: Any) -> Tensor:
        """Return a part of the tensor."""
        return self.tensor()[index]

    def __add__(self, other: Any) -> Tensor:
        """Return the sum as a tensor."""
        return torch.add(self.tensor(), _as_tensors(other))

    def __mul__(self, other: Any) -> Tensor:
        """Return the product as a tensor."""
        return torch.mul(self.tensor(), _as_tensors(other))

    __radd__, __rmul__ = __add__, __mul__


class PartOutput(DeferredTensor):
    """What a part returns: the next part reads its maps as they are, all others get it plane by plane, as in torch."""

    def tensor(self) -> Tensor:
        """Return the tensor, plane after plane in memory; made once."""
        if self._tensor is None:
            self._tensor = DeferredTensor(self.maps).planes()
        return self._tensor


def _as_tensors(given: Any) -> Any:
    """Return ``given`` with tensors in the place of features, in lists, tuples and dictionaries, too."""
    if isinstance(given, DeferredTensor):
        return given.tensor()
    if isinstance(given, dict):
        return {key: _as_tensors(value) for key, value in given.items()}
    return type(given)(_as_tensors(v) for v in given) if isinstance(given, (list, tuple)) else given


def reads(features: DeferredTensor) -> tuple[Any, ...]:
    """Return what compiled loops need to pack these maps; see :mod:`voxtrace.kernels.winograd.loops`."""
    batch = len(features.maps[0].raw)
    maps = np.array([[m.raw[b].ctypes.data for m in features.maps] for b in range(batch)], np.int64)
    channels = np.array([m.raw.shape[4] for m in features.maps], np.int64)
    norms = np.zeros((batch, 2, int(channels.sum())), np.float32)
    # Maps without a normalisation are scaled by 1 and shifted by 0.
    norms[:, 0] = 1
    last = np.cumsum(channels)
    for m, end, n in zip(features.maps, last, channels, strict=True):
        if m.norm is not None:
            norms[:, :, end - n : end] = m.norm
    slopes = np.array([m.negative_slope for m in features.maps], np.float32)
    return maps, channels, norms, slopes, np.array([m.plain for m in features.maps])


def _activated(features: DeferredTensor) -> Floats:
    """Return (B, Z, Y, X, C) with everything done."""
    batch, channels, *size = features.shape
    out = np.empty((batch, *size, channels), np.float32)
    parallel_for(
        loops.activate_rows, batch * size[0] * size[1], rows_of(batch, size), reads(features), tuple(size), out
    )
    return out


def _transpose(maps: Floats, planes: Floats, *, out: bool) -> None:
    tasks = rows_of(len(maps), maps.shape[1:4])
    parallel_for(loops.transpose_rows, len(tasks), tasks, maps, planes, out)


def rows_of(batch: int, size: Sequence[int]) -> Words:
    """Return (b, slice, row) of every row, (B·Z·Y, 3)."""
    return np.indices((batch, *size[:2]), np.int64).reshape(3, -1).T.copy()
