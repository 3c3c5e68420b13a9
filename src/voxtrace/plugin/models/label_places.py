"""Where to go to see a label: its largest slice, and a voxel of it there."""

from __future__ import annotations

from typing import Any

import numpy as np


def fullest_voxel(volume: Any, label: int) -> tuple[int, int, int] | None:
    """Return a voxel of a label in the slice with most of its voxels, nearest to their middle.

    Parameters
    ----------
    volume
        Labels (I, P, L).

    Returns
    -------
    tuple or None
        Indices along (I, P, L); None where the label does not occur.
    """
    counts = [int(np.count_nonzero(np.asarray(volume[i]) == label)) for i in range(volume.shape[0])]
    best = int(np.argmax(counts)) if counts else 0
    if not counts or not counts[best]:
        return None
    rows, columns = np.nonzero(np.asarray(volume[best]) == label)
    nearest = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
    return best, int(rows[nearest]), int(columns[nearest])
