"""Train on a dataset from the window: start, watch, stop, resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from voxtrace.plugin import jobs, panel
from voxtrace.plugin.bundles import Shelf
from voxtrace.plugin.events import Advanced, Done, Event, Failed, Runner
from voxtrace.plugin.requests import FineTuneRequest, Learned, Stage

METHODS = {"recyclenet": "RecycleNet", "unet": "U-Net"}  # what can be trained from scratch; named here without torch


@dataclass(frozen=True)
class Form:
    """What the user filled in; ``start`` counts through :meth:`FineTuneController.starts`."""

    dataset: str = ""
    fold: int = 0
    start: int = 0
    iterations: int = 1000
    out: str = ""


class FineTuneView(Protocol):
    """The setters of the training panel."""

    def set_starts(self, names: Sequence[str]) -> None:
        """Fill the picker of what to start from."""

    def set_start_word(self, word: str) -> None:
        """Name the button: Start, or Resume."""

    def clear_curves(self) -> None:
        """Forget the curves of the run before."""

    def add_point(self, iteration: int, loss: float, dice: float | None) -> None:
        """Draw a point of the loss, and one of the validation Dice where it was measured."""

    def show_state(self, state: panel.PanelState) -> None:
        """Show what goes on."""


class FineTuneController:
    """Joins the shelf of bundles, a runner and the training panel."""

    def __init__(self, shelf: Shelf, view: FineTuneView, runner: Runner) -> None:
        self._shelf, self._view, self._runner = shelf, view, runner
        self._form, self._state, self._dice = Form(), panel.PanelState(), 0.0
        shelf.changed.connect(self.refresh)
        self.refresh()

    def close(self) -> None:
        """Let go of the shelf."""
        self._shelf.changed.disconnect(self.refresh)

    @property
    def starts(self) -> list[str]:
        """What training can start from: every known bundle, then every method from scratch."""
        return [k.name for k in self._shelf.bundles] + [f"{title}, from scratch" for title in METHODS.values()]

    def refresh(self) -> None:
        """Look at the shelf again."""
        self._view.set_starts(self.starts)
        self.edit(self._form)

    def edit(self, form: Form) -> None:
        """Take what the user filled in; say what is missing."""
        self._form = form
        self._view.set_start_word("Resume" if resumable(form.out) else "Start")
        if not self._runner.busy:
            self._show(ready(form))

    def start(self) -> None:
        """Train, going on from the checkpoint where there is one."""
        state = ready(self._form)
        if not state.can_start:
            self._show(state)
            return
        self._view.clear_curves()
        self._dice = 0.0
        self._show(panel.PanelState("Starting …", "busy", busy=True))
        self._runner.start(partial(jobs.fine_tune, self.request), self._hear)

    @property
    def request(self) -> FineTuneRequest:
        """The form as the job takes it."""
        form, bundles = self._form, self._shelf.bundles
        common = FineTuneRequest(
            Path(form.dataset), form.fold, Path(form.out), form.iterations, resume=resumable(form.out)
        )
        if form.start < len(bundles):
            return replace(common, bundle=bundles[form.start].path)
        return replace(common, method=list(METHODS)[form.start - len(bundles)])

    def stop(self) -> None:
        """Ask the training to write a checkpoint and stop."""
        self._runner.cancel()
        self._show(replace(panel.stopping(self._state), message="Stopping: writing a checkpoint …"))

    def _hear(self, event: Event) -> None:
        if isinstance(event, Advanced):
            self._advance(event.progress)
        elif isinstance(event, Failed):
            self._show(panel.failed(event.sentence))
        elif isinstance(event, Done):
            self._finish(event.result)
        else:
            word = " Press Resume to go on." if resumable(self._form.out) else ""
            self._view.set_start_word("Resume" if resumable(self._form.out) else "Start")
            self._show(panel.PanelState(f"S{event.sentence[1:] or 'topped.'}{word}", can_start=True))

    def _advance(self, report: Stage | Learned) -> None:
        state = panel.working(report)
        if isinstance(report, Learned):
            self._view.add_point(report.iteration, report.loss, report.dice)
            self._dice = report.dice or self._dice
            if self._dice:
                state = replace(state, message=f"{state.message} · validation Dice {self._dice:.3f}")
        self._show(state)

    def _finish(self, folder: Path) -> None:
        known = self._shelf.add(folder)  # the pickers of both panels learn of it
        self._show(
            panel.PanelState(f"Done. {known.name} is now in the picker of the Segment panel.", "done", can_start=False)
        )

    def _show(self, state: panel.PanelState) -> None:
        self._state = state
        self._view.show_state(state)


def resumable(out: str) -> bool:
    """Tell whether an unfinished run lies beside an output folder."""
    return bool(out) and Path(out).with_name(f"{Path(out).name}.work").is_dir()


def ready(form: Form) -> panel.PanelState:
    """Return what is missing in a form, or that training can start."""
    if not form.dataset:
        return panel.PanelState("Choose a dataset folder: nnU-Net's raw layout, with dataset.json and imagesTr.")
    if not (Path(form.dataset) / "dataset.json").is_file():
        return panel.PanelState(f"{form.dataset} has no dataset.json; choose a folder that has one.", "error")
    if not form.out:
        return panel.PanelState("Choose where the new bundle should go: a folder that does not exist yet.")
    if resumable(form.out):
        return panel.PanelState("An unfinished run lies there. Press Resume to go on where it stopped.", can_start=True)
    if Path(form.out).exists():
        return panel.PanelState(f"{form.out} exists already; choose a folder that does not exist yet.", "error")
    return panel.PanelState("Ready. Press Start.", can_start=True)
