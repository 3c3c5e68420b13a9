"""The axis of the time ruler: one station a step, and one more for edits."""

from __future__ import annotations

from dataclasses import dataclass

from voxtrace.trace import Trace

GAP_PX = 6.0  # between thumbnails
EDITED = "✎ edited"


@dataclass(frozen=True)
class StationAxis:
    """Where stations lie between two x positions; stations are counted from 0.

    Attributes
    ----------
    count
        The number of stations, at least 1.
    left, right
        Limits in pixels; each station has an equal share of the width between them.
    """

    count: int
    left: float
    right: float

    @property
    def pitch(self) -> float:
        """The width of one station in pixels."""
        return max(1.0, self.right - self.left) / max(1, self.count)

    def centre(self, station: int) -> float:
        """Return the x position of a station.

        >>> StationAxis(4, 100, 500).centre(0)
        150.0
        """
        return self.left + (station + 0.5) * self.pitch

    def at(self, x: float) -> int:
        """Return the station at an x position; the first or last one beyond the ends.

        >>> StationAxis(4, 100, 500).at(310), StationAxis(4, 100, 500).at(0)
        (2, 0)
        """
        return min(self.count - 1, max(0, int((x - self.left) // self.pitch)))


@dataclass(frozen=True)
class FilmSlot:
    """Where a thumbnail is drawn, and of which station."""

    station: int
    centre: float


def film_slots(axis: StationAxis, thumbnail_px: float, current: int) -> tuple[FilmSlot, ...]:
    """Return a slot for each station, or as many as fit side by side; the current station always has one.

    >>> [slot.station for slot in film_slots(StationAxis(100, 0, 400), 94, current=30)]
    [12, 30, 62, 87]
    """
    count = min(axis.count, max(1, int((axis.right - axis.left) // (thumbnail_px + GAP_PX))))
    slots = StationAxis(count, axis.left, axis.right)
    shown = [axis.at(slots.centre(index)) for index in range(count)]
    shown[slots.at(axis.centre(current))] = current
    return tuple(FilmSlot(station, slots.centre(index)) for index, station in enumerate(shown))


def station_names(steps: int, stations: int, first: int = 0) -> tuple[str, ...]:
    """Return the name under each station: 1 … S, then the edited one where there is one.

    ``first`` is the step of the first station, counted from 0; those before it were not kept.

    >>> station_names(2, 3), station_names(1, 1, first=6)
    (('1', '2', '✎ edited'), ('7',))
    """
    return tuple(str(first + k + 1) if k < steps else EDITED for k in range(stations))


def first_step(trace: Trace) -> int:
    """Return the first step of a trace whose labels were kept, counted from 0."""
    return trace.n_steps - int(trace.labels.shape[0])


def step_name(trace: Trace, station: int) -> str:
    """Return the name of a step, counted from 0 among those whose labels were kept: ``cycle 3``."""
    return f"{trace.step_word} {first_step(trace) + station + 1}"
