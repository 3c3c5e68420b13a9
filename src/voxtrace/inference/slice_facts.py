"""Numbers per slice: means over the windows that saw a slice, then brought to the slices of the input.

A window counts by the blending weight of its slice. Of a number that names something (unit ``"index"``) the one with
the most weight is taken instead of a mean, and the nearest network slice instead of interpolation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from voxtrace.preprocess import Interpolation, NetworkGrid, axis_weights
from voxtrace.trace import INDEX
from voxtrace.volume import Array


class SliceMeans:
    """Weighted means (S, Z') of one quantity over windows; NaN where it is not known."""

    kind: Interpolation = "linear"

    def __init__(self, steps: int, n_slices: int) -> None:
        # float64: many small weights are added
        self._sums, self._weights = np.zeros((steps, n_slices)), np.zeros((steps, n_slices))

    def add(self, step: int, here: slice, values: Array, weights: Array) -> None:
        """Add values (n,) of the slices ``here``; NaN is left out."""
        known = ~np.isnan(values)
        self._sums[step, here] += np.where(known, values * weights, 0.0)
        self._weights[step, here] += np.where(known, weights, 0.0)

    def result(self) -> Array:
        """Return the values, (S, Z')."""
        known = self._weights > 0
        return np.where(known, self._sums / np.where(known, self._weights, 1.0), np.nan)


class SliceVotes:
    """For numbers that name something: the one with the most weight, (S, Z'); the lower one in a tie."""

    kind: Interpolation = "nearest"

    def __init__(self, steps: int, n_slices: int) -> None:
        self._shape = (steps, n_slices)
        self._votes: dict[float, Array] = {}

    def add(self, step: int, here: slice, values: Array, weights: Array) -> None:
        """Add values (n,) of the slices ``here``; NaN is left out."""
        for value in np.unique(values[~np.isnan(values)]):
            votes = self._votes.setdefault(float(value), np.zeros(self._shape))
            votes[step, here] += np.where(values == value, weights, 0.0)

    def result(self) -> Array:
        """Return the values, (S, Z'); NaN where there is no vote."""
        names = sorted(self._votes)
        votes = np.stack([np.zeros(self._shape), *(self._votes[name] for name in names)])
        winners: Array = np.array([np.nan, *names])[votes.argmax(0)]
        return winners


class SliceFacts:
    """Gathers the slice facts of every window and gives them on the slices of the input."""

    def __init__(self, units: Mapping[str, str], steps: int, grid: NetworkGrid, blend: Array) -> None:
        self._grid, self._weights = grid, blend.sum((1, 2), dtype=np.float64)
        self._facts = {
            name: (SliceVotes if unit == INDEX else SliceMeans)(steps, grid.padded_shape[0])
            for name, unit in units.items()
        }

    def add(self, step: int, z: int, values: Array) -> None:
        """Add values (F, Z) of a window that begins at plane ``z`` of the padded grid."""
        here = slice(z, z + len(self._weights))
        for fact, row in zip(self._facts.values(), values, strict=True):
            fact.add(step, here, row, self._weights)

    def on_input(self) -> dict[str, Array]:
        """Return values (S, Z) float32 by name for the slices of the input.

        NaN where no window lay, and everywhere when the network's planes are not planes of the input.
        """
        return {name: self._placed(self._resampled(fact)) for name, fact in self._facts.items()}

    def _resampled(self, fact: SliceMeans | SliceVotes) -> Array:
        """Return values (S, n) of the slices that the network saw, on the input's grid."""
        (before, _), depth = self._grid.padding[0], self._grid.shape[0]
        values = fact.result()[:, before : before + depth].astype(np.float32)
        kind = "nearest" if self._grid.to_input[0] == "nearest" else fact.kind
        axis = axis_weights(depth, self._grid.input_shape[0], kind)
        known = ~np.isnan(values)
        sums = axis.apply(np.where(known, values, np.float32(0.0)), 1)
        weights = axis.apply(known.astype(np.float32), 1)
        return np.where(weights > 0, sums / np.where(weights > 0, weights, np.float32(1.0)), np.float32(np.nan))

    def _placed(self, values: Array) -> Array:
        """Return values (S, Z) of all slices of the input."""
        frame = self._grid.crop_order
        placed = np.full((len(values), frame.whole[0]), np.nan, np.float32)
        if frame.layout.axes[0] == 0:  # otherwise each input slice crosses every slice of the network
            turned = placed[:, ::-1] if frame.layout.flips[0] else placed
            turned[:, frame.planes_before : frame.planes_before + values.shape[1]] = values
        return placed
