"""Train on a dataset from the window: choose a start, run, watch, stop and resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from voxtrace.bundle import card
from voxtrace.errors import MethodError
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.messages import WAITING, JobStage, TrainPreview, TrainReport
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.models.train_form import DatasetFit, TrainForm, TrainStart, has_listing, ready, resumable
from voxtrace.plugin.models.train_receipt import TrainReceipt, receipt
from voxtrace.plugin.work import jobs
from voxtrace.plugin.work.background import Background, at_once
from voxtrace.plugin.work.dataset_fit import dataset_fit
from voxtrace.plugin.work.events import Done, Event, Failed, Progressed, Runner
from voxtrace.training.request import TrainRequest

if TYPE_CHECKING:
    from voxtrace.method import Method, OptionInfo


class TrainView(Protocol):
    """The setters of the training panel."""

    def set_starts(self, names: Sequence[str], chosen: int) -> None:
        """Fill the picker of what training starts from."""

    def set_options(self, title: str, options: Sequence[OptionInfo], values: Mapping[str, Any]) -> None:
        """Show a field for each option of a method, filled in."""

    def set_start_word(self, word: str) -> None:
        """Set the text of the Start button: Start or Resume."""

    def set_dataset(self, folder: str) -> None:
        """Fill in the dataset's folder."""

    def clear_curves(self) -> None:
        """Remove the curves of the previous run."""

    def add_report(self, report: TrainReport) -> None:
        """Add a point to each loss curve, and to the validation Dice where it was measured."""

    def set_start_note(self, verdict: str, sentence: str) -> None:
        """Show below the picker whether the start fits the dataset; both are "" where that is not known."""

    def show_receipt(self, made: TrainReceipt | None) -> None:
        """Show what a training made; None hides it."""

    def show_state(self, state: panel_state.PanelState) -> None:
        """Show the state."""


