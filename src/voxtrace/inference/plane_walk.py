"""PlaneWalk: which input planes are complete when network planes come in ascending z."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from voxtrace.preprocess import NetworkGrid, axis_weights


class PlaneWalk:
    """The position in z on the padded network grid and on the input's grid, and the weights in-plane.

    Attributes
    ----------
    z
        The network plane that was entered last; negative in the padding before the first one.
    y, x
        Weights that bring a network plane to the size of an input plane.
    """

    def __init__(self, grid: NetworkGrid) -> None:
        self._grid, self.z, self._given = grid, -1 - grid.padding[0][0], 0
        sizes = zip(grid.shape, grid.input_shape, grid.to_input, strict=True)
        self._weights, self.y, self.x = (axis_weights(have, want, kind) for have, want, kind in sizes)
        positive = self._weights.weights > 0
        self._highest = np.where(positive, self._weights.indices, 0).max(1)  # network plane that each one needs

    def enter(self) -> bool:
        """Advance to the next plane of the padded grid; return whether it is inside the network grid, not padding."""
        self.z += 1
        return 0 <= self.z < self._grid.shape[0]

    def inside(self, padded: Tensor) -> Tensor:
        """Return (..., Y', X') without the padding."""
        (_, _), (before_y, _), (before_x, _) = self._grid.padding
        _, height, width = self._grid.shape
        return padded[..., before_y : before_y + height, before_x : before_x + width]

    def input_planes(self) -> Iterator[float]:
        """Yield, for each input plane that is complete now, the weight of the entered plane.

        The network plane below the entered one has the remaining weight, 1 − weight.

        The entered plane is the highest one that any of them needs.
        """
        while self._given < self._grid.input_shape[0] and self._highest[self._given] <= self.z:
            here = self._weights.indices[self._given] == self.z
            yield float(self._weights.weights[self._given, here].sum())
            self._given += 1
