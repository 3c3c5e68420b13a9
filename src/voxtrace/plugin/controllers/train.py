"""Train on a dataset from the window: choose a start, run, watch, stop, resume and extend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from voxtrace.bundle import card
from voxtrace.errors import MethodError, UsageError
from voxtrace.inference.fold_folder import fold_summary
from voxtrace.plugin.controllers.train_follower import CurveSetter, TrainFollower
from voxtrace.plugin.controllers.train_receipt import TrainReceiptController
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.bundles import BundleRegistry
from voxtrace.plugin.models.messages import TrainPreview
from voxtrace.plugin.models.methods import MethodRegistry
from voxtrace.plugin.models.train_form import (
    KnownDataset,
    TrainForm,
    TrainStart,
    ready,
    request_of,
    resumable,
    start_word,
)
from voxtrace.plugin.models.train_more import TrainMore
from voxtrace.plugin.models.train_progress import END_NOW, ENDS_NOW_MIN
from voxtrace.plugin.models.train_receipt import TrainReceipt, receipt
from voxtrace.plugin.models.train_run import FoundRun, run_lines
from voxtrace.plugin.work import jobs
from voxtrace.plugin.work.background import Background, at_once
from voxtrace.plugin.work.dataset_fit import dataset_fit
from voxtrace.plugin.work.events import Done, Event, Failed, Progressed, Runner
from voxtrace.plugin.work.train_run import found_run
from voxtrace.training.request import TrainRequest

if TYPE_CHECKING:
    from voxtrace.method import Method, OptionInfo


class TrainView(CurveSetter, Protocol):
    """The setters of the training panel."""

    def set_starts(self, names: Sequence[str], chosen: int) -> None:
        """Fill the picker of what training starts from."""

    def set_options(self, title: str, options: Sequence[OptionInfo], values: Mapping[str, Any]) -> None:
        """Show a field for each option of a method, filled in."""

    def set_start_word(self, word: str) -> None:
        """Set the text of the Start button: Start, Resume or Extend."""

    def set_dataset(self, folder: str) -> None:
        """Fill in the dataset's folder."""

    def set_known(self, known: KnownDataset) -> None:
        """Show what is known of the dataset; its folds and cases fill pickers."""

    def set_plan_is_the_bundles(self, fixed: bool) -> None:
        """Tell whether window and spacing are those of the bundle that is fine-tuned."""

    def show_run(self, lines: Sequence[str], can_fill: bool, can_extend: bool) -> None:
        """Show what lies at the output, and offer to fill in the form as it was begun, or to extend it."""

    def fill_begun(self, fold: int | None, constant: bool | None) -> None:
        """Fill in the fold, and how the rate goes where that is known."""

    def fill_rest(self, minutes: float | None, preview: str, more: TrainMore) -> None:
        """Fill in everything else that a run recorded."""

    def clear_lengths(self) -> None:
        """Empty the fields of how long a run is, and how much longer it gets; nothing is reported."""

    def set_start_note(self, verdict: str, sentence: str) -> None:
        """Show below the picker whether the start fits the dataset; both are "" where that is not known."""

    def show_receipt(self, made: TrainReceipt | None) -> None:
        """Show what a training made; None hides it."""

    def show_state(self, state: panel_state.PanelState) -> None:
        """Show the state."""


