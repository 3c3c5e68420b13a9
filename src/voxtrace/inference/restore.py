"""Restore: probabilities on network planes become labels on input planes, one plane at a time.

Between two network planes probabilities are mixed linearly, then enlarged in-plane, and the strongest label is taken;
all in one pass over the output's rows. A label whose probability reaches 1/K nowhere cannot win there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from voxtrace.inference.arithmetic import arithmetic_for
from voxtrace.inference.plane import Average, Plane, least_to_win
from voxtrace.preprocess import NetworkGrid, axis_weights
from voxtrace.volume import Array


class Restorer:
    """Takes network planes in ascending z and gives label planes of the input grid as soon as they are known."""

    def __init__(
        self, grid: NetworkGrid, n_labels: int, device: str = "cpu", average: Average = "probabilities"
    ) -> None:
        self._grid, self._arithmetic, self._least = grid, arithmetic_for(device), least_to_win(n_labels, average)
        sizes = zip(grid.shape, grid.input_shape, grid.to_input, strict=True)
        self._z, self._y, self._x = (axis_weights(have, want, kind) for have, want, kind in sizes)
        self._top = np.where(self._z.weights > 0, self._z.indices, 0).max(1)  # highest plane that each one needs
        self._taken, self._given = 0, 0
        self._below: Plane | None = None
        self._last: tuple[tuple[int, float], Array] | None = None

    def push(self, padded: Plane) -> Iterator[Array]:
        """Take the next plane of the padded grid; yield labels (S, Y, X) of input planes."""
        (before_z, _), (before_y, _), (before_x, _) = self._grid.padding
        depth, height, width = self._grid.shape
        z, self._taken = self._taken - before_z, self._taken + 1
        if not 0 <= z < depth:
            return
        inside = padded.scores[:, :, before_y : before_y + height, before_x : before_x + width].contiguous()
        plane = Plane(inside, padded.labels)
        while self._given < self._grid.input_shape[0] and self._top[self._given] <= z:
            yield self._labels(plane, z)
            self._given += 1
        self._below = plane

    def _labels(self, plane: Plane, z: int) -> Array:
        """Return labels (S, Y, X) of the next input plane, which lies at most at the height of ``plane``."""
        share = float(self._z.weights[self._given, self._z.indices[self._given] == z].sum())
        if self._last is None or self._last[0] != (z, share):  # where planes are repeated, so are labels
            below = plane if self._below is None else self._below
            labels = self._arithmetic.strongest(below, plane, share, self._y, self._x, self._least)
            self._last = (z, share), labels
        return self._last[1]
