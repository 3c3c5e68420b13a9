"""Closed lines in a plane -> the voxels whose centre lies within them, by the even-odd rule."""

from __future__ import annotations

import numpy as np

from voxtrace.volume import Array


def toggle(mask: Array, points: Array) -> None:
    """Turn the voxels of a mask (Y, X) within a closed line (N, 2), (x, y), over, row by row.

    A hole that is a line of its own, and one that a channel without width joins to its outline, both stay empty.
    """
    ends = np.roll(points, -1, axis=0)
    for row in range(max(0, int(points[:, 1].min())), min(len(mask), int(points[:, 1].max()) + 2)):
        crosses = (points[:, 1] <= row) != (ends[:, 1] <= row)
        (x0, y0), (x1, y1) = points[crosses].T, ends[crosses].T
        for x in x0 + (row - y0) * (x1 - x0) / (y1 - y0):
            mask[row, max(0, int(np.ceil(x))) :] ^= True
