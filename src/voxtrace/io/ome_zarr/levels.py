"""Coarser levels of an image or a label map, which viewers show while they are far away.

An image is averaged over blocks of two voxels along an axis; of labels the first voxel of a block is kept, so that no
label appears that is not there. Axes of 64 voxels or fewer are left as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from voxtrace.volume import Array

_FEW = 64
_MOST_LEVELS = 6


@dataclass(frozen=True, eq=False)
class Level:
    """Voxels ([C,] Z, Y, X), and by which factors they are coarser along z, y, x than the first level's."""

    data: Array
    factors: tuple[int, int, int]


def levels_of(data: Array, *, labels: bool) -> list[Level]:
    """Return the data ([C,] Z, Y, X) itself and its coarser levels, each half as fine as the one before."""
    found = [Level(data, (1, 1, 1))]
    while len(found) < _MOST_LEVELS and max(found[-1].data.shape[-3:]) > _FEW:
        finer = found[-1]
        halved = [2 if n > _FEW else 1 for n in finer.data.shape[-3:]]
        coarser = _first(finer.data, halved) if labels else _mean(finer.data, halved)
        z, y, x = (a * b for a, b in zip(finer.factors, halved, strict=True))
        found.append(Level(coarser, (z, y, x)))
    return found


def _first(data: Array, factors: list[int]) -> Array:
    z, y, x = factors
    return np.ascontiguousarray(data[..., ::z, ::y, ::x])


def _mean(data: Array, factors: list[int]) -> Array:
    """Return means over whole blocks; what is left over at an end is dropped."""
    sizes = [n // factor for n, factor in zip(data.shape[-3:], factors, strict=True)]
    total = np.zeros((*data.shape[:-3], *sizes), np.float64 if data.dtype == np.float64 else np.float32)
    places = list(product(*(range(factor) for factor in factors)))
    for place in places:
        z, y, x = (slice(at, at + n * f, f) for at, n, f in zip(place, sizes, factors, strict=True))
        total += data[..., z, y, x]
    total /= len(places)
    return (total if data.dtype.kind == "f" else np.rint(total)).astype(data.dtype)
