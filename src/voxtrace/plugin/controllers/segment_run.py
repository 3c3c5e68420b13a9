"""One run at a time: its progress, the answer that grows on screen, and its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from napari.layers import Labels

from voxtrace.plugin.controllers.layers import add_layers, belongs_to, hide_previous_results, remove_layer
from voxtrace.plugin.layers import display
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.messages import JobStage, ProvisionalAnswer, SegmentResult, TimepointsResult
from voxtrace.plugin.work.events import Done, Event, Failed, Job, Progressed, Runner

REDRAWS_PER_S = 5


class SegmentRun:
    """Runs a job for a scan and shows its result; at most one job runs, and it belongs to its scan by unique id.

    Parameters
    ----------
    viewer, runner
        Where results are shown, and what runs jobs.
    show
        Takes the state of the panel.
    on_result
        Called with the layer of a result and the result.
    clock
        Seconds, ascending.
    hides
        Whether a result hides earlier ones of its scan.
    """

    def __init__(
        self,
        viewer: Any,
        runner: Runner,
        show: Callable[[panel_state.PanelState], None],
        on_result: Callable[[Labels, SegmentResult], None],
        clock: Callable[[], float] = time.monotonic,
        hides: bool = True,
    ) -> None:
        self._hides = hides
        self._viewer, self._runner, self._show, self._on_result, self._clock = viewer, runner, show, on_result, clock
        self._scan = ""
        self._expected_s: float | None = None
        self._since: float | None = None  # when windows began to be segmented
        self._growing: Labels | None = None
        self._hidden: list[Labels] = []  # earlier results that are hidden while an answer grows
        self._grown, self._redrawn = 0, 0.0
        self.result = ""  # unique id of the layer that the last run made
        self.note = ""  # why the last run ended unasked; until the next choice
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def busy(self) -> bool:
        """Whether a run goes on."""
        return self._runner.busy

    def close(self) -> None:
        """Stop, silently: the panel or the viewer is closed."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._runner.abandon()
        self._drop_growing()

    def start(self, job: Job, scan: str, expected_s: float | None = None) -> None:
        """Run a job for a scan; the time that it is expected to take begins the estimate of what is left."""
        self._scan, self._expected_s, self._since, self.note = scan, expected_s, None, ""
        self._show(panel_state.PanelState("Starting …", "busy", busy=True))
        self._runner.start(job, self._on_event)

    def cancel(self) -> None:
        """Stop: at once for the window; the thread ends at its next look, within a second, and is not heard again."""
        if self.busy:
            self._abandon(panel_state.stopped())

    def _abandon(self, state: panel_state.PanelState) -> None:
        self._runner.abandon()
        self._drop_growing()
        self._show(state)

    def _on_removed(self, event: Any) -> None:
        if self.busy and event.value.unique_id == self._scan:
            self.note = "The scan was closed while it was segmented; the run was stopped."
            self._abandon(panel_state.PanelState(self.note))
        if event.value is self._growing:
            self._growing = None  # removed by the user: the run goes on, unseen

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Progressed):
            self._advance(event.progress)
            return
        self._drop_growing()
        if isinstance(event, Done):
            self._finish(event.result)
        elif isinstance(event, Failed):
            self._show(panel_state.failed(event.sentence, event.kind))
        else:
            self._show(panel_state.stopped())

    def _advance(self, progress: JobStage | ProvisionalAnswer) -> None:
        if isinstance(progress, ProvisionalAnswer):
            if progress.layer is None:
                self._remove_growing()
            else:
                self._grow(progress.layer)
            return
        if progress.total and self._since is None:
            self._since = self._clock()
        elapsed_s = self._clock() - self._since if self._since is not None else 0.0
        left_s = panel_state.seconds_left(elapsed_s, progress.done, progress.total, self._expected_s)
        self._show(panel_state.with_time_left(panel_state.working(progress), left_s if progress.total else None))
        self._redraw(progress.slices)

    def _grow(self, layer: display.LayerData) -> None:
        """Show the layer that the job fills in; the selected layer stays selected."""
        selected = self._viewer.layers.selection.active
        self._drop_growing()
        if self._hides:
            shown = [one for one in self._viewer.layers if isinstance(one, Labels) and one.visible]
            self._hidden = [one for one in shown if belongs_to(one, self._scan)]
            hide_previous_results(self._viewer.layers, self._scan)
        [self._growing] = add_layers(self._viewer, [layer])
        self._grown = 0
        self._viewer.layers.selection.active = selected

    def _redraw(self, slices: int) -> None:
        """Draw the slice on screen again, where it was finished since the last time; a few times a second at most."""
        growing, now = self._growing, self._clock()
        if growing is None or slices == self._grown or now - self._redrawn < 1 / REDRAWS_PER_S:
            return
        if self._viewer.dims.ndisplay == 2:  # 3-D would send the whole volume to the graphics card
            growing.refresh(thumbnail=False, highlight=False, extent=False)
        self._grown, self._redrawn = slices, now

    def _remove_growing(self) -> None:
        growing, self._growing = self._growing, None
        if growing is not None and growing in self._viewer.layers:
            remove_layer(self._viewer, growing)

    def _drop_growing(self) -> None:
        """Remove the growing labels, and show again what was hidden for them."""
        self._remove_growing()
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []

    def _finish(self, result: SegmentResult | TimepointsResult) -> None:
        if self._hides:
            hide_previous_results(self._viewer.layers, self._scan)
        if isinstance(result, TimepointsResult):
            self._finish_timepoints(result)
            return
        add_layers(self._viewer, result.beside)
        data, about, _ = result.steps
        steps = self._viewer.add_labels(data, **about)
        self._viewer.layers.selection.active = steps
        self._viewer.dims.set_current_step(self._viewer.dims.ndim - data.ndim, data.shape[0] - 1)
        self.result = steps.unique_id
        self._on_result(steps, result)
        self._show(panel_state.finished(data.shape[0], about["axis_labels"][0], result.seconds))

    def _finish_timepoints(self, result: TimepointsResult) -> None:
        [layer] = add_layers(self._viewer, [result.layer])
        self._viewer.layers.selection.active = layer
        if len(result.timepoints) == 1:
            self._viewer.dims.set_current_step(self._viewer.dims.ndim - 4, result.timepoints[0])
        self.result = layer.unique_id
        self._show(panel_state.finished_timepoints(result.timepoints, result.count, result.seconds))
