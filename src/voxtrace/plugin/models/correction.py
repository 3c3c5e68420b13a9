"""Corrections of one label of a label map: smooth, grow, keep the largest piece, fill between slices.

Masks are boolean (Z, Y, X); lengths are mm, volumes mL. Every function works in the bounding box of what it looks
at, so time and memory are those of the label, not of the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from voxtrace.volume import Array, Triple

Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]
Kind = Literal["smooth", "median", "largest", "islands", "holes", "grow", "shrink", "between"]
Scope = Literal["slice", "volume", "visible"]

_TOUCHING = np.ones((3, 3, 3), bool)  # faces, edges and corners: 26 neighbours
_GAUSSIAN_REACH = 4.0  # standard deviations


@dataclass(frozen=True)
class Tool:
    """What a correction is called, what its number means, and what it does."""

    title: str
    amount: str  # of the number, with its unit; "" where there is none
    default: float
    sentence: str


TOOLS: Mapping[Kind, Tool] = {
    "smooth": Tool("Smooth", "mm", 1.0, "Gaussian with this standard deviation; the volume stays about the same."),
    "median": Tool("Remove thin parts", "mm", 1.0, "A voxel takes what most voxels within this distance have."),
    "largest": Tool("Keep largest piece", "", 0.0, "Removes every piece that does not touch the largest one."),
    "islands": Tool("Remove small pieces", "mL", 0.1, "Removes pieces below this volume."),
    "holes": Tool("Fill holes", "", 0.0, "Fills background that the label encloses."),
    "grow": Tool("Grow", "mm", 1.0, "Adds all voxels within this distance."),
    "shrink": Tool("Shrink", "mm", 1.0, "Removes all voxels within this distance of the surface."),
    "between": Tool("Fill between slices", "", 0.0, "Draws the slices between those that have the label."),
}


@dataclass(frozen=True)
class Operation:
    """A correction of one label.

    Attributes
    ----------
    kind, amount
        What is done, and its number in the unit of :data:`TOOLS`.
    label
        The label's value.
    in_plane
        Whether each slice along ``axis`` is treated by itself.
    axis
        The axis along which slices lie: 0 for axial, 1 for coronal, 2 for sagittal ones.
    box
        Voxels that may change; None for all.
    protect
        Whether other labels stay: only background and the label itself change.
    """

    kind: Kind
    label: int
    amount: float = 0.0
    in_plane: bool = False
    axis: int = 0
    box: Box | None = None
    protect: bool = True


@dataclass(frozen=True, eq=False)
class Correction:
    """The voxels that change: flat indices (N,) in ascending order into (Z, Y, X), and their new values (N,)."""

    where: Array
    values: Array


def correct(labels: Array, operation: Operation, spacing_mm: Triple) -> Correction:
    """Return what an operation changes in labels (Z, Y, X); nothing where the label does not occur."""
    label = operation.label
    box = operation.box or (slice(None), slice(None), slice(None))
    # "only in this slice" also looks at that slice alone; any other box limits what may change
    is_slice = operation.box is not None and any(_length(b, n) == 1 for b, n in zip(box, labels.shape, strict=True))
    seen = labels[box] if is_slice else labels
    before = seen == label
    around = _around(before, _reach(operation, spacing_mm))
    if around is None:
        return Correction(np.empty(0, np.int64), np.empty(0, labels.dtype))
    mask = before[around]
    after = _function(operation, spacing_mm)(mask)
    changed = _changes(seen[around], mask, after, operation)
    start = [(b.indices(n)[0] if is_slice else 0) + a.start for a, b, n in zip(around, box, labels.shape, strict=True)]
    where = np.argwhere(changed) + start
    values = np.where(after[changed], label, 0).astype(labels.dtype)
    if operation.box is not None:
        inside = _inside(where, operation.box, labels.shape)
        where, values = where[inside], values[inside]
    return Correction(np.ravel_multi_index(tuple(where.T), labels.shape).astype(np.int64), values)


def smooth(mask: Mask, spacing_mm: Triple, sigma_mm: float) -> Mask:
    """Return a mask smoothed by a Gaussian with this standard deviation in mm, cut at one half."""
    from scipy import ndimage

    sigma = [sigma_mm / s if np.isfinite(s) else 0.0 for s in spacing_mm]
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="nearest", truncate=_GAUSSIAN_REACH)
    return np.asarray(blurred >= 0.5)


def majority(mask: Mask, spacing_mm: Triple, radius_mm: float) -> Mask:
    """Return what most voxels within a distance in mm have: the median of a mask over a ball."""
    from scipy import signal

    ball = _ball(spacing_mm, radius_mm)
    padded = np.pad(mask, [(n // 2, n // 2) for n in ball.shape], mode="edge").astype(np.float32)
    counts = signal.oaconvolve(padded, ball.astype(np.float32), mode="valid")
    return np.asarray(counts > ball.sum() / 2)


def keep_largest(mask: Mask) -> Mask:
    """Return the largest piece of a mask; pieces that touch at a corner are one."""
    pieces, sizes = _pieces(mask)
    return np.asarray(pieces == int(sizes.argmax()) + 1) if sizes.size else mask


def remove_small(mask: Mask, voxel_ml: float, below_ml: float) -> Mask:
    """Return a mask without the pieces below a volume in mL."""
    pieces, sizes = _pieces(mask)
    return np.asarray(np.concatenate([[False], sizes * voxel_ml >= below_ml])[pieces])


def fill_holes(mask: Mask) -> Mask:
    """Return a mask with the background that it encloses filled."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_fill_holes(mask))