class TrainController:
    """Connects the bundles, the methods, a runner and the training panel.

    Parameters
    ----------
    bundles, view, runner, methods
        What it connects.
    background, look
        Look at datasets, and at what lies at an output.
    show_preview
        Shows a case as it is learned.
    use
        Chooses a bundle in the Segment panel.
    """

    def __init__(
        self,
        bundles: BundleRegistry,
        view: TrainView,
        runner: Runner,
        methods: MethodRegistry | None = None,
        background: Background = at_once,
        show_preview: Callable[[TrainPreview], None] = lambda preview: None,
        look: Background = at_once,
        use: Callable[[Path], None] = lambda folder: None,
    ) -> None:
        self._bundles, self._view, self._runner, self._methods = bundles, view, runner, methods or MethodRegistry()
        self._background, self._look_at_run = background, look
        self._follower = TrainFollower(view, show_preview)
        self.receipts = TrainReceiptController(bundles, view, runner, self._show, use)
        self._form, self._state = TrainForm(), panel_state.PanelState()
        self._chosen: TrainStart | None = None
        self._begun: Mapping[str, Any] = {}  # options of the run that the form was filled in from
        self._picked = False  # by the user: then a dataset does not change it
        self._looked_at, self._known = "", KnownDataset("")
        self._run_at, self._run = "", FoundRun()
        self._ends_now = False
        self._asked: TrainRequest | None = None  # of the run that was started last
        bundles.changed.connect(self.refresh)
        self._methods.changed.connect(self.refresh)
        self.refresh()

    def close(self) -> None:
        """Disconnect from the bundles and the methods."""
        self._bundles.changed.disconnect(self.refresh)
        self._methods.changed.disconnect(self.refresh)

    @property
    def starts(self) -> list[TrainStart]:
        """What training can start from.

        Every known bundle but folders of folds, every method with random weights, and bundles that go on as another
        method that takes their weights.
        """
        single = [known for known in self._bundles.bundles if not known.folds]  # one has to be chosen
        kinds = self._methods.classes
        bundles = [TrainStart(k.name, k.method, k.path, k.options_as_asked) for k in single]
        others = [
            TrainStart(f"{k.name}, going on as {kind.title}", key, k.path, before=(k.method, k.options))
            for k in single
            for key, kind in kinds.items()
            if k.method in kind.begins_from
        ]
        titles = [kind.title for kind in kinds.values()]
        methods = [
            TrainStart(f"{kind.title}{f' ({key})' if titles.count(kind.title) > 1 else ''}, from scratch", key)
            for key, kind in kinds.items()  # of a package, it may be called like one of ours
        ]
        return bundles + methods + others

    def refresh(self) -> None:
        """Update from the known bundles and methods; the chosen start is kept."""
        starts = self.starts
        if self._chosen not in starts or not self._picked:
            self._chosen, self._begun = self._default(), {}
        self._view.set_starts([s.title for s in starts], starts.index(self._chosen) if self._chosen else -1)
        self._offer()
        self._look()
        if self._state.level != "done":  # what was made stays said until the form changes
            self.edit(self._form)

    def _default(self) -> TrainStart | None:
        """Return the start that fits the dataset: the suggested bundle, else a method from scratch.

        There is none before the dataset is known.
        """
        if not self._knows_dataset:
            return None
        starts = self.starts
        fitting = next((s for s in starts if s.bundle and s.bundle == self._known.suggested), None)
        scratch = next((s for s in starts if not s.bundle and s.method == self._methods.default), None)
        return fitting or scratch or next((s for s in starts if not s.bundle), None)

    @property
    def _knows_dataset(self) -> bool:
        return bool(self._form.dataset) and self._known.dataset == self._form.dataset

    def pick_start(self, index: int) -> None:
        """Start from another bundle or method."""
        self._chosen, self._picked, self._begun = self.starts[index], True, {}
        self._form = replace(self._form, options={})
        self._offer()
        self.edit(self._form)

    def _offer(self) -> None:
        """Show the options of the chosen start; the form is unchanged while they stay the same."""
        method, chosen = self._method({}), self._chosen
        values = {info.name: getattr(method, info.name) for info in method.options()} if method else {}
        values |= {name: value for name, value in self._begun.items() if name in values}
        self._view.set_options(method.title if method else "", method.options() if method else (), values)
        verdict = self._known.fits.get(chosen.bundle) if chosen and chosen.bundle else None
        self._view.set_start_note(verdict.verdict if verdict else "", verdict.sentence if verdict else "")
        self._view.set_plan_is_the_bundles(bool(chosen and chosen.bundle))

    def _look(self) -> None:
        """Ask in the background what the dataset is, when it is another one or there are other bundles."""
        dataset, paths = self._form.dataset, {known.path: known.record for known in self._bundles.bundles}
        key = "\n".join(map(str, (dataset, *paths)))
        if key == self._looked_at or not dataset:
            return
        self._looked_at = key
        self._background(partial(dataset_fit, dataset, paths), self._take_known)

    def look_again(self) -> None:
        """See what the dataset is now; its files may have been changed."""
        self._looked_at = ""
        self._look()

    def _take_known(self, known: KnownDataset) -> None:
        if known.dataset != self._form.dataset:
            return
        self._known = known
        self._view.set_known(known)
        self.refresh()

    def _forget_known(self) -> None:
        """Take away what was said of the dataset before."""
        self._looked_at, self._known = "", KnownDataset("")
        self._view.set_known(self._known)
        self.refresh()

    def _look_at_out(self) -> None:
        """Ask in the background what lies at the output, when it is another one."""
        out = self._form.out
        if out != self._run_at:
            self._run_at, self._run = out, FoundRun()
            self._look_at_run(partial(found_run, out), partial(self._take_run, out))

    def _take_run(self, out: str, run: FoundRun) -> None:
        if out != self._form.out:
            return
        self._run = run
        lies = run.kind in ("unfinished", "finished") and not run.problem
        self._view.show_run(run_lines(run, out), run.can_fill, lies)
        if self._state.level != "done" and not self._runner.busy:
            self._show(self._ready())

    def fill_begun(self) -> None:
        """Fill in the form with what the run at the output was begun with."""
        run, digests = self._run, {known.path: known.record.get("digest") for known in self._bundles.bundles}
        wanted = [s for s in self.starts if (digests.get(s.bundle) == run.initial if s.bundle else not run.initial)]
        found = next((s for s in wanted if s.method == run.method), next((s for s in wanted if s.bundle), None))
        if found is None:
            self._show(panel_state.failed("The model that it was fine-tuned from is not in the list of models."))
            return
        self._chosen, self._picked, self._begun = found, True, run.options
        self._view.fill_begun(run.fold, run.constant)
        self._view.fill_rest(run.minutes, run.preview, run.more)
        self.refresh()

    def _method(self, options: Mapping[str, Any]) -> Method | None:
        chosen = self._chosen
        if chosen is None:
            return None
        if chosen.bundle and not options:  # what the form begins with is how fine-tuning goes on
            made = self._methods.create(chosen.method, chosen.options)
            return made.fine_tuned(self._methods.create(*chosen.before) if chosen.before else None) if made else None
        return self._methods.create(chosen.method, {**chosen.options, **options})

    def edit(self, form: TrainForm) -> None:
        """Store the values of the form and show what is missing."""
        same, known, self._form = form == self._form, self._known.dataset, form
        if known and form.dataset != known:
            self._forget_known()
        self._look()
        self._look_at_out()
        self._view.set_start_word(start_word(form))
        if not self._runner.busy and not (same and self._state.level == "done"):  # what was made stays said
            self._show(self._ready())

    def _ready(self) -> panel_state.PanelState:
        if self._chosen is None and (self._knows_dataset or not self.starts):
            return panel_state.PanelState(self._methods.error_message or "Loading the methods …")
        try:
            self._method(self._form.options)
        except MethodError as error:
            return panel_state.PanelState(str(error), "error")
        state = ready(self._form, self._known)
        if state.can_start and self._form.extend and not self._run.iterations:
            return panel_state.PanelState("Looking at what lies there …")
        return state

    def set_dataset(self, folder: str | Path) -> None:
        """Fill in a dataset, e.g. one to which a corrected case was added, unless a training runs."""
        if not self._runner.busy:
            self._view.set_dataset(str(folder))  # its field then reports the change
            if str(folder) == self._form.dataset:
                self.look_again()  # it may have a case more

    def start(self) -> None:
        """Start training, from the checkpoint where there is one."""
        state = self._ready()
        if not state.can_start:
            self._show(state)
            return
        self._view.clear_curves()
        self.receipts.clear()
        self._follower.begin()
        self._asked = self.request
        if self._form.extend:  # once: a run that is stopped and resumed is as long as it became now
            self._form = replace(self._form, extend=0, iterations=0)
            self._view.clear_lengths()
        self._run_job(self._asked)

    def _run_job(self, request: TrainRequest) -> None:
        self._follower.go_on()
        self._ends_now = False
        self._show(panel_state.PanelState("Starting …", "busy", busy=True))
        job = jobs.train_folds if self._form.every_fold else jobs.train
        self._runner.start(partial(job, request), self._on_event)

    @property
    def request(self) -> TrainRequest:
        """The form's values as a request for the job."""
        assert self._chosen is not None
        return request_of(self._form, self._chosen, self._run)

    def planned_request(self) -> TrainRequest | None:
        """Return what the form asks for, to be planned; None where something is missing."""
        known = self._knows_dataset and not self._known.problem
        try:
            self._method(self._form.options)
            request = self.request if self._chosen is not None and known else None
        except UsageError:  # the panel says so already
            return None
        return replace(request, fold=0) if request is not None and self._form.every_fold else request

    def stop(self) -> None:
        """Ask the training to write a checkpoint and stop, or the measuring of a receipt to end."""
        self._runner.cancel()
        what = "" if self.receipts.measuring else ": writing a checkpoint"
        self._show(replace(panel_state.stopping(self._state), message=f"Stopping{what} …"))

    def help(self, remedy: str) -> None:
        """Do what a button beside the message offers: end a training whose validation has levelled off."""
        if remedy == END_NOW.key and self._runner.busy:
            self._ends_now = True
            self.stop()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Progressed):
            self._show(self._follower.follow(event.progress, self._ends_now))
        elif isinstance(event, Failed):
            self._end(panel_state.failed(event.sentence))
        elif isinstance(event, Done):
            self._finish(event.result)
        elif self._ends_now and resumable(self._form.out):
            self._run_job(replace(self._asked or self.request, minutes=ENDS_NOW_MIN, resume=True))
        else:
            again = resumable(self._form.out, self._form.every_fold)
            word = " Press Resume to continue." if again else ""
            self._end(panel_state.PanelState(f"S{event.sentence[1:] or 'topped.'}{word}", can_start=True))

    def _finish(self, folder: Path) -> None:
        asked = self._asked or self.request
        known = self._bundles.add(folder)  # updates the pickers of both panels, and perhaps what is chosen
        before = Path(asked.initial) if asked.initial and not known.folds else None
        record = fold_summary(folder) if known.folds else card(folder)
        made = receipt(record, folder, self._follower.seconds, before, known.folds)
        self._look_again()
        sentence = f"Done. {known.name} is now in the picker of the Segment panel."
        self.receipts.begin(made, asked.dataset, panel_state.PanelState(sentence, "done", can_start=False))

    def _end(self, state: panel_state.PanelState) -> None:
        self._look_again()
        self._show(state)

    def _look_again(self) -> None:
        """See what lies at the output now."""
        self._view.set_start_word(start_word(self._form))
        out = self._run_at = self._form.out
        self._look_at_run(partial(found_run, out), partial(self._take_run_quietly, out))

    def _take_run_quietly(self, out: str, run: FoundRun) -> None:
        """Take what lies at the output after a run; what the run said last stays."""
        state = self._state
        self._take_run(out, run)
        if not self._runner.busy:
            self._show(state)

    def _show(self, state: panel_state.PanelState) -> None:
        self._state = state
        self._view.show_state(state)
