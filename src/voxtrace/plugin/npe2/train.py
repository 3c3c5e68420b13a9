"""Plugins > VoxTrace > Train or fine-tune: the panel, with view and controllers joined."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from voxtrace.plugin.controllers.layers import add_layers
from voxtrace.plugin.controllers.train import TrainController
from voxtrace.plugin.controllers.train_data import TrainDataController
from voxtrace.plugin.layers import display
from voxtrace.plugin.models.messages import TrainPreview
from voxtrace.plugin.npe2.notifications import notify
from voxtrace.plugin.npe2.viewer_state import viewer_state_of
from voxtrace.plugin.views.charts import preload_pyqtgraph
from voxtrace.plugin.views.train import QtTrainView
from voxtrace.plugin.views.widgets import Panel
from voxtrace.plugin.work.events import Runner
from voxtrace.plugin.work.threads import LatestInBackground, ThreadRunner, in_background
from voxtrace.plugin.work.train_data import case_layers


class TrainWidget(Panel):
    """Trains on a dataset, from a bundle or from scratch, with a look at the data, a plan and live curves."""

    def __init__(self, napari_viewer: Any, runner: Runner | None = None) -> None:
        state = viewer_state_of(napari_viewer)
        self.view, self.runner = QtTrainView(), runner or ThreadRunner(state.engine_turn)
        super().__init__(self.view, footer=self.view.state)
        preload_pyqtgraph()
        self._viewer, self._state = napari_viewer, state
        self._learned: Any = None  # the layer of the case that is shown as it is learned
        self._shown_before: list[Any] = []  # that layer and its scan
        self._reading: Any = None
        self.reader = ThreadRunner()
        datasets, outputs = LatestInBackground(), LatestInBackground()
        self.controller = TrainController(
            state.bundle_registry,
            self.view,
            self.runner,
            state.method_registry,
            datasets,
            self._show_preview,
            outputs,
            self._use,
        )
        self.data = TrainDataController(
            self.view, self.reader, self.controller.planned_request, self._open_case, self.controller.set_dataset
        )
        self._connect()
        for leave in (self.runner.abandon, self.reader.abandon, self.controller.close, datasets.close, outputs.close):
            self.destroyed.connect(leave)
        self.destroyed.connect(lambda: state.dataset_changed.disconnect(self.controller.set_dataset, missing_ok=True))

    def _connect(self) -> None:
        view, controller, data, receipts = self.view, self.controller, self.data, self.controller.receipts
        for asked, act in (
            (view.edited, data.edit),
            (view.edited, controller.edit),
            (view.start_picked, controller.pick_start),
            (view.start_asked, controller.start),
            (view.stop_asked, controller.stop),
            (view.help_asked, controller.help),
            (view.fill_asked, controller.fill_begun),
            (view.receipt.keep_asked, receipts.keep),
            (view.receipt.roll_back_asked, receipts.roll_back),
            (view.receipt.old_asked, lambda folder: receipts.measure_old(Path(folder))),
            (view.faults.look_asked, controller.look_again),
            (view.faults.look_asked, data.look_over),
            (view.faults.stop_asked, data.stop),
            (view.faults.case_asked, data.open_row),
            (view.faults.mend_asked, data.mend),
            (view.plan.plan_asked, data.show_plan),
            (view.plan.stop_asked, data.stop),
            (view.plan.save_asked, data.save_plan),
        ):
            asked.connect(act)
        self._state.dataset_changed.connect(controller.set_dataset)
        if self._state.dataset is not None:  # a case was added before this panel opened
            controller.set_dataset(self._state.dataset)

    def _use(self, folder: Path) -> None:
        """Choose a bundle in the Segment panel."""
        self._state.open_dock("segment").controller.browse(folder)

    def _open_case(self, examined: Any, name: str) -> None:
        """Show image and labels of a case of the dataset."""
        self._viewer.status = f"Reading {name} …"
        self._reading = in_background(partial(case_layers, examined, name), self._show_case, self._refuse)

    def _show_case(self, layers: list[display.LayerData]) -> None:
        self._viewer.status = ""
        add_layers(self._viewer, layers)

    def _refuse(self, sentence: str) -> None:
        self._viewer.status = ""
        notify("error", sentence)

    def _show_preview(self, preview: TrainPreview) -> None:
        """Show a case as it is learned: a result whose steps are validations; the last is shown."""
        data, about, _ = preview.labels
        known = self._learned if self._learned in self._viewer.layers else None
        if preview.scan and (known is None or known.name != about["name"]):  # a run that goes on shows it already
            for layer in self._shown_before:  # of another fold: two scans on each other are neither
                if layer in self._viewer.layers:
                    layer.visible = False
            scan = [self._viewer.add_image(pixels, **kept) for pixels, kept, _ in preview.scan]
            source = replace(about["metadata"][display.KEY], scan=scan[0].unique_id)
            about["metadata"][display.KEY] = source
            self._learned = self._viewer.add_labels(data, **about)
            self._shown_before = [*scan, self._learned]
        elif known is not None:
            shown = known
            before = shown.metadata[display.KEY]
            shown.data = data
            shown.metadata[display.KEY] = replace(about["metadata"][display.KEY], scan=before.scan)
        current = self._state.current
        if current.layer is not None and current.layer.name == self._learned.name:
            current.show(current.layer)
            current.go(current.steps - 1)