def grow(mask: Mask, spacing_mm: tuple[float, ...], distance_mm: float) -> Mask:
    """Return a mask with all voxels within a distance in mm added."""
    return _distance(~mask, spacing_mm) <= distance_mm


def shrink(mask: Mask, spacing_mm: tuple[float, ...], distance_mm: float) -> Mask:
    """Return a mask without the voxels within a distance in mm of its outside; the scan's border is no surface."""
    return mask if mask.all() else mask & (_distance(mask, spacing_mm) > distance_mm)


def fill_between(mask: Mask, spacing_mm: Triple) -> Mask:
    """Return a mask with its empty slices along axis 0 drawn between their neighbours that are not empty.

    The signed distance to the outline is interpolated, with the centre of the shape moved along.
    """
    filled = mask.copy()
    drawn = np.flatnonzero(mask.any(axis=(1, 2)))
    for low, high in pairwise(drawn):
        if high - low > 1:
            ends = (_Outline.of(mask[low], spacing_mm[1:]), _Outline.of(mask[high], spacing_mm[1:]))
            for z in range(low + 1, high):
                filled[z] = _between(*ends, (z - low) / (high - low))
    return filled


@dataclass(frozen=True, eq=False)
class _Outline:
    """A shape in a slice: signed distance to its outline in mm (inside positive), and its centre in voxels."""

    distance_mm: Array
    centre: Array

    @staticmethod
    def of(mask: Mask, spacing_mm: tuple[float, ...]) -> _Outline:
        inside, outside = _distance(mask, spacing_mm), _distance(~mask, spacing_mm)
        # half a voxel lies between the last voxel inside and the outline
        return _Outline(np.where(mask, inside, -outside), np.argwhere(mask).mean(axis=0))

    def at(self, centre: Array) -> Array:
        """Return the signed distance with the shape moved to another centre."""
        from scipy import ndimage

        return np.asarray(ndimage.shift(self.distance_mm, centre - self.centre, order=1, mode="nearest"))


def _between(low: _Outline, high: _Outline, fraction: float) -> Mask:
    centre = (1 - fraction) * low.centre + fraction * high.centre
    return np.asarray((1 - fraction) * low.at(centre) + fraction * high.at(centre) > 0)


def _function(operation: Operation, spacing_mm: Triple) -> Callable[[Mask], Mask]:
    """Return the function of a mask that an operation stands for."""
    kind, amount, axis = operation.kind, operation.amount, operation.axis
    by_slice = operation.in_plane
    spacing = _in_plane(spacing_mm, axis) if by_slice else spacing_mm
    flat = tuple(s for i, s in enumerate(spacing_mm) if not by_slice or i != axis)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    whole: dict[Kind, Callable[[Mask], Mask]] = {
        "smooth": partial(smooth, spacing_mm=spacing, sigma_mm=amount),
        "median": partial(majority, spacing_mm=spacing, radius_mm=amount),
        "between": partial(_along, axis=axis, spacing_mm=spacing_mm),
    }
    each: dict[Kind, Callable[[Mask], Mask]] = {
        "largest": keep_largest,
        "islands": partial(remove_small, voxel_ml=voxel_ml, below_ml=amount),
        "holes": fill_holes,
        "grow": partial(grow, spacing_mm=flat, distance_mm=amount),
        "shrink": partial(shrink, spacing_mm=flat, distance_mm=amount),
    }
    if kind in whole:
        return whole[kind]
    return partial(_by_slice, each[kind], axis=axis) if by_slice else each[kind]


