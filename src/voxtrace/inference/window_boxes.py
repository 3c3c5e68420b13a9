"""Boxes of windows in the whole volume, when the network saw a part of it or in another axis order."""

from __future__ import annotations

import numpy as np

from voxtrace.preprocess import NetworkGrid
from voxtrace.volume import Array, Shape


def canonical_boxes(boxes: Array, grid: NetworkGrid) -> tuple[Array, Shape]:
    """Return boxes of the canonical volume in network voxels, and the voxels that all of it would have.

    ``boxes`` (W, 6) int: first voxel (z, y, x) and the one after the last, counted in what the network saw. Where that
    is a part of the volume, corners are rounded to whole network voxels.
    """
    frame, result = grid.crop_order, np.empty_like(boxes)
    shape = [0, 0, 0]
    for seen, axis in enumerate(frame.layout.axes):
        voxels = grid.shape[seen] / grid.input_shape[seen]  # of the network in one of the input
        before = frame.box[seen].start if frame.box else 0
        shape[axis] = max(1, round(frame.whole[axis] * voxels))
        ends = np.rint(boxes[:, [seen, seen + 3]] + before * voxels).astype(boxes.dtype)
        # A mirrored axis counts from its other end, so begin and end change places.
        if frame.layout.flips[seen]:
            ends = shape[axis] - ends[:, ::-1]
        result[:, [axis, axis + 3]] = np.clip(ends, 0, shape[axis])
    return result, (shape[0], shape[1], shape[2])
