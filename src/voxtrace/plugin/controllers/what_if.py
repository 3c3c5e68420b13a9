"""What if: a table of other settings for the current result, from its trace, and runs of single rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from napari.layers import Labels

from voxtrace.inference.options import PredictOptions
from voxtrace.plugin.controllers.current import CurrentResult
from voxtrace.plugin.controllers.model_choice import Background, at_once
from voxtrace.plugin.controllers.segment_run import SegmentRun
from voxtrace.plugin.models import panel_state, what_if
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.messages import REQUEST, SegmentRequest, SegmentResult
from voxtrace.plugin.models.methods import Capabilities, MethodRegistry
from voxtrace.plugin.models.panel_state import changes_of
from voxtrace.plugin.models.what_if import MeasuredSetting, WhatIfRow
from voxtrace.plugin.work import jobs
from voxtrace.plugin.work.events import Runner
from voxtrace.trace import Trace, WhatIf
from voxtrace.trace import what_if as alternatives

NOTHING = "Segment a scan, or select a result in the layer list."
COMPARING = "Comparing settings …"


class WhatIfView(Protocol):
    """The setters of the dock."""

    def set_rows(self, of: str, rows: Sequence[WhatIfRow]) -> None:
        """Show the table of the result with this name; no rows empty it."""

    def show_state(self, state: panel_state.PanelState) -> None:
        """Show the state."""


class WhatIfController:
    """Connects the current result, a runner and the dock."""

    def __init__(
        self,
        viewer: Any,
        current: CurrentResult,
        bundles: BundleRegistry,
        methods: MethodRegistry,
        view: WhatIfView,
        runner: Runner,
        background: Background = at_once,
        compare: Background = at_once,
    ) -> None:
        self._viewer, self._current, self._view = viewer, current, view
        self._bundles, self._methods = bundles, methods
        self._background, self._compare = background, compare
        self.run = SegmentRun(viewer, runner, self._on_state, self._on_result, hides=False)
        self._state = panel_state.PanelState()
        self._base: Labels | None = None
        self._found: tuple[WhatIf, ...] = ()
        self._measured: dict[str, MeasuredSetting] = {}
        self._running = ""  # the name of the row that is run
        current.result_changed.connect(self.refresh)
        self._methods.changed.connect(self._show)
        self.refresh()

    def close(self) -> None:
        """Disconnect, and stop a run."""
        self._current.result_changed.disconnect(self.refresh)
        self._methods.changed.disconnect(self._show)
        self.run.close()

    def refresh(self) -> None:
        """Compare settings for the current result; the table stays where a row of it was run."""
        layer, trace = self._current.layer, self._current.trace
        if self.run.busy or self._running or (layer is self._base and layer is not None):
            return
        self._base, self._found, self._measured = layer, (), {}
        self._show()
        if trace is None:
            self._say(panel_state.PanelState(NOTHING))
            return
        self._say(panel_state.PanelState(COMPARING))
        self._background(partial(alternatives, trace), partial(self._take, layer))

    def _take(self, layer: Labels | None, found: tuple[WhatIf, ...]) -> None:
        if layer is self._base:
            self._found = found
            self._show()
            if self._state.message == COMPARING:  # what ended a run stays visible
                self._say(panel_state.PanelState(""))

    def _say(self, state: panel_state.PanelState) -> None:
        self._state = state
        self._view.show_state(state)

    def _show(self) -> None:
        request = _request_of(self._base)
        options = request.options if request is not None else PredictOptions()
        rows = what_if.rows(self._found, options, self._able(request), self._measured)
        self._view.set_rows(self._base.name if self._base is not None else "", rows)

    def _able(self, request: SegmentRequest | None) -> Capabilities | None:
        """Return what the method of the result can be told; None where its run is not of this session."""
        path = request.bundle if request is not None else None
        known = next((k for k in self._bundles.bundles if k.path == path), None)
        return self._methods.capabilities(known.method, known.options) if known else None

    def run_row(self, index: int) -> None:
        """Run the setting of a row."""
        request, base = _request_of(self._base), self._base
        if request is None or base is None or self.run.busy:
            return
        rows = what_if.rows(self._found, request.options, self._able(request))
        options = rows[index].options
        if options is None:
            return
        self._running = self._found[index].name
        changed = ", ".join(changes_of(options, request.options))
        again = replace(request, name=f"{base.name} · what if {changed}", options=options)
        self.run.start(partial(jobs.segment, again), request.scan, self._found[index].seconds)

    def cancel(self) -> None:
        """Stop the run."""
        self.run.cancel()

    def _on_state(self, state: panel_state.PanelState) -> None:
        """Show how far a run is; one that ended without a result lets the table follow the current result again."""
        if not state.busy and self._running:
            self._running = ""
            self.refresh()
        self._say(state)

    def _on_result(self, layer: Labels, result: SegmentResult) -> None:
        name, self._running = self._running, ""
        base = self._base
        if base is not None and name:
            take = partial(self._note, base, name, result.seconds)
            self._compare(partial(_changed_voxels, _trace_of(base), _trace_of(layer)), take)

    def _note(self, base: Labels, name: str, seconds: float, changed: int) -> None:
        if base is self._base:
            self._measured[name] = MeasuredSetting(seconds, changed)
            self._show()


def _request_of(layer: Labels | None) -> SegmentRequest | None:
    found = layer.metadata.get(REQUEST) if layer is not None else None
    return found if isinstance(found, SegmentRequest) else None


def _trace_of(layer: Labels) -> Trace:
    trace: Trace = layer.metadata["voxtrace"].trace
    return trace


def _changed_voxels(first: Trace, second: Trace) -> int:
    """Return how many voxels of two answers differ; a few planes are read at a time."""
    return sum(
        int(np.count_nonzero(np.asarray(first.labels[-1, z]) != np.asarray(second.labels[-1, z])))
        for z in range(first.geometry.shape[0])
    )
