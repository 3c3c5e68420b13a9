"""Planes of a DICOM-SEG -> the distance between planes, by their positions.

A segmentation holds only the planes that have labels, so its positions may leave out any number of planes. What its
header states of the distance counts where positions leave it open, and never against them; where the two contradict
each other and nothing settles it, there is no answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxtrace.errors import ReadError
from voxtrace.volume import Array

_EVEN = 0.1  # of the distance: a plane off by less lies on an even stack
_ALIKE = 0.05
_APART = 1.9  # times the thickness: planes farther apart than this may have others between them


@dataclass(frozen=True)
class PlaneDistance:
    """The distance between planes in mm, and the number of each plane from 0."""

    step_mm: float
    indices: tuple[int, ...]


def plane_distance(depths_mm: Array, stated_mm: float, thickness_mm: float) -> PlaneDistance:
    """Return the distance between planes that lie at these depths, ascending and distinct.

    ``stated_mm`` and ``thickness_mm`` are what the header says (SpacingBetweenSlices, SliceThickness); 0 for nothing.

    Raises
    ------
    ReadError
        When the planes are not even, or their distance cannot be told.
    """
    stated_mm, thickness_mm = abs(stated_mm), abs(thickness_mm)
    if len(depths_mm) == 1:
        if not (stated_mm or thickness_mm):
            raise ReadError("it holds one labelled plane, and its header does not state how thick that is")
        return PlaneDistance(stated_mm or thickness_mm, (0,))
    gaps = np.diff(depths_mm)
    nearest = _on_even_planes(depths_mm, float(gaps.min()))
    stated = _on_even_planes(depths_mm, stated_mm) if stated_mm else None
    if stated is None:
        return _by_positions(nearest, gaps, thickness_mm)
    if min(np.diff(stated.indices)) == 1:
        return stated
    # no two planes are as near as the header says: either planes between are without labels, or the header is wrong
    if nearest is not None and _alike(thickness_mm, nearest.step_mm):
        return nearest
    if nearest is not None and len(gaps) > 1 and max(np.diff(nearest.indices)) == 1:
        raise ReadError(
            f"its planes lie {nearest.step_mm:.4g} mm apart throughout, and its header states {stated_mm:.4g} mm "
            "(SpacingBetweenSlices)"
        )
    return stated


def _by_positions(nearest: PlaneDistance | None, gaps: Array, thickness_mm: float) -> PlaneDistance:
    if nearest is None:
        raise ReadError(f"its planes lie {gaps.min():.4g} to {gaps.max():.4g} mm apart, not evenly")
    unsure = not thickness_mm and len(gaps) == 1
    if unsure or (thickness_mm and nearest.step_mm > _APART * thickness_mm):
        thick = f" and are {thickness_mm:.4g} mm thick" if thickness_mm else ""
        raise ReadError(
            f"its planes lie {nearest.step_mm:.4g} mm apart{thick}, and its header does not say whether planes between "
            "them are left out (SpacingBetweenSlices)"
        )
    return nearest


def _on_even_planes(depths_mm: Array, distance_mm: float) -> PlaneDistance | None:
    """Return the number of each plane at about this distance; None where planes lie off."""
    on = np.concatenate([[0], np.cumsum(np.round(np.diff(depths_mm) / distance_mm))])
    if np.diff(on).min() < 1:
        return None
    step = float((depths_mm[-1] - depths_mm[0]) / on[-1])
    off = np.abs((depths_mm - depths_mm[0]) / step - on).max()
    if off > _EVEN or not _alike(step, distance_mm):
        return None
    return PlaneDistance(step, tuple(int(i) for i in on))


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= _ALIKE * other
