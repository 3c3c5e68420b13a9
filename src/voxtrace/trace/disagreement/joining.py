"""Join voxels to regions: thick spots first, then thin borders.

Answers of equal quality still differ by a voxel along most of a surface. Joined as they are, such a shell runs around a
whole organ and from one organ into the next. So a region is a *spot* where a square of a few millimetres fits into it
(a morphological opening), with the thin voxels beside it; what is left is *thin* and joined separately, for each pair
of labels. Gaps of up to ``GAP_MM`` are closed, by joining cells of that size instead of voxels.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from voxtrace.trace.disagreement.differing import DifferingVoxels, Indices
from voxtrace.volume import Array, Shape, Triple

THICK_MM = 3.0
GAP_MM = 2.0

_PLANES = 16  # opened at once

Mask = npt.NDArray[np.bool_]


def join(voxels: DifferingVoxels, shape: Shape, spacing_mm: Triple) -> tuple[Indices, int]:
    """Return the region of each voxel, counted from 0, and how many of them are spots; these come first."""
    where = np.stack(np.unravel_index(voxels.indices, shape))
    if not voxels.indices.size:
        return np.zeros(0, np.int64), 0
    thick = _is_thick(where, spacing_mm)
    cells = where // np.reshape([max(1, round(GAP_MM / s)) for s in spacing_mm], (3, 1))
    region, spots = _spots(cells, thick)
    thin = np.flatnonzero(region < 0)
    region[thin] = spots + _thin_regions(cells[:, thin], _pairs(voxels)[thin])
    return region, spots


def _is_thick(where: Indices, spacing_mm: Triple) -> Mask:
    """Tell which voxels lie in a square of ``THICK_MM`` in the plane of the two finest axes, all of which differ."""
    coarse = int(np.argmax(np.asarray(spacing_mm) - np.array([0.0, 1e-6, 1e-6])))  # of equals, the first axis
    order = (coarse, *(axis for axis in range(3) if axis != coarse))
    low = where.min(1, keepdims=True)
    inside = (where - low)[list(order)]
    mask = np.zeros(tuple(int(n) + 1 for n in inside.max(1)), np.bool_)
    mask[tuple(inside)] = True
    sides = [max(2, round(THICK_MM / spacing_mm[axis])) for axis in order[1:]]
    for start in range(0, len(mask), _PLANES):
        mask[start : start + _PLANES] = _opened(mask[start : start + _PLANES], sides)
    return np.asarray(mask[tuple(inside)])


def _opened(planes: Mask, sides: list[int]) -> Mask:
    """Return what a rectangle that fits into planes (n, Y, X) covers in each of them."""
    opened = planes
    for axis, side in zip((1, 2), sides, strict=True):
        opened = _run(opened, min(side, planes.shape[axis]), axis, np.logical_and)
    for axis, side in zip((1, 2), sides, strict=True):
        reach = min(side, planes.shape[axis]) - 1
        padding = [(reach, reach) if one == axis else (0, 0) for one in range(3)]
        opened = _run(np.pad(opened, padding), reach + 1, axis, np.logical_or)
    return opened


def _run(planes: Mask, length: int, axis: int, combine: np.ufunc) -> Mask:
    """Return each run of ``length`` neighbours along an axis combined to one value; the axis gets shorter."""
    done = 1
    while done < length:
        step = min(done, length - done)
        before = (slice(None),) * axis
        planes = combine(planes[(*before, slice(None, -step))], planes[(*before, slice(step, None))])
        done += step
    return planes


def _spots(cells: Indices, thick: Mask) -> tuple[Indices, int]:
    """Return the spot that each voxel lies in or beside, −1 for the others, and the number of spots."""
    keys, offsets = _keys(cells)
    spot_keys, of_thick = np.unique(keys[thick], return_inverse=True)
    labels, count = _components(spot_keys, offsets)
    found = np.full(keys.size, -1, np.int64)
    found[thick] = labels[of_thick]
    thin_keys, of_thin = np.unique(keys[~thick], return_inverse=True)
    beside = np.full(thin_keys.size, -1, np.int64)
    for offset in (0, *offsets, *(-one for one in offsets)):
        at, there = _look_up(spot_keys, thin_keys + offset)
        beside[there] = np.maximum(beside[there], labels[at[there]])
    found[~thick] = beside[of_thin]
    return found, count


def _thin_regions(cells: Indices, pairs: Indices) -> Indices:
    """Return the region of each voxel, joined among voxels of the same pair of labels."""
    keys, offsets = _keys(cells)
    region, made = np.zeros(pairs.size, np.int64), 0
    for pair in np.unique(pairs):
        own = np.flatnonzero(pairs == pair)
        own_keys, of_own = np.unique(keys[own], return_inverse=True)
        labels, count = _components(own_keys, offsets)
        region[own] = made + labels[of_own]
        made += count
    return region


def _keys(cells: Indices) -> tuple[Indices, tuple[int, ...]]:
    """Return a number for each cell (3, n), and the differences of the numbers of cells that touch, half of them.

    A margin around the cells keeps the numbers of touching cells apart from those across a border.
    """
    if not cells.size:
        return np.zeros(0, np.int64), ()
    inside = cells - cells.min(1, keepdims=True) + 1
    _, ny, nx = (int(n) + 2 for n in inside.max(1))
    strides = (ny * nx, nx, 1)
    around = [np.dot(one, strides) for one in product((-1, 0, 1), repeat=3)]
    keys: Indices = np.tensordot(np.asarray(strides), inside, 1)
    return keys, tuple(int(one) for one in around if one > 0)


def _components(keys: Indices, offsets: tuple[int, ...]) -> tuple[Indices, int]:
    """Return the component of each cell, whose keys ascend, and their number; touching cells are of one component."""
    from scipy.sparse import coo_array  # here: it takes a tenth of a second that opening a panel would wait for
    from scipy.sparse.csgraph import connected_components

    pairs = [np.zeros((2, 0), np.int64)]
    for offset in offsets:
        at, there = _look_up(keys, keys + offset)
        pairs.append(np.stack([np.flatnonzero(there), at[there]]))
    first, second = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(first.size, np.int8), (first, second)), (keys.size, keys.size))
    count, labels = connected_components(graph, directed=False)
    return labels.astype(np.int64), int(count)


def _look_up(keys: Indices, wanted: Indices) -> tuple[Indices, Mask]:
    """Return where each wanted key stands among ascending keys, and whether it is there."""
    if not keys.size:
        return np.zeros(wanted.size, np.int64), np.zeros(wanted.size, np.bool_)
    at = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return at, np.asarray(keys[at] == wanted)


def _pairs(voxels: DifferingVoxels) -> Indices:
    """Return a number for the two labels that each voxel stands between, whichever is shown."""
    sides: Array = np.sort(np.stack([voxels.answer, voxels.other]).astype(np.int64), axis=0)
    return np.asarray(sides[0] * 65536 + sides[1])