def _by_slice(function: Callable[[Mask], Mask], mask: Mask, axis: int) -> Mask:
    planes = np.moveaxis(mask, axis, 0)
    return np.moveaxis(np.stack([function(plane) if plane.any() else plane for plane in planes]), 0, axis)


def _along(mask: Mask, axis: int, spacing_mm: Triple) -> Mask:
    first, second, third = (spacing_mm[i] for i in (axis, *(i for i in range(3) if i != axis)))
    return np.moveaxis(fill_between(np.moveaxis(mask, axis, 0), (first, second, third)), 0, axis)


def _changes(labels: Array, before: Mask, after: Mask, operation: Operation) -> Mask:
    may_take = (labels == 0) | (labels == operation.label) if operation.protect else np.ones(labels.shape, bool)
    return np.asarray((before != after) & (before | may_take))


def _reach(operation: Operation, spacing_mm: Triple) -> tuple[int, int, int]:
    """Return by how many voxels along (Z, Y, X) a label may grow, and one more."""
    reaches = {"smooth": _GAUSSIAN_REACH * operation.amount, "median": operation.amount, "grow": operation.amount}
    reach_mm = reaches.get(operation.kind, 0.0)
    first, second, third = (int(np.ceil(reach_mm / s)) + 1 for s in spacing_mm)
    return first, second, third


def _around(mask: Mask, margin: tuple[int, int, int]) -> Box | None:
    """Return the bounding box of a mask with a margin, within the array; None for an empty mask."""
    box = []
    for axis, extra in enumerate(margin):
        there = np.flatnonzero(mask.any(axis=tuple(i for i in range(3) if i != axis)))
        if not there.size:
            return None
        box.append(slice(max(int(there[0]) - extra, 0), min(int(there[-1]) + extra + 1, mask.shape[axis])))
    return box[0], box[1], box[2]


def _inside(where: Array, box: Box, shape: tuple[int, ...]) -> Mask:
    limits = [b.indices(n)[:2] for b, n in zip(box, shape, strict=True)]
    low, high = np.array(limits).T
    return np.asarray(((where >= low) & (where < high)).all(axis=1))


def _length(part: slice, size: int) -> int:
    low, high, _ = part.indices(size)
    return high - low


def _pieces(mask: Mask) -> tuple[Array, Array]:
    """Return the pieces of a mask, counted from 1, and their sizes in voxels."""
    from scipy import ndimage

    pieces, _ = ndimage.label(mask, _TOUCHING if mask.ndim == 3 else _TOUCHING[0])
    return pieces, np.bincount(pieces.ravel())[1:]


def _distance(mask: Mask, spacing_mm: tuple[float, ...]) -> Array:
    """Return the distance in mm of each voxel of a mask to the nearest voxel outside it; 0 outside."""
    from scipy import ndimage

    if mask.all():
        return np.full(mask.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing_mm))


def _ball(spacing_mm: Triple, radius_mm: float) -> Mask:
    """Return the voxels within a distance of the middle one; along an axis of infinite spacing only the middle."""
    reach = [int(radius_mm // s) if np.isfinite(s) else 0 for s in spacing_mm]
    grids = np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij")
    squares = [(g * (s if np.isfinite(s) else 0.0)) ** 2 for g, s in zip(grids, spacing_mm, strict=True)]
    return np.asarray(sum(squares) <= radius_mm**2)


def _in_plane(spacing_mm: Triple, axis: int) -> Triple:
    """Return spacings with that along an axis infinite: neighbours there are out of reach."""
    first, second, third = (np.inf if i == axis else s for i, s in enumerate(spacing_mm))
    return first, second, third
