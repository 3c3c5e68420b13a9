"""Look a dataset over in the window: list its faults, open a case, mend them into a copy, and show the plan."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from voxtrace.errors import OutputError
from voxtrace.plugin.models.messages import JobStage
from voxtrace.plugin.models.panel_state import PanelState, failed, stopping, working
from voxtrace.plugin.models.train_data import Fact, FaultRow, can_mend, examined_sentence, fault_rows, plan_facts
from voxtrace.plugin.models.train_form import TrainForm, spacing_mm, window_voxels
from voxtrace.plugin.work import train_data
from voxtrace.plugin.work.events import Cancel, Done, Event, Failed, Job, Progressed, Runner

if TYPE_CHECKING:
    from voxtrace.training.doctor import Examination
    from voxtrace.training.request import TrainRequest


class TrainDataView(Protocol):
    """The setters of the parts that show a dataset and its plan."""

    def set_faults(self, rows: Sequence[FaultRow], can_mend: bool) -> None:
        """List the faults of a dataset; ``can_mend`` offers a copy without them."""

    def set_plan(self, facts: Sequence[Fact], can_save: bool) -> None:
        """Show a plan as names and values."""

    def show_data_state(self, state: PanelState) -> None:
        """Show what the look at the dataset is at."""

    def show_plan_state(self, state: PanelState) -> None:
        """Show what the planning is at."""


class TrainDataController:
    """Connects a runner and the parts of the training panel that show a dataset and its plan.

    Parameters
    ----------
    request
        Returns what the form asks to train; None while something is missing.
    open_case
        Shows a case of a dataset in the viewer.
    use
        Takes up another dataset, e.g. the mended copy.
    """

    def __init__(
        self,
        view: TrainDataView,
        runner: Runner,
        request: Callable[[], TrainRequest | None],
        open_case: Callable[[Examination, str], None],
        use: Callable[[Path], None],
    ) -> None:
        self._view, self._runner, self._request, self._open_case, self._use = view, runner, request, open_case, use
        self._form = TrainForm()
        self._examined: Examination | None = None
        self._files: object = None  # as they were when the dataset was looked over
        self._rows: Sequence[FaultRow] = ()
        self._shown: Any = None
        self._show: Callable[[PanelState], None] = view.show_data_state
        self._state = PanelState()
        self._idle()

    def edit(self, form: TrainForm) -> None:
        """Take the values of the form; another dataset is not looked over yet, another choice not planned yet."""
        before, self._form = self._form, form
        if form.dataset != before.dataset:
            self._runner.abandon()
            self._examined, self._rows = None, ()
            self._view.set_faults((), False)
        if _planned_by(form) != _planned_by(before):
            self._shown = None
            self._view.set_plan((), False)
            if not self._runner.busy:
                self._idle_plan()
        if form.dataset != before.dataset:  # what was found, or written, stays said until then
            self._idle()

    def look_over(self) -> None:
        """Read every file of the dataset and list what is wrong."""
        self._start(self._view.show_data_state, partial(self._looking, self._form.dataset), self._take)

    def show_plan(self) -> None:
        """Look the dataset over where that was not done yet, and show its plan and what would be trained."""
        job = partial(self._planning, self._form, self._request())
        self._start(self._view.show_plan_state, job, self._take_plan)

    def mend(self, out: str) -> None:
        """Write a copy without the faults, and take it up as the dataset."""
        if self._examined is not None and out:
            job = partial(train_data.mending, self._examined, Path(out))
            self._start(self._view.show_data_state, job, self._take_copy)

    def stop(self) -> None:
        """Ask the job to stop."""
        self._runner.cancel()
        self._state = stopping(self._state)
        self._show(self._state)

    def open_row(self, index: int) -> None:
        """Show the case of a line of the list."""
        if self._examined is not None and self._rows[index].has_case:
            self._open_case(self._examined, self._rows[index].case)

    def save_plan(self, file: str) -> None:
        """Write the plan that is shown to a file, as ``voxtrace plan --out`` does."""
        document = self._shown.planned.document if self._shown is not None else None
        if document is None or not file:
            return
        try:
            document.write(Path(file))
        except OutputError as error:
            self._view.show_plan_state(failed(str(error)))
            return
        sentence = f"Plan and folds lie in {file}; it goes into Plan file, or after --plan on the command line."
        self._view.show_plan_state(PanelState(sentence, "done", can_start=True))

    def _start(self, show: Callable[[PanelState], None], job: Job, done: Callable[[Any], None]) -> None:
        if not self._form.dataset or self._runner.busy:
            return
        self._show = show
        self._advance(PanelState("Starting …", "busy", busy=True))
        self._runner.start(job, partial(self._on_event, done))

    def _planning(
        self, form: TrainForm, request: TrainRequest | None, cancel: Cancel
    ) -> Generator[JobStage, None, Any]:
        examined, files = self._examined, self._files
        if examined is None or files != train_data.state_of_files(form.dataset):
            examined, files = yield from self._looking(form.dataset, cancel)
        choices = {
            "window": window_voxels(form.window),
            "spacing_mm": spacing_mm(form.spacing),
            "batch_size": form.batch_size or None,
        }
        return (examined, files), (yield from train_data.planning(examined, choices, request, cancel))

    def _looking(self, dataset: str, cancel: Cancel) -> Generator[JobStage, None, Any]:
        files = train_data.state_of_files(dataset)  # before they are read: what is written meanwhile is read anew
        return (yield from train_data.looking_over(dataset, cancel)), files

    def _on_event(self, done: Callable[[Any], None], event: Event) -> None:
        if isinstance(event, Progressed):
            self._advance(working(event.progress))
        elif isinstance(event, Done):
            done(event.result)
        elif isinstance(event, Failed):
            self._advance(PanelState(event.sentence, "error", can_start=True))
        else:
            self._advance(PanelState(f"S{event.sentence[1:] or 'topped.'}", can_start=True))

    def _take(self, look: tuple[Examination, object]) -> None:
        self._list(look)
        self._advance(_listed(look[0]))

    def _list(self, look: tuple[Examination, object]) -> None:
        examined, self._files = look
        self._examined, self._rows = examined, fault_rows(examined)
        self._view.set_faults(self._rows, can_mend(examined))

    def _take_plan(self, planned_look: tuple[Any, train_data.ShownPlan]) -> None:
        look, shown = planned_look
        self._list(look)
        self._view.show_data_state(_listed(shown.examined))
        self._shown = shown
        planned = shown.planned
        self._view.set_plan(plan_facts(planned, shown.setup), planned.document is not None)
        warnings = " ".join(f"{one.what} {one.remedy}" for one in planned.faults)
        if planned.document is None:
            self._advance(PanelState(f"No plan: {planned.why_not}", "error", can_start=True))
        elif warnings:
            self._advance(PanelState(warnings, "warning", can_start=True))
        else:
            shared = "It is kept for every fold and method." if planned.kept else "It holds for this form."
            self._advance(PanelState(f"Planned. {shared}", "done", can_start=True))

    def _take_copy(self, written: tuple[Path, tuple[str, ...]]) -> None:
        out, left_out = written
        self._use(out)
        without = f"without {', '.join(left_out)}" if left_out else "with every case"
        self._advance(PanelState(f"The copy lies in {out}, {without}; it is the dataset now.", "done", can_start=True))

    def _idle(self) -> None:
        can_start = bool(self._form.dataset)
        self._view.show_data_state(PanelState("Reads every file once; nothing is changed.", can_start=can_start))
        self._idle_plan()

    def _idle_plan(self) -> None:
        can_start = bool(self._form.dataset)
        self._view.show_plan_state(PanelState("Says what would be trained, and what it needs.", can_start=can_start))

    def _advance(self, state: PanelState) -> None:
        self._state = state
        self._show(state)


def _listed(examined: Examination) -> PanelState:
    return PanelState(examined_sentence(examined), "warning" if examined.bad else "done", can_start=True)


def _planned_by(form: TrainForm) -> tuple[object, ...]:
    """Return the values of a form that a plan depends on."""
    return form.dataset, form.window, form.spacing, form.batch_size, form.plan
