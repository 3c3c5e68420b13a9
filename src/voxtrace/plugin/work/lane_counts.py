"""What lanes need that takes a look at every voxel: gained and lost, disagreement near the surface, Dice; in a thread.

Arrays are canonical (S, Z, Y, X) labels, in memory or on disk, and are read a few planes at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.errors import Cancelled
from voxtrace.plugin.models.lanes import ChangeCounts
from voxtrace.plugin.work.events import Cancel
from voxtrace.volume import Array

_PLANES = 8
Extent = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, eq=False)
class Counted:
    """Changes of each step, and the box (z0, y0, x0, z1, y1, x1), ends excluded, around all labels of all steps."""

    changes: ChangeCounts
    extent: Extent


def count_changes(labels: Any, cancel: Cancel) -> Counted:
    """Count the voxels that each step gained, lost and relabelled; an empty extent is all zeros."""
    steps = int(labels.shape[0])
    sums = np.zeros((3, steps), np.int64)
    anywhere = [np.zeros(int(n), bool) for n in labels.shape[1:]]
    for low, planes in _chunks(labels, cancel):
        touched = np.zeros(planes.shape[1:], bool)
        for step, now in enumerate(planes):
            before = planes[step - 1] if step else np.zeros_like(now)
            sums[:, step] += changes(before, now)
            touched |= now != 0
        anywhere[0][low : low + len(touched)] = touched.any((1, 2))
        anywhere[1] |= touched.any((0, 2))
        anywhere[2] |= touched.any((0, 1))
    return Counted(ChangeCounts(*sums), _extent(anywhere))


def changes(before: Array, now: Array) -> tuple[int, int, int]:
    """Return how many voxels became a label, became background, and changed from one label to another."""
    differs = before != now
    gained = int(np.count_nonzero(differs & (before == 0)))
    lost = int(np.count_nonzero(differs & (now == 0)))
    return gained, lost, int(np.count_nonzero(differs)) - gained - lost


def changes_between(before: Any, now: Any, cancel: Cancel) -> tuple[int, int, int]:
    """Return the :func:`changes` of whole volumes (Z, Y, X), a few planes at a time."""
    sums = np.zeros(3, np.int64)
    for low in range(0, int(before.shape[0]), _PLANES):
        _check(cancel)
        planes = slice(low, low + _PLANES)
        sums += changes(np.asarray(before[planes]), np.asarray(now[planes]))
    gained, lost, moved = (int(n) for n in sums)
    return gained, lost, moved


def surface_shares(rows: Sequence[Any], cancel: Cancel) -> Array:
    """Return (S,): of the voxels within two voxels of the last answer's surface, the share that differs at each step.

    With one row a step is compared with the last one. With several, rows are compared with the first row at the same
    step, and a voxel counts where any of them differs. 0 everywhere for an answer without a surface.
    """
    answer = rows[0]
    steps, depth = int(answer.shape[0]), int(answer.shape[1])
    unlike, near = np.zeros(steps, np.int64), 0
    for low in range(0, depth, _PLANES):
        _check(cancel)
        high = min(depth, low + _PLANES)
        start, end = max(0, low - 2), min(depth, high + 2)
        band = near_surface(np.asarray(answer[steps - 1, start:end]))[low - start : high - start]
        if not band.any():
            continue
        near += int(np.count_nonzero(band))
        unlike += [_unlike(rows, step, slice(low, high), band) for step in range(steps)]
    shares: Array = unlike / max(1, near)
    return shares


def near_surface(labels: Array) -> Array:
    """Return the voxels within two voxels of a border between labels (Z, Y, X), along the axes, as booleans."""
    surface = np.zeros(labels.shape, bool)
    for axis in range(3):
        ahead, behind = _shifted(axis)
        differs = labels[ahead] != labels[behind]
        surface[ahead] |= differs
        surface[behind] |= differs
    near = surface.copy()
    for axis in range(3):
        ahead, behind = _shifted(axis)
        near[ahead] |= surface[behind]
        near[behind] |= surface[ahead]
    return near


def unlike_per_slice(answer: Any, others: Sequence[Any], cancel: Cancel) -> Array:
    """Return (Z,) float32: voxels of each slice in which any of the others (Z, Y, X) differs from an answer."""
    found = np.zeros(int(answer.shape[0]), np.float32)
    for low in range(0, len(found), _PLANES):
        _check(cancel)
        planes = slice(low, low + _PLANES)
        own = np.asarray(answer[planes])
        differs = np.zeros(own.shape, bool)
        for other in others:
            differs |= np.asarray(other[planes]) != own
        found[planes] = np.count_nonzero(differs, axis=(1, 2))
    return found


def voxels_per_slice(labels: Any, size: int, cancel: Cancel) -> Array:
    """Return (Z, size) int64: voxels of each label below ``size`` in each slice of labels (Z, Y, X)."""
    found = np.zeros((int(labels.shape[0]), size), np.int64)
    for low in range(0, len(found), _PLANES):
        _check(cancel)
        planes = np.asarray(labels[low : low + _PLANES])
        found[low : low + _PLANES] = [np.bincount(np.ravel(plane), minlength=size)[:size] for plane in planes]
    return found


def dice_of_stations(stations: Sequence[Any], reference: Array, cancel: Cancel) -> dict[int, list[float]]:
    """Return label value -> Dice at each station against a reference (Z, Y, X); NaN where both are empty."""
    found: list[tuple[Array, Array, Array]] = []
    for station in stations:
        size = 0
        table = np.zeros((0, 0), np.int64)
        for low in range(0, len(reference), _PLANES):
            _check(cancel)
            ours, theirs = np.asarray(station[low : low + _PLANES]), np.asarray(reference[low : low + _PLANES])
            size = max(size, int(ours.max(initial=0)) + 1, int(theirs.max(initial=0)) + 1)
            table = np.pad(table, (0, size - len(table)))
            joint = np.ravel(ours).astype(np.int64) * size + np.ravel(theirs)
            table += np.bincount(joint, minlength=size * size).reshape(size, size)
        found.append((np.diag(table), table.sum(0), table.sum(1)))
    values = sorted({int(v) for both in found for v in range(1, len(both[0])) if both[1][v] or both[2][v]})
    return {v: [_dice(both, v) for both in found] for v in values}


def _dice(both: tuple[Array, Array, Array], value: int) -> float:
    if value >= len(both[0]):
        return float("nan")
    total = int(both[1][value] + both[2][value])
    return 2 * int(both[0][value]) / total if total else float("nan")


def _unlike(rows: Sequence[Any], step: int, planes: slice, band: Array) -> int:
    steps = int(rows[0].shape[0])
    own = np.asarray(rows[0][step, planes])
    others = [np.asarray(row[step, planes]) for row in rows[1:]] or [np.asarray(rows[0][steps - 1, planes])]
    differs = np.zeros(own.shape, bool)
    for other in others:
        differs |= other != own
    return int(np.count_nonzero(differs & band))


def _chunks(labels: Any, cancel: Cancel) -> Iterator[tuple[int, Array]]:
    for low in range(0, int(labels.shape[1]), _PLANES):
        _check(cancel)
        yield low, np.asarray(labels[:, low : low + _PLANES])


def _check(cancel: Cancel) -> None:
    if cancel():
        raise Cancelled("the rulers show another result.")


def _extent(anywhere: Sequence[Array]) -> Extent:
    ends = [np.flatnonzero(along) for along in anywhere]
    if not all(len(found) for found in ends):
        return 0, 0, 0, 0, 0, 0
    (z0, z1), (y0, y1), (x0, x1) = ((int(found[0]), int(found[-1]) + 1) for found in ends)
    return z0, y0, x0, z1, y1, x1


def _shifted(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    ahead = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
    behind = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
    return ahead, behind
