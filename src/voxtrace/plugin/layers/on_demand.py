"""Arrays (I, P, L) in display space whose voxels are computed when a slice is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from voxtrace.volume import Array, Shape

Part = tuple[slice, slice, slice]


class OnDemand(ABC):
    """What napari asks of an array with three axes: shape, dtype and parts of it.

    A subclass computes a part of the canonical grid (Z, Y, X); here the Z axis is reversed, as in every layer.
    """

    ndim = 3

    def __init__(self, shape: Shape, dtype: Any = np.uint8) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)

    @property
    def size(self) -> int:
        """The number of voxels."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """The bytes of all voxels, none of which are kept."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self[:, :, :], dtype)

    def __getitem__(self, key: Any) -> Array:
        whole = _three(key)
        if any(not isinstance(one, (int, np.integer, slice)) for one in whole):
            return self._picked(whole)
        part, flat = _part(whole, self.shape)
        drawn = self.planes(_canonical(part, self.shape), flat)[::-1]
        return np.asarray(drawn[tuple(0 if axis in flat else slice(None) for axis in range(3))])

    def _picked(self, key: tuple[Any, ...]) -> Array:
        """Return voxels at arrays of positions, from the smallest part that holds them all."""
        low, rest = [], []
        for one, n in zip(key, self.shape, strict=True):
            where = np.arange(n)[one] if isinstance(one, slice) else np.asarray(one)
            low.append(slice(int(where.min()), int(where.max()) + 1))
            rest.append(where - where.min() if not isinstance(one, slice) else slice(None))
        return np.asarray(self[tuple(low)][tuple(rest)])

    @abstractmethod
    def planes(self, part: Part, flat: tuple[int, ...]) -> Array:
        """Return a part of the canonical grid (Z, Y, X), with three axes; ``flat`` are those of a single position."""


def _three(key: Any) -> tuple[Any, ...]:
    given = key if isinstance(key, tuple) else (key,)
    if Ellipsis in [one for one in given if not isinstance(one, np.ndarray)]:
        at = next(i for i, one in enumerate(given) if one is Ellipsis)
        given = (*given[:at], *[slice(None)] * (4 - len(given)), *given[at + 1 :])
    return (*given, *[slice(None)] * (3 - len(given)))


def _part(key: tuple[Any, ...], shape: Shape) -> tuple[Part, tuple[int, ...]]:
    slices, flat = [], []
    for axis, (one, n) in enumerate(zip(key, shape, strict=True)):
        if isinstance(one, slice):
            start, stop, _ = one.indices(n)
            slices.append(slice(start, max(start, stop)))
        else:
            at = range(n)[int(one)]
            slices.append(slice(at, at + 1))
            flat.append(axis)
    return (slices[0], slices[1], slices[2]), tuple(flat)


def _canonical(part: Part, shape: Shape) -> Part:
    return slice(shape[0] - part[0].stop, shape[0] - part[0].start), part[1], part[2]
