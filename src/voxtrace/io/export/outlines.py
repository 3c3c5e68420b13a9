"""A mask in a plane -> closed outlines that run midway between voxel centres; holes open into them by a keyhole.

::

    +-----------+      +-----------+
    |  +-----+  |      |  +-----+  |
    |  |     |  |  ->  |  |     |  |     RTSTRUCT has no holes: a channel without width, passed in both directions,
    |  +-----+  |      |  +-----+==|     makes hole and outline one closed line.
    +-----------+      +-----------+

Points are (x, y) in voxels, with (0, 0) at the centre of the first one. Whatever rule fills such a line, even-odd or
non-zero winding, it fills exactly the voxels of the mask: outlines run one way round, holes the other.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from voxtrace.volume import Array

_MIDWAY = 0.5


def outlines(mask: Array) -> list[Array]:
    """Return the closed outlines (N, 2), (x, y), of a mask (Y, X); the last point joins the first.

    A piece of the mask has one outline, whatever holes it has; an island in a hole has its own. Voxels that touch at
    a corner alone may share an outline. An empty mask has none.
    """
    from contourpy import FillType, contour_generator

    inside = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(inside[0]):
        return []
    y, x = inside[0][0], inside[1][0]
    box = mask[y : inside[0][-1] + 1, x : inside[1][-1] + 1]
    # a border of zeros closes outlines at the edge of the box
    generator: Any = contour_generator(
        z=np.pad(box, 1).astype(np.float64), name="serial", fill_type=FillType.OuterOffset
    )
    polygons, offsets = generator.filled(_MIDWAY, np.inf)
    start = np.asarray([x - 1, y - 1], dtype=np.float64)
    joined = []
    for points, borders in zip(polygons, offsets, strict=True):
        rings = [_simplified(points[a : b - 1]) for a, b in pairwise(borders)]
        joined.append(keyholed(rings[0], rings[1:]) + start)
    return joined


def keyholed(outer: Array, holes: list[Array]) -> Array:
    """Return one closed line (N, 2) of an outline and its holes, which run the other way round.

    From the rightmost of the lowest points of a hole (the bridge point) a channel runs along +x to the first line it
    meets: the outline, or a hole that lies lower or further right and was joined before. Lowest points lie between two
    rows of voxels, so no channel runs through a voxel's centre.
    """
    line = outer
    # lower holes first, so that a ray from a higher one may end at them
    for hole in sorted(holes, key=lambda ring: tuple(ring[_bridge_point(ring)][::-1]), reverse=True):
        line = _joined(line, hole)
    return line


def _bridge_point(ring: Array) -> int:
    """Return the index of the rightmost point among those of largest y."""
    return int(np.lexsort((ring[:, 0], ring[:, 1]))[-1])


def _joined(line: Array, hole: Array) -> Array:
    bridge = _bridge_point(hole)
    x, y = hole[bridge]
    edge, meeting_x = _first_met(line, x, y)
    channel = np.asarray([[meeting_x, y]])
    around = np.roll(hole, -bridge, axis=0)
    return np.concatenate([line[: edge + 1], channel, around, around[:1], channel, line[edge + 1 :]])


def _first_met(line: Array, x: float, y: float) -> tuple[int, float]:
    """Return the edge (by its first point) that a ray from (x, y) along +x meets first, and where."""
    ends = np.roll(line, -1, axis=0)
    low, high = np.minimum(line[:, 1], ends[:, 1]), np.maximum(line[:, 1], ends[:, 1])
    run, rise = (ends - line).T
    fraction = np.divide(y - line[:, 1], rise, out=np.zeros(len(line)), where=rise != 0)
    # an edge along the ray is met at its nearer end
    met = np.where(rise != 0, line[:, 0] + fraction * run, np.minimum(line[:, 0], ends[:, 0]))
    met[(low > y) | (high < y) | (met < x)] = np.inf
    edge = int(np.argmin(met))
    return edge, float(met[edge])


def _simplified(ring: Array) -> Array:
    """Return a ring without the points in the middle of straight lines."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    kept: Array = ring[np.abs(turns) > 1e-9]
    return kept
