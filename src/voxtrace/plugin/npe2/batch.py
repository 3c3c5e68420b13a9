"""Plugins > VoxTrace > Batch: many cases, worst first, with view and controller joined."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from voxtrace.io.child import guarded
from voxtrace.plugin.controllers.batch import BatchController
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.scalar_maps import layers_beside
from voxtrace.plugin.models.batch import CaseRow
from voxtrace.plugin.npe2.notifications import notify
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.batch import QtBatchView
from voxtrace.plugin.views.widgets import Panel
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import LatestInBackground, ThreadRunner, in_background
from voxtrace.trace import Trace


class BatchWidget(Panel):
    """Segments many cases as ``voxtrace predict`` does, lists them worst first and opens the one that is clicked."""

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        state = viewer_state_of(napari_viewer)
        self.view, self.runner = QtBatchView(), runner or ThreadRunner(state.engine_turn)
        super().__init__(self.view)
        self._viewer, self._opened, self._reading = napari_viewer, Path(), None
        background = LatestInBackground()
        self.controller = BatchController(state.bundle_registry, self.view, self.runner, self.open_case, background)
        view, controller = self.view, self.controller
        view.bundle_picked.connect(controller.pick_bundle)
        view.inputs_added.connect(controller.add_inputs)
        view.input_removed.connect(controller.remove_input)
        view.out_picked.connect(controller.set_out)
        view.filter_changed.connect(controller.set_filter)
        view.case_asked.connect(controller.open_row)
        view.start_asked.connect(controller.start)
        view.stop_asked.connect(controller.cancel)
        for leave in (self.runner.abandon, controller.close, background.close):
            self.destroyed.connect(leave)

    def open_case(self, row: CaseRow, trace: Path) -> None:
        """Show a case in place of the one that was opened before: its scan, its trace, and the rulers."""
        if trace == self._opened:
            return
        self._opened = trace
        self._viewer.status = f"Reading {row.case} …"
        self._reading = in_background(partial(read_case, row, trace), partial(self._show, trace), self._refuse)

    def _show(self, trace: Path, layers: list[display.LayerData]) -> None:
        if trace != self._opened:
            return  # another case was clicked meanwhile
        self._viewer.status = ""
        for layer in [layer for layer in self._viewer.layers if layer.metadata.get(OPENED)]:
            self._viewer.layers.remove(layer)
        scan = ""
        for data, about, kind in layers:
            about["metadata"][OPENED] = True
            source = about["metadata"].get(display.KEY)
            if isinstance(source, display.LabelSource):
                about["metadata"][display.KEY] = replace(source, scan=scan)
            made = getattr(self._viewer, f"add_{kind}")(data, **about)
            scan = scan or (made.unique_id if kind == "image" else "")
        if isinstance(layers[-1][1]["metadata"].get(display.KEY), display.LabelSource):
            self._viewer.layers.selection.active = self._viewer.layers[-1]
            state = viewer_state_of(self._viewer)
            state.current.go(state.current.steps - 1)  # the answer
            state.open_dock("rulers")

    def _refuse(self, sentence: str) -> None:
        self._opened = Path()
        self._viewer.status = ""
        notify("error", sentence)


OPENED = "voxtrace_batch_case"  # in the metadata of layers that a click opened, and the next one removes


def read_case(row: CaseRow, trace: Path) -> list[display.LayerData]:
    """Return the layers of a case: its scan where it still lies there, and its trace with what the method adds."""
    loaded = Trace.load(trace)
    name = f"{row.case} · result"  # the scan has the name of the case
    return [*_scan_layers(row), *layers_beside(loaded, name), display.trace_layer(loaded, name)]


def _scan_layers(row: CaseRow) -> list[display.LayerData]:
    if not row.inputs or not all(path.exists() for path in row.inputs):
        return []  # moved, or from a ledger that did not say where the scan lay; the trace is shown alone
    return list(display.image_layers(guarded.read(row.inputs[0] if len(row.inputs) == 1 else list(row.inputs))))
