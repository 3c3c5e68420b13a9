"""Keep what was corrected: everything of a result in a folder, or a case of a training set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from napari.layers import Labels

from voxtrace.plugin.controllers.correct import CorrectController
from voxtrace.plugin.controllers.edits import EditController, shown_in
from voxtrace.plugin.controllers.layers import folder_of, label_source, open_scans
from voxtrace.plugin.models.bundles import KnownBundle
from voxtrace.plugin.models.correct_form import AddRequest
from voxtrace.plugin.models.panel_state import PanelState, working
from voxtrace.plugin.models.trust import record_of
from voxtrace.plugin.work.events import Done, Event, Failed, Progressed, Runner, Stopped
from voxtrace.plugin.work.keeping import LabelsOnScreen, PrintPdf, adding_case, saving_everything
from voxtrace.training.add_case import AddedCase, case_name


class KeepView(Protocol):
    """The setters of the part that keeps what was corrected."""

    def set_target(self, name: str, folder: Path | None) -> None:
        """Show the suggested name of a case (``""`` where there is nothing to keep), and where the scan lies."""

    def show_state(self, state: PanelState) -> None:
        """Show the state of a job."""


class KeepController:
    """Connects the labels on screen, a runner and the part that keeps them."""

    def __init__(
        self,
        viewer: Any,
        view: KeepView,
        runner: Runner,
        target: CorrectController,
        edits: EditController,
        print_pdf: PrintPdf,
        on_dataset: Callable[[Path], None],
        bundles: Callable[[], Sequence[KnownBundle]] = tuple,
    ) -> None:
        self._viewer, self._view, self._runner, self._target, self._edits = viewer, view, runner, target, edits
        self._print_pdf, self._on_dataset, self._bundles = print_pdf, on_dataset, bundles
        self._shown_layer: Labels | None = None
        viewer.layers.selection.events.active.connect(self.refresh)
        viewer.layers.events.removed.connect(self.refresh)
        self.refresh()

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._viewer.layers.selection.events.active.disconnect(self.refresh)
        self._viewer.layers.events.removed.disconnect(self.refresh)

    def refresh(self, event: Any = None) -> None:
        """Suggest a name for the case, when other labels are on screen."""
        layer = self._target.layer
        if layer is None:
            self._shown_layer = None
            self._view.set_target("", None)
        elif layer is not self._shown_layer:
            self._shown_layer = layer
            self._view.set_target(self._suggestion(layer), folder_of(layer, self._viewer.layers))

    def save_everything(self, folder: Path, with_patient: bool) -> None:
        """Write everything of what is on screen into a new folder."""
        layer = self._target.layer
        if layer is None or self._runner.busy:
            return
        on_screen = self._on_screen(layer)
        job = partial(saving_everything, folder, on_screen, with_patient, self._print_pdf)
        self._view.show_state(PanelState(f"Saving {folder.name} …", "busy", busy=True))
        self._runner.start(job, partial(self._on_event, partial(self._saved, layer, on_screen)))

    def add_case(self, request: AddRequest) -> None:
        """Add the labels on screen and their scan to a training set."""
        layer = self._target.layer
        if layer is None or self._runner.busy:
            return
        job = partial(adding_case, request.folder, request.name, request.replace, self._on_screen(layer))
        self._view.show_state(PanelState(f"Adding {request.name} …", "busy", busy=True))
        self._runner.start(job, partial(self._on_event, self._added))

    def stop(self) -> None:
        """Ask the job to stop."""
        self._runner.cancel()

    def _on_event(self, done: Callable[[Any], str], event: Event) -> None:
        if isinstance(event, Progressed):
            self._view.show_state(working(event.progress))
        elif isinstance(event, Done):
            self._view.show_state(PanelState(done(event.result), "done"))
        elif isinstance(event, Failed):
            self._view.show_state(PanelState(event.sentence, "error"))
        elif isinstance(event, Stopped):
            self._view.show_state(PanelState(event.sentence or "Stopped; nothing was saved."))

    def _saved(self, layer: Labels, on_screen: LabelsOnScreen, folder: Path) -> str:
        self._edits.saved.emit(layer)
        words = f"{on_screen.shown.words} of " if on_screen.shown.words else ""
        return f"Saved {words}{layer.name} with its report in {folder}."

    def _added(self, added: AddedCase) -> str:
        self._on_dataset(added.folder)
        return added.sentence

    def _on_screen(self, layer: Labels) -> LabelsOnScreen:
        shown = shown_in(self._viewer, layer.data, self._edits)
        source = label_source(layer)
        model = record_of(self._bundles(), source.trace if source is not None else None)
        scans = open_scans(self._viewer.layers)
        return LabelsOnScreen(layer.data, layer.as_layer_data_tuple()[1], scans, shown, model)

    def _suggestion(self, layer: Labels) -> str:
        source = label_source(layer)
        wanted = source.scan if source is not None else ""
        scan = next((x.name for x in self._viewer.layers if x.unique_id == wanted), layer.name)
        return case_name(scan)
