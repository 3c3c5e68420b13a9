"""What the side panel says of the station on screen: legend with volumes, and facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.bundles import KnownBundle
from voxtrace.plugin.models.stations import step_name
from voxtrace.plugin.models.trust import IntervalOf, interval_of, record_of
from voxtrace.trace import Trace


class StepsView(Protocol):
    """The setters of the panel's section about the result."""

    def show_step(
        self,
        title: str,
        sentence: str,
        legend: Sequence[panel_state.LegendRow],
        facts: Sequence[tuple[str, str]],
    ) -> None:
        """Show a station; facts are pairs of name and value."""

    def clear(self) -> None:
        """Show that there is no result."""


class StepsController:
    """Follows the current result. Going along its steps is the matter of the rulers below the canvas.

    Parameters
    ----------
    bundles
        Gives the known bundles: some know in which interval the true volume lies.
    """

    def __init__(
        self, current: CurrentResult, view: StepsView, bundles: Callable[[], Iterable[KnownBundle]] = tuple
    ) -> None:
        self._current, self._view, self._bundles = current, view, bundles
        self._summary: Sequence[dict[str, Any]] = ()
        current.result_changed.connect(self._on_result)
        current.labels_changed.connect(self._show)
        self._on_result()

    def close(self) -> None:
        """Disconnect from the current result."""
        self._current.result_changed.disconnect(self._on_result)
        self._current.labels_changed.disconnect(self._show)

    def _on_result(self) -> None:
        trace = self._current.trace
        self._summary = trace.summary() if trace is not None else ()
        if trace is None:
            self._view.clear()
        else:
            self._show()

    def _show(self) -> None:
        trace, source, stations = self._current.trace, self._current.source, self._current.stations
        if trace is None or source is None or stations is None or not self._summary:
            return
        row, word = self._summary[len(self._summary) - stations.n_steps + self._step], trace.step_word
        volumes = {value: ml for value, ml in self._current.volumes_ml().items() if ml is not None}
        told, regions = {"volume_ml": volumes}, trace.provenance.regions
        rows = panel_state.legend(source.names, source.colours, told, self._interval_of(trace), regions)
        if self._current.is_edited:
            origin = step_name(trace, stations.edited_from or 0)
            self._view.show_step("Edited", f"Begun from {origin}.", rows, ())
        else:
            title = panel_state.step_title(int(row["step"]), len(self._summary), word)
            facts = panel_state.facts(row, trace.units)
            self._view.show_step(title, panel_state.step_sentence(row, word), rows, facts)

    def _interval_of(self, trace: Trace) -> IntervalOf:
        """Return the intervals of the answer's volumes; earlier steps and edited labels have none."""
        is_answer = not self._current.is_edited and self._step == int(trace.labels.shape[0]) - 1
        return interval_of(record_of(self._bundles(), trace) if is_answer else {})

    @property
    def _step(self) -> int:
        stations = self._current.stations
        return min(self._current.step, stations.n_steps - 1) if stations is not None else 0
