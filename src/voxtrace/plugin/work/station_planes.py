"""One station of a result as an array (I, P, L) that is read a few planes at a time, from a thread."""

from __future__ import annotations

import numpy as np

from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.volume import Array


class StationPlanes:
    """A step, or the edited labels, in display space; steps are read as they are stored, whatever is being painted."""

    def __init__(self, stations: StepArray, station: int) -> None:
        self._stations, self._station = stations, station
        self.shape = tuple(stations.shape[1:])

    def __getitem__(self, planes: slice) -> Array:
        """Return the planes low … high of (I, P, L); the slice has a step of 1."""
        if self._station >= self._stations.n_steps:
            return np.asarray(self._stations[self._station, planes])
        low, high, _ = planes.indices(self.shape[0])
        depth = self.shape[0]
        stored = np.asarray(self._stations.steps[self._station, depth - high : depth - low])
        return stored[::-1]


def edited_pair(stations: StepArray) -> tuple[StationPlanes, StationPlanes] | None:
    """Return the step that was edited and the edited labels; None where nothing was edited."""
    if stations.stations == stations.n_steps:
        return None
    return StationPlanes(stations, stations.edited_from or 0), StationPlanes(stations, stations.n_steps)