class TrainController:
    """Connects the bundles, the methods, a runner and the training panel.

    ``background`` looks at datasets, ``show_preview`` shows a held-back case as it is learned.
    """

    def __init__(
        self,
        bundles: BundleRegistry,
        view: TrainView,
        runner: Runner,
        methods: MethodRegistry | None = None,
        background: Background = at_once,
        show_preview: Callable[[TrainPreview], None] = lambda preview: None,
    ) -> None:
        self._bundles, self._view, self._runner, self._methods = bundles, view, runner, methods or MethodRegistry()
        self._background, self._show_preview = background, show_preview
        self._form, self._state, self._dice = TrainForm(), panel_state.PanelState(), 0.0
        self._chosen: TrainStart | None = None
        self._picked = False  # by the user: then a dataset does not change it
        self._looked_at, self._fit = "", DatasetFit("")
        self._began_s: float | None = None  # once it need not wait for another run
        bundles.changed.connect(self.refresh)
        self._methods.changed.connect(self.refresh)
        self.refresh()

    def close(self) -> None:
        """Disconnect from the bundles and the methods."""
        self._bundles.changed.disconnect(self.refresh)
        self._methods.changed.disconnect(self.refresh)

    @property
    def starts(self) -> list[TrainStart]:
        """What training can start from: every known bundle but folders of folds, then every method."""
        single = [known for known in self._bundles.bundles if not known.folds]  # one has to be chosen
        bundles = [TrainStart(k.name, k.method, k.path, k.options) for k in single]
        methods = self._methods.classes.items()
        return bundles + [TrainStart(f"{kind.title}, from scratch", key) for key, kind in methods]

    def refresh(self) -> None:
        """Update from the known bundles and methods; the chosen start is kept."""
        starts = self.starts
        if self._chosen not in starts or not self._picked:
            self._chosen = self._default()
        self._view.set_starts([s.title for s in starts], starts.index(self._chosen) if self._chosen else -1)
        self._offer()
        self._look()
        if self._state.level != "done":  # what was made stays said until the form changes
            self.edit(self._form)

    def _default(self) -> TrainStart | None:
        """Return the start that fits the dataset: the suggested bundle, else a method from scratch."""
        starts = self.starts
        if not self._form.dataset:
            return next(iter(starts), None)
        fitting = next((s for s in starts if s.bundle and s.bundle == self._fit.suggested), None)
        scratch = next((s for s in starts if not s.bundle and s.method == self._methods.default), None)
        return fitting or scratch or next((s for s in starts if not s.bundle), None)

    def pick_start(self, index: int) -> None:
        """Start from another bundle or method."""
        self._chosen, self._picked = self.starts[index], True
        self._form = replace(self._form, options={})
        self._offer()
        self.edit(self._form)

    def _offer(self) -> None:
        """Show the options of the chosen start; the form is unchanged while they stay the same."""
        method = self._method({})
        values = {info.name: getattr(method, info.name) for info in method.options()} if method else {}
        self._view.set_options(method.title if method else "", method.options() if method else (), values)
        verdict = self._fit.fits.get(self._chosen.bundle) if self._chosen and self._chosen.bundle else None
        self._view.set_start_note(verdict.verdict if verdict else "", verdict.sentence if verdict else "")

    def _look(self) -> None:
        """Ask in the background which bundles fit the dataset, when it is another one or there are other bundles."""
        dataset, paths = self._form.dataset, {known.path: known.record for known in self._bundles.bundles}
        key = "\n".join(map(str, (dataset, *paths)))
        if key == self._looked_at or not has_listing(dataset):
            return
        self._looked_at = key
        self._background(partial(dataset_fit, dataset, paths), self._take_fit)

    def _take_fit(self, found: DatasetFit) -> None:
        self._fit = found
        self.refresh()

    def _method(self, options: Mapping[str, Any]) -> Method | None:
        chosen = self._chosen
        if chosen is None:
            return None
        if chosen.bundle and not options:  # what the form begins with is how fine-tuning goes on
            made = self._methods.create(chosen.method, chosen.options)
            return made.fine_tuned() if made else None
        return self._methods.create(chosen.method, {**chosen.options, **options})

    def edit(self, form: TrainForm) -> None:
        """Store the values of the form and show what is missing."""
        self._form = form
        self._look()
        self._view.set_start_word("Resume" if resumable(form.out) else "Start")
        if not self._runner.busy:
            self._show(self._ready())

    def _ready(self) -> panel_state.PanelState:
        if self._chosen is None:
            return panel_state.PanelState(self._methods.error_message or "Loading the methods …")
        try:
            self._method(self._form.options)
        except MethodError as error:
            return panel_state.PanelState(str(error), "error")
        if has_listing(self._form.dataset) and self._fit.dataset != self._form.dataset:
            return panel_state.PanelState("Looking which models fit this dataset …")
        return ready(self._form)

    def set_dataset(self, folder: str | Path) -> None:
        """Fill in a dataset, e.g. one to which a corrected case was added, unless a training runs."""
        if not self._runner.busy:
            self._view.set_dataset(str(folder))  # its field then reports the change

    def start(self) -> None:
        """Start training, from the checkpoint where there is one."""
        state = self._ready()
        if not state.can_start:
            self._show(state)
            return
        self._view.clear_curves()
        self._view.show_receipt(None)
        self._dice, self._began_s = 0.0, None
        self._show(panel_state.PanelState("Starting …", "busy", busy=True))
        self._runner.start(partial(jobs.train, self.request), self._on_event)

    @property
    def request(self) -> TrainRequest:
        """The form's values as a request for the job."""
        form, chosen = self._form, self._chosen
        assert chosen is not None
        return TrainRequest(
            dataset=Path(form.dataset),
            fold=form.fold,
            out=Path(form.out),
            iterations=form.iterations or None,
            initial=chosen.bundle,
            method=None if chosen.bundle else chosen.method,
            options=form.options,
            minutes=form.minutes,
            resume=resumable(form.out),
        )

    def stop(self) -> None:
        """Ask the training to write a checkpoint and stop."""
        self._runner.cancel()
        self._show(replace(panel_state.stopping(self._state), message="Stopping: writing a checkpoint …"))

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Progressed):
            self._advance(event.progress)
        elif isinstance(event, Failed):
            self._end(panel_state.failed(event.sentence))
        elif isinstance(event, Done):
            self._finish(event.result)
        else:
            word = " Press Resume to continue." if resumable(self._form.out) else ""
            self._end(panel_state.PanelState(f"S{event.sentence[1:] or 'topped.'}{word}", can_start=True))

    def _advance(self, report: JobStage | TrainReport) -> None:
        if report != WAITING and self._began_s is None:
            self._began_s = time.monotonic()
        state = panel_state.working(report)
        if isinstance(report, TrainReport):
            self._view.add_report(report)
            if report.preview is not None:
                self._show_preview(report.preview)
            self._dice = report.dice or self._dice
            if self._dice:
                state = replace(state, message=f"{state.message} · validation Dice {self._dice:.3f}")
        self._show(state)

    def _finish(self, folder: Path) -> None:
        known = self._bundles.add(folder)  # updates the pickers of both panels
        took_s = time.monotonic() - self._began_s if self._began_s is not None else 0.0
        self._view.show_receipt(receipt(card(folder), folder, took_s))
        self._show(
            panel_state.PanelState(
                f"Done. {known.name} is now in the picker of the Segment panel.", "done", can_start=False
            )
        )

    def _end(self, state: panel_state.PanelState) -> None:
        self._view.set_start_word("Resume" if resumable(self._form.out) else "Start")
        self._show(state)

    def _show(self, state: panel_state.PanelState) -> None:
        self._state = state
        self._view.show_state(state)
