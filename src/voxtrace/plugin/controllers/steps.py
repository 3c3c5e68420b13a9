"""Step through a prediction; the panel's slider and napari's slider are kept in sync."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from napari.layers import Labels

from voxtrace.plugin.layers import display
from voxtrace.plugin.models import panel_state


class StepsView(Protocol):
    """The setters of the panel's lower half."""

    def set_trace(self, name: str, word: str, changes: Sequence[float]) -> None:
        """Show a prediction with one step for each entry of ``changes``."""

    def show_step(
        self,
        step: int,
        title: str,
        sentence: str,
        legend: Sequence[panel_state.LegendRow],
        facts: Sequence[tuple[str, str]],
    ) -> None:
        """Show a step, counted from 0; facts are pairs of name and value."""

    def set_settled(self, shown: bool) -> None:
        """Set whether the map of settled voxels is shown."""

    def clear(self) -> None:
        """Show that no prediction is selected."""


class StepsController:
    """Connects a viewer's step slider with the panel's lower half."""

    def __init__(self, viewer: Any, view: StepsView) -> None:
        self._viewer, self._view = viewer, view
        self._layer: Labels | None = None
        self._maps: dict[str, display.LayerData] = {}  # unique id of a stepped layer -> its map of settled voxels
        self._settled: dict[str, Labels] = {}  # the same, for maps that were added to the viewer
        self._summary: Sequence[dict[str, Any]] = ()
        viewer.dims.events.current_step.connect(self._on_step)
        viewer.layers.selection.events.active.connect(self._on_active_layer)
        viewer.layers.events.removed.connect(self._on_removed)
        self._on_active_layer()
        if self._layer is None:
            view.clear()

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._viewer.dims.events.current_step.disconnect(self._on_step)
        self._viewer.layers.selection.events.active.disconnect(self._on_active_layer)
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    @property
    def steps(self) -> int:
        """The number of steps of the current prediction; 0 without one."""
        return int(self._layer.data.shape[0]) if self._layer is not None else 0

    @property
    def step(self) -> int:
        """The current step, counted from 0."""
        return min(int(self._viewer.dims.current_step[self._axis]), max(0, self.steps - 1))

    @property
    def _axis(self) -> int:
        return int(self._viewer.dims.ndim) - 4

    def show(self, layer: Labels, summary: Sequence[dict[str, Any]], settled: display.LayerData | None = None) -> None:
        """Step through this layer; ``settled`` is its map of settled voxels where it was already computed."""
        self._layer, self._summary = layer, summary
        if settled is not None:
            self._maps[layer.unique_id] = settled
        self._view.set_trace(layer.name, self._source.trace.step_word, panel_state.changes(summary)[-self.steps :])
        known = self._settled.get(layer.unique_id)
        self._view.set_settled(known is not None and known.visible)
        self._on_step()

    def go(self, step: int) -> None:
        """Show a step, and move napari's slider there."""
        if self._layer is not None and 0 <= step < self.steps:
            self._viewer.dims.set_current_step(self._axis, step)

    def advance(self) -> None:
        """Show the next step; after the last one the first."""
        if self.steps:
            self.go((self.step + 1) % self.steps)

    def show_settled(self, shown: bool) -> None:
        """Show or hide the map of the step at which each voxel settled."""
        if self._layer is None:
            return
        known = self._settled.get(self._layer.unique_id)
        if known is None and shown:
            made = self._maps.get(self._layer.unique_id)
            data, about, _ = made or display.settled_layer(self._source.trace, f"{self._layer.name} · settled")
            known = self._settled[self._layer.unique_id] = self._viewer.add_labels(data, **about)
            self._viewer.layers.selection.active = self._layer
        if known is not None:
            known.visible = shown

    @property
    def _source(self) -> Any:
        assert self._layer is not None
        return self._layer.metadata[display.KEY]

    def _on_step(self, event: Any = None) -> None:
        if self._layer is None or self._viewer.dims.ndim < 4:
            return
        source, step = self._source, self.step
        row = self._summary[len(self._summary) - self.steps + step]
        word, rows = source.trace.step_word, panel_state.legend(source.names, source.colours, row)
        title, facts = (
            panel_state.step_title(int(row["step"]), len(self._summary), word),
            panel_state.facts(row, source.trace.units),
        )
        self._view.show_step(step, title, panel_state.step_sentence(row, word), rows, facts)

    def _on_active_layer(self, event: Any = None) -> None:
        layer = self._viewer.layers.selection.active
        if layer is None or layer is self._layer:
            return
        source = layer.metadata.get(display.KEY)
        if isinstance(source, display.LabelSource) and source.trace is not None:
            self.show(layer, source.trace.summary())

    def _on_removed(self, event: Any = None) -> None:
        present = {layer.unique_id for layer in self._viewer.layers}
        self._settled = {key: layer for key, layer in self._settled.items() if layer.unique_id in present}
        if self._layer is not None and self._layer.unique_id not in present:
            self._layer, self._summary = None, ()
            self._view.clear()
