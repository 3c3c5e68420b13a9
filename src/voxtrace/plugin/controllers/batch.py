"""Predict many cases from the window, list them worst first, and open one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from voxtrace.fit.origin_checks import is_demonstration
from voxtrace.plugin.models import batch, panel_state
from voxtrace.plugin.models.batch import BatchForm, BatchProgress, BatchRequest, CaseRow, TimeLeft
from voxtrace.plugin.models.bundles import BundleRegistry, KnownBundle
from voxtrace.plugin.models.messages import JobStage
from voxtrace.plugin.work import batch_jobs
from voxtrace.plugin.work.background import Background, at_once
from voxtrace.plugin.work.events import Done, Event, Failed, Progressed, Runner


class BatchView(Protocol):
    """The setters of the batch dock."""

    def set_bundles(self, names: Sequence[str], chosen: int) -> None:
        """Fill the picker of models."""

    def set_inputs(self, inputs: Sequence[str]) -> None:
        """List the folders and files to read."""

    def set_out(self, out: str) -> None:
        """Show the folder of the results."""

    def set_rows(self, rows: Sequence[CaseRow], labels: Sequence[str], order: str) -> None:
        """Show the table; ``labels`` have a column of mL, ``order`` says what it is ordered by."""

    def show_state(self, state: panel_state.PanelState) -> None:
        """Show the state."""


class BatchController:
    """Connects the bundles, a runner and the dock; ``open_case`` opens a scan and its trace in the viewer."""

    def __init__(
        self,
        bundles: BundleRegistry,
        view: BatchView,
        runner: Runner,
        open_case: Callable[[CaseRow, Path], None],
        background: Background = at_once,
    ) -> None:
        self._bundles, self._view, self._runner, self._open_case = bundles, view, runner, open_case
        self._background = background
        self._form, self._rows, self._filter = BatchForm(), dict[str, CaseRow](), ""
        self._shown: list[CaseRow] = []
        self._time_left = TimeLeft.start()
        bundles.changed.connect(self.refresh)
        self.refresh()

    def close(self) -> None:
        """Disconnect from the bundles."""
        self._bundles.changed.disconnect(self.refresh)

    def refresh(self) -> None:
        """Update from the known bundles; the chosen one is kept."""
        known = self._bundles.bundles
        if self._chosen is None:
            real = [one for one in known if not is_demonstration(one.record)]  # of several, none is guessed
            self._form = replace(self._form, bundle=real[0].path if len(real) == 1 else None)
        chosen = self._chosen
        self._view.set_bundles([one.name for one in known], known.index(chosen) if chosen else -1)
        self._update()

    @property
    def _chosen(self) -> KnownBundle | None:
        return next((one for one in self._bundles.bundles if one.path == self._form.bundle), None)

    def pick_bundle(self, index: int) -> None:
        """Choose another model."""
        self._form = replace(self._form, bundle=self._bundles.bundles[index].path)
        self._update()

    def add_inputs(self, paths: Sequence[str]) -> None:
        """Add folders or files to read."""
        self._set_inputs((*self._form.inputs, *paths))

    def remove_input(self, index: int) -> None:
        """Take a folder or file off the list."""
        self._set_inputs([path for at, path in enumerate(self._form.inputs) if at != index])

    def _set_inputs(self, inputs: Sequence[str]) -> None:
        self._form = replace(self._form, inputs=tuple(dict.fromkeys(inputs)))
        self._view.set_inputs(self._form.inputs)
        self._update()

    def set_out(self, out: str) -> None:
        """Choose the folder of the results; one with a ledger is opened."""
        if out == self._form.out:
            return
        self._form = replace(self._form, out=out)
        self._view.set_out(out)
        self._rows = {}
        if batch.has_ledger(out):
            self._background(partial(batch_jobs.read_folder, Path(out)), partial(self._take_rows, out))
        self._show_rows()
        self._update()

    def _take_rows(self, out: str, rows: Sequence[CaseRow]) -> None:
        if out == self._form.out and not self._runner.busy:
            self._rows = {row.case: row for row in rows}
            self._show_rows()

    def set_filter(self, text: str) -> None:
        """Show only rows that have every word of the filter."""
        self._filter = text
        self._show_rows()

    def start(self) -> None:
        """Predict the cases that are not done yet."""
        state = batch.ready(self._form)
        if not state.can_start or self._form.bundle is None:
            self._view.show_state(state)
            return
        request = BatchRequest(tuple(map(Path, self._form.inputs)), self._form.bundle, Path(self._form.out))
        self._time_left = TimeLeft.start()
        self._view.show_state(panel_state.PanelState("Starting …", "busy", busy=True))
        self._runner.start(partial(batch_jobs.predict, request), self._on_event)

    def cancel(self) -> None:
        """Ask the run to stop; cases that are done are kept."""
        self._runner.cancel()
        self._view.show_state(panel_state.PanelState("Stopping; cases that are done are kept …", "busy", busy=True))

    def open_row(self, index: int) -> None:
        """Open the scan and the trace of a row of the table."""
        row = self._shown[index]
        if row.state == "done":
            self._open_case(row, Path(self._form.out) / f"{row.case}.trace")

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Progressed):
            self._advance(event.progress)
            return
        self._rows = {n: replace(r, state="started") if r.state == "running" else r for n, r in self._rows.items()}
        self._show_rows()
        if isinstance(event, Failed):
            self._view.show_state(panel_state.failed(event.sentence))
        elif isinstance(event, Done):
            counts = (len(event.result.done), len(event.result.skipped), len(event.result.failed))
            self._view.show_state(batch.finished(*counts, self._form.out))
        else:
            text = "Stopped. Start continues with the cases that are not done."
            self._view.show_state(panel_state.PanelState(text, can_start=True))

    def _advance(self, progress: JobStage | BatchProgress) -> None:
        if isinstance(progress, JobStage):
            self._time_left = TimeLeft.start()  # a run may have waited for another one
            self._view.show_state(panel_state.working(progress))
            return
        if progress.rows:
            known = {row.case for row in self._rows.values() if row.state == "done"}
            fresh = [row for row in progress.rows if not (row.state == "waiting" and row.case in known)]
            self._rows |= {row.case: row for row in fresh}
            if any(row.state in ("done", "failed") and row.case not in known for row in fresh):
                self._time_left = self._time_left.another()
            self._show_rows()
        left = self._time_left.sentence(progress.total - progress.number + 1)
        text = f"{progress.number} of {progress.total} · {progress.text}" + (f" · {left}" if left else "")
        done = round(1000 * (max(0, progress.number - 1) + progress.fraction))
        state = panel_state.PanelState(text, "busy", busy=True, done=done, total=1000 * progress.total)
        self._view.show_state(state)

    def _show_rows(self) -> None:
        every = list(self._rows.values())
        matching = [row for row in batch.worst_first(every) if row.matches(self._filter)]
        self._shown = matching[: batch.MOST_ROWS]
        order = batch.order_sentence(every, len(matching))
        self._view.set_rows(self._shown, batch.label_columns(every), order)

    def _update(self) -> None:
        if not self._runner.busy:
            self._view.show_state(batch.ready(self._form))
