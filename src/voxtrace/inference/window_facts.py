"""Facts per window, gathered while windows are visited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from voxtrace.preprocess import NetworkGrid
from voxtrace.volume import Array, Shape
from voxtrace.windows import Window

Table = dict[str, npt.NDArray[np.float64]]  # name -> (S, B)


class WindowFacts:
    """Visited windows, and a number for each step and window by name."""

    def __init__(self, units: Mapping[str, str]) -> None:
        self.units = units
        self.windows: list[Window] = []
        self._tables: list[Table] = []

    def add(self, windows: Sequence[Window], table: Table) -> None:
        """Append a batch of windows with its facts, (S, B) by name."""
        self.windows += windows
        self._tables.append(table)

    def values(self) -> dict[str, Array]:
        """Return facts (S, W) float32 by name."""
        return {
            name: np.concatenate([table[name] for table in self._tables], axis=1).astype(np.float32)
            for name in self.units
        }


def clipped_boxes(windows: Sequence[Window], grid: NetworkGrid, window: Shape) -> Array:
    """Return boxes (W, 6) of windows of this size, clipped to the network grid."""
    corners = np.asarray(unpadded(windows, grid), np.int64).reshape(-1, 3)
    boxes = np.concatenate([corners, corners + window], axis=1)
    # Windows of a volume smaller than the window reach into the padding.
    clipped: Array = np.clip(boxes, 0, np.tile(grid.shape, 2))
    return clipped


def unpadded(windows: Sequence[Window], grid: NetworkGrid) -> list[Window]:
    """Return windows counted from the first voxel of the network grid, before padding."""
    (z, _), (y, _), (x, _) = grid.padding
    return [Window(w.z - z, w.y - y, w.x - x) for w in windows]
