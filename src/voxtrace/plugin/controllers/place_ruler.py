"""The place ruler: what was decided where along the slices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.models import place_cells
from voxtrace.plugin.models.place_cells import AreaLine, PlaceCells, PlaceChoice, slice_number
from voxtrace.plugin.work.lane_counts import unlike_per_slice, voxels_per_slice
from voxtrace.plugin.work.latest import Latest
from voxtrace.plugin.work.station_planes import StationPlanes, edited_pair
from voxtrace.trace import Trace
from voxtrace.trace.places import PlaceRow, along_slices
from voxtrace.volume import Array

MEMBERS, BY_HAND = "members disagree", "changed by hand"


class PlaceRulerView(Protocol):
    """The setters of the place ruler."""

    def set_places(self, choices: Sequence[PlaceChoice], chosen: int) -> None:
        """Offer what can be shown along the slices."""

    def set_cells(self, cells: PlaceCells | None, areas: Sequence[AreaLine], depth: int) -> None:
        """Show cells and lines for ``depth`` slices, the superior one first."""

    def set_slice(self, number: int, text: str) -> None:
        """Mark a slice, counted from 0 at the superior end, and say what is known of it."""

    def set_hover(self, text: str) -> None:
        """Say what is known of the slice under the mouse; "" for none."""


class PlaceRulerController:
    """Connects the current result, a view and a thread that works out rows."""

    def __init__(self, current: CurrentResult, view: PlaceRulerView, queue: Latest) -> None:
        self._current, self._view, self._queue = current, view, queue
        self._rows: tuple[PlaceRow, ...] = ()
        self._counted: dict[str, PlaceRow] = {}  # rows that every voxel is read for, once
        self._choices: tuple[PlaceChoice, ...] = ()
        self._chosen = ""
        current.result_changed.connect(self.refresh)
        current.step_changed.connect(self._work_out)
        current.slice_changed.connect(self._on_slice)
        current.edited.connect(self._on_edited)
        self.refresh()

    def close(self) -> None:
        """Disconnect from the current result."""
        self._current.result_changed.disconnect(self.refresh)
        self._current.step_changed.disconnect(self._work_out)
        self._current.slice_changed.disconnect(self._on_slice)
        self._current.edited.disconnect(self._on_edited)
        self._queue.clear()

    def refresh(self) -> None:
        """Show the current result from scratch."""
        self._queue.clear()
        self._rows, self._choices, self._counted = (), (), {}
        self._view.set_cells(None, (), 0)
        self._work_out()
        self._count_members()
        self._count_edits()

    def choose(self, index: int) -> None:
        """Show another entry of what can be shown."""
        self._chosen = self._choices[index].key if 0 <= index < len(self._choices) else ""
        self._show()

    def go(self, number: int) -> None:
        """Show a slice, counted from 0 at the superior end."""
        self._current.go_slice(slice_number(number, self._depth))

    def move(self, by: int) -> None:
        """Show the slice so many below the current one; above it for numbers below 0."""
        self._current.go_slice(self._current.z - by)

    def hover(self, number: int) -> None:
        """Say what is known of a slice, counted from 0 at the superior end; below 0 of none."""
        z = slice_number(number, self._depth)
        self._view.set_hover(place_cells.slice_text(self._rows, z, self._chosen) if number >= 0 and self._rows else "")

    @property
    def chosen(self) -> str:
        """The key of what is shown."""
        return self._chosen

    @property
    def _depth(self) -> int:
        trace = self._current.trace
        return trace.geometry.shape[0] if trace is not None else 0

    def _work_out(self, step: Any = None) -> None:
        """Work out the rows of the station on screen; areas of edits and old traces are counted from their voxels."""
        trace, stations = self._current.trace, self._current.stations
        if trace is not None and stations is not None:
            edited = StationPlanes(stations, stations.n_steps) if self._current.is_edited else None
            work = partial(_rows_at, trace, self._current.step, edited)
            self._queue.submit("rows", work, partial(self._take, trace))

    def _on_edited(self) -> None:
        if self._current.is_edited:
            self._work_out()
        self._count_edits()

    def _count_members(self) -> None:
        """Count where members disagree with the answer, at the last step."""
        trace = self._current.trace
        if trace is not None and trace.members:
            last = [_Step(labels, int(labels.shape[0]) - 1) for labels in (trace.labels, *trace.members.values())]
            work = partial(unlike_per_slice, last[0], last[1:])
            self._queue.submit(MEMBERS, work, partial(self._add, trace, MEMBERS))

    def _count_edits(self) -> None:
        """Count what was changed by hand."""
        trace, stations = self._current.trace, self._current.stations
        pair = edited_pair(stations) if stations is not None else None
        if trace is not None and pair is not None:
            work = partial(unlike_per_slice, pair[0], pair[1:])
            self._queue.submit(BY_HAND, work, lambda values: self._add(trace, BY_HAND, values[::-1]))

    def _add(self, trace: Trace, name: str, values: Array) -> None:
        self._counted[name] = PlaceRow(name, name, "voxel", values)
        self._take(trace, tuple(row for row in self._rows if row.name not in self._counted))

    def _take(self, trace: Trace, rows: tuple[PlaceRow, ...]) -> None:
        rows = (*rows, *self._counted.values())
        self._rows, self._choices = rows, place_cells.choices(trace, rows)
        if self._chosen not in {choice.key for choice in self._choices}:
            self._chosen = self._choices[0].key if self._choices else ""
        self._show()

    def _show(self) -> None:
        trace, source = self._current.trace, self._current.source
        if trace is None or source is None:
            return
        keys = [choice.key for choice in self._choices]
        self._view.set_places(self._choices, keys.index(self._chosen) if self._chosen in keys else -1)
        areas = place_cells.areas(self._rows, source.colours)
        self._view.set_cells(place_cells.cells(trace, self._rows, self._chosen), areas, self._depth)
        self._on_slice(self._current.z)

    def _on_slice(self, z: int) -> None:
        if self._depth:
            text = place_cells.slice_text(self._rows, z, self._chosen) if self._rows else ""
            self._view.set_slice(slice_number(z, self._depth), text)


class _Step:
    """One step of labels (S, Z, Y, X) as an array (Z, Y, X) that is read a few planes at a time."""

    def __init__(self, labels: Any, step: int) -> None:
        self._labels, self._step = labels, step
        self.shape = labels.shape[1:]

    def __getitem__(self, planes: slice) -> Any:
        return self._labels[self._step, planes]


def _rows_at(trace: Trace, step: int, edited: StationPlanes | None, cancel: Any) -> tuple[PlaceRow, ...]:
    """Return the rows of a step; of the edited station areas are the edited labels', all else is the last step's."""
    if edited is None:
        return along_slices(trace, step)
    voxels = voxels_per_slice(edited, max(trace.names, default=0) + 1, cancel)
    return along_slices(trace, step, voxels[::-1])  # stations are read from superior to inferior
