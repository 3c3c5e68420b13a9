"""The time ruler: stations, lanes and going along them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Labels

from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.label_watch import LabelWatch
from voxtrace.plugin.controllers.layers import follow_names
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.plugin.models import lanes
from voxtrace.plugin.models.lanes import Lane
from voxtrace.plugin.models.panel_state import step_title
from voxtrace.plugin.models.stations import first_step, station_names
from voxtrace.plugin.work.lane_counts import Counted, changes_between, count_changes, dice_of_stations, surface_shares
from voxtrace.plugin.work.latest import Latest
from voxtrace.plugin.work.station_planes import StationPlanes, edited_pair
from voxtrace.trace import Trace

EMPTY = "No result yet. Segment a scan, or select a result in the layer list: its steps and slices appear here."
LaneChoice = tuple[str, str, bool]  # key, title, whether it is shown


class TimeRulerView(Protocol):
    """The setters of the time ruler."""

    def set_stations(self, names: Sequence[str], word: str, current: int) -> None:
        """Show a station for each name."""

    def set_rows(self, names: Sequence[str]) -> None:
        """Show a row of thumbnails for each name, the answer first."""

    def set_current(self, station: int, title: str, made_by: str) -> None:
        """Mark a station, and say what it is and which model made it."""

    def set_lanes(self, shown: Sequence[Lane], choices: Sequence[LaneChoice]) -> None:
        """Show lanes, and which could be shown."""

    def set_references(self, names: Sequence[str], chosen: int) -> None:
        """Offer labels layers to compare with."""

    def set_playing(self, playing: bool) -> None:
        """Set whether the ruler plays."""

    def show_empty(self, sentence: str) -> None:
        """Show that there is no result."""


class TimeRulerController:
    """Connects the current result, a view and a thread that counts voxels."""

    def __init__(
        self,
        viewer: Any,
        current: CurrentResult,
        view: TimeRulerView,
        queue: Latest,
        on_counted: Callable[[Counted], None] = lambda counted: None,
    ) -> None:
        self._viewer, self._current, self._view, self._queue = viewer, current, view, queue
        self._on_counted = on_counted
        self._counted: WeakKeyDictionary[Trace, Counted] = WeakKeyDictionary()
        self._shown = set(lanes.DEFAULT_LANES)
        self._lanes: dict[str, Lane] = {}
        self._edit: dict[str, float] = {}  # what the edited station gained and lost
        self._reference = ""  # unique id of the labels layer to compare with
        self._offered: list[Labels] = []  # to compare with, in the order that was shown
        self._watch = LabelWatch(viewer, self._recount_dice)
        self._dice: object = None  # the last request to count, whose answer alone is taken
        current.result_changed.connect(self.refresh)
        current.step_changed.connect(self._on_step)
        current.edited.connect(self._on_edited)
        for event in self._layer_events:
            event.connect(self._offer_references)
        self.refresh()

    @property
    def _layer_events(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed, events.reordered

    def close(self) -> None:
        """Disconnect from the viewer and drop what is being counted."""
        self._current.result_changed.disconnect(self.refresh)
        self._current.step_changed.disconnect(self._on_step)
        self._current.edited.disconnect(self._on_edited)
        for event in self._layer_events:
            event.disconnect(self._offer_references)
        follow_names(self._offered, [], self._on_renamed)
        self._watch.follow(None)
        self._offered = []
        self._queue.clear()

    def refresh(self) -> None:
        """Show the current result from scratch."""
        self._queue.clear()
        self._lanes, self._edit, self._dice = {}, {}, None
        trace = self._current.trace
        if trace is None or self._current.stations is None:
            self._view.show_empty(EMPTY)
            return
        self._view.set_rows([row.name for row in trace.rows])
        self._show_stations()
        self._offer_references()
        self._make_lanes(trace)
        known = self._counted.get(trace)
        if known is not None:
            self._take_counts(trace, known)
        else:
            self._queue.submit("changes", partial(count_changes, trace.labels), partial(self._take_counts, trace))
        self._on_edited()

    def go(self, station: int) -> None:
        """Show a station, counted from 0; beyond the ends the first or last one."""
        if self._current.steps:
            self._current.go(max(0, min(station, self._current.steps - 1)))

    def move(self, by: int) -> None:
        """Show the station so many after the current one."""
        self.go(self._current.step + by)

    def go_last(self) -> None:
        """Show the last station."""
        self.go(self._current.steps - 1)

    def advance(self, loop: bool) -> None:
        """Show the next station; after the last one the first, or stop playing."""
        if self._current.step + 1 < self._current.steps:
            self.move(1)
        elif loop:
            self.go(0)
        else:
            self._view.set_playing(False)

    def go_most_changed(self) -> None:
        """Show the station that changed most against the one before."""
        lane = self._lanes.get(lanes.CHANGES)
        station = lanes.most_changed(lane) if lane is not None else None
        if station is not None:
            self.go(station)

    def show_lane(self, key: str, shown: bool) -> None:
        """Show or hide a lane; what it needs is counted then."""
        self._shown = self._shown | {key} if shown else self._shown - {key}
        self._count_wanted()
        self._show_lanes()

    def compare_with(self, index: int) -> None:
        """Compare with a labels layer of the list that was offered; below 0 with none."""
        offered = self._offered
        self._reference = offered[index].unique_id if 0 <= index < len(offered) else ""
        self._watch.follow(self._reference_layer)
        self._drop_dice()
        self.show_lane(lanes.REFERENCE, bool(self._reference))

    @property
    def _reference_layer(self) -> Labels | None:
        """The labels layer that is compared with, where it is offered."""
        return next((layer for layer in self._offered if layer.unique_id == self._reference), None)

    @property
    def _references(self) -> list[Labels]:
        """The labels layers on the grid of the result that are no result themselves."""
        result = self._current.layer
        if result is None:
            return []
        return [layer for layer in self._viewer.layers if isinstance(layer, Labels) and _is_reference(layer, result)]

    def _offer_references(self, event: Any = None) -> None:
        if self._reference and self._reference not in [layer.unique_id for layer in self._viewer.layers]:
            self._forget_reference()
        before, self._offered = self._offered, self._references
        follow_names(before, self._offered, self._on_renamed)
        offered = self._offered
        ids = [layer.unique_id for layer in offered]
        chosen = ids.index(self._reference) if self._reference in ids else -1
        self._view.set_references([layer.name for layer in offered], chosen)

    def _on_renamed(self, event: Any = None) -> None:
        """Offer labels layers by their names of now, which the lane bears, too."""
        self._offer_references()
        layer = self._reference_layer
        if layer is not None and lanes.REFERENCE in self._lanes:
            self._lanes[lanes.REFERENCE] = replace(self._lanes[lanes.REFERENCE], title=_dice_title(layer))
            self._show_lanes()

    def _forget_reference(self) -> None:
        """Compare with nothing: the layer was closed."""
        self._reference = ""
        self._shown = self._shown - {lanes.REFERENCE}
        self._watch.follow(None)
        if self._drop_dice():
            self._show_lanes()

    def _recount_dice(self) -> None:
        """Count again, for the reference was edited."""
        if self._drop_dice():
            self._show_lanes()
        self._count_wanted()

    def _drop_dice(self) -> bool:
        """Drop the lane of the reference, and what is being counted for it; return whether there was one."""
        self._dice = None
        return self._lanes.pop(lanes.REFERENCE, None) is not None

    def _show_stations(self) -> None:
        trace, stations = self._current.trace, self._current.stations
        assert trace is not None, "there is a result"
        assert stations is not None, "there is a result"
        names = station_names(stations.n_steps, self._current.steps, first_step(trace))
        self._view.set_stations(names, trace.step_word, self._current.step)
        self._on_step(self._current.step)

    def _on_step(self, station: int) -> None:
        trace, stations = self._current.trace, self._current.stations
        if trace is None or stations is None:
            return
        step = first_step(trace) + station
        title = "Edited" if self._current.is_edited else step_title(step, trace.n_steps, trace.step_word)
        self._view.set_current(station, title, made_by(trace))

    def _make_lanes(self, trace: Trace) -> None:
        source, stations = self._current.source, self._current.stations
        assert source is not None, "there is a result"
        assert stations is not None, "there is a result"
        counts = [stations.counts(k) for k in range(self._current.steps)]
        ml = trace.geometry.voxel_ml
        if all(c is not None for c in counts):
            volumes = [{v: int(n) * ml for v, n in enumerate(c)} for c in counts if c is not None]
            made = lanes.volume_lanes(source.names, source.colours, volumes)
            self._lanes |= {lane.key: lane for lane in made}
        if trace.step_counts is not None and trace.complete and lanes.CHANGES not in self._lanes:
            self._lanes[lanes.CHANGES] = lanes.total_change_lane(trace.step_counts.changed.tolist())
        self._lanes |= {lane.key: lane for lane in lanes.fact_lanes(trace)}
        self._count_wanted()
        self._show_lanes()

    def _show_lanes(self) -> None:
        edited = self._current.steps > self._n_steps
        first = (lanes.VOLUME, lanes.RELATIVE, lanes.CHANGES)
        known = {key: self._lanes[key] for key in dict.fromkeys((*first, *self._lanes)) if key in self._lanes}
        if edited and lanes.CHANGES in known:
            known[lanes.CHANGES] = lanes.with_last(known[lanes.CHANGES], self._edit)
        titles = {key: ", ".join(filter(None, (lane.title, lane.about))) for key, lane in known.items()}
        if self._n_steps > 1 or self._rows > 1:
            titles.setdefault(lanes.SURFACE, f"Near the surface, unlike {self._against}")
        choices = [(key, title, key in self._shown) for key, title in titles.items() if key != lanes.REFERENCE]
        self._view.set_lanes([known[key] for key in known if key in self._shown], choices)

    def _count_wanted(self) -> None:
        """Count what the shown lanes need and do not have."""
        trace, stations = self._current.trace, self._current.stations
        if trace is None or stations is None:
            return
        if lanes.SURFACE in self._shown and lanes.SURFACE not in self._lanes:
            rows = [row.labels for row in trace.rows if row.kind != "extra"]
            self._queue.submit("surface", partial(surface_shares, rows), self._take_surface)
        if lanes.REFERENCE in self._shown and lanes.REFERENCE not in self._lanes and self._reference:
            self._count_dice(stations)

    def _count_dice(self, stations: StepArray) -> None:
        layer = self._reference_layer
        if layer is not None:
            self._dice = wanted = object()
            count = [StationPlanes(stations, k) for k in range(self._current.steps)]

            def work(cancel: Callable[[], bool]) -> dict[int, list[float]]:
                return dice_of_stations(count, layer.data, lambda: cancel() or wanted is not self._dice)

            self._queue.submit("reference", work, partial(self._take_dice, wanted))

    @property
    def _n_steps(self) -> int:
        return self._current.stations.n_steps if self._current.stations is not None else 0

    @property
    def _rows(self) -> int:
        trace = self._current.trace
        return 1 + len(trace.members) if trace is not None else 0

    @property
    def _against(self) -> str:
        trace = self._current.trace
        word = trace.step_word if trace is not None else "step"
        return "the members" if self._rows > 1 else f"the last {word}"

    def _take_counts(self, trace: Trace, counted: Counted) -> None:
        self._counted[trace] = counted
        if trace.complete:  # else a step is compared with one that was not kept
            self._lanes[lanes.CHANGES] = lanes.change_lane(counted.changes)
        self._show_lanes()
        self._on_counted(counted)

    def _take_surface(self, shares: Any) -> None:
        self._lanes[lanes.SURFACE] = lanes.surface_lane(shares, self._against)
        self._show_lanes()

    def _take_dice(self, wanted: object, scores: Any) -> None:
        source, layer = self._current.source, self._reference_layer
        if source is not None and layer is not None and wanted is self._dice:
            names = {value: source.names.get(value, f"label {value}") for value in scores}
            lane = lanes.score_lane(lanes.REFERENCE, _dice_title(layer), names, source.colours, scores)
            self._lanes[lanes.REFERENCE] = lane
            self._show_lanes()

    def _on_edited(self) -> None:
        trace, stations = self._current.trace, self._current.stations
        pair = edited_pair(stations) if stations is not None else None
        if trace is None or pair is None:
            return
        self._drop_dice()
        self._show_stations()
        self._make_lanes(trace)
        self._queue.submit("edit", partial(changes_between, *pair), self._take_edit)

    def _take_edit(self, counts: tuple[int, int, int]) -> None:
        self._edit = dict(zip(("gained", "lost", "other label"), map(float, counts), strict=True))
        self._show_lanes()


def made_by(trace: Trace) -> str:
    """Return the model of a trace in words; "" where it is not known."""
    known = trace.provenance
    return (
        f"{known.bundle}{' (demonstration, for made-up scans)' if known.demonstration else ''}" if known.bundle else ""
    )


def _dice_title(layer: Labels) -> str:
    return f"Dice with {layer.name}"


def _is_reference(layer: Labels, result: Labels) -> bool:
    """Tell whether a layer holds labels of one time point on the grid of a result."""
    return (
        layer.ndim == 3
        and tuple(layer.data.shape) == tuple(result.data.shape[1:])
        and np.allclose(layer.translate, result.translate[1:], atol=0.01)
        and np.allclose(layer.scale, result.scale[1:], rtol=1e-3)
        and getattr(layer.metadata.get(display.KEY), "kind", "labels") == "labels"
    )
