"""Follow a training: its curves and its preview, and what the panel says while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from textwrap import shorten
from typing import Protocol

from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.messages import WAITING, JobStage, TrainPreview, TrainReport
from voxtrace.plugin.models.train_progress import END_NOW, advice_words, as_line, can_end_now

MOST_LETTERS = 240  # of what is told, beside the progress


class CurveSetter(Protocol):
    """Where curves are drawn."""

    def clear_curves(self) -> None:
        """Remove the curves of the previous run."""

    def add_report(self, report: TrainReport) -> None:
        """Add a point to each curve that the report has."""


class TrainFollower:
    """Draws the curves of a training and returns what the panel says; ``show_preview`` shows a case as it is learned.

    What was told before the first update, such as what fine-tuning takes over, stays said until the training ends.
    """

    def __init__(self, view: CurveSetter, show_preview: Callable[[TrainPreview], None]) -> None:
        self._view, self._show_preview = view, show_preview
        self.begin()

    def begin(self) -> None:
        """Forget the training before."""
        self._dice = 0.0
        self._began_s: float | None = None  # once it need not wait for another run
        self.go_on()

    def go_on(self) -> None:
        """Follow another job of the same training."""
        self._advice, self._fold = "", ""
        self._told: list[str] = []

    @property
    def seconds(self) -> float:
        """Wall time since the training began."""
        return time.monotonic() - self._began_s if self._began_s is not None else 0.0

    def follow(self, report: JobStage | TrainReport, ending: bool) -> panel_state.PanelState:
        """Return what the panel says now; of a training that is ``ending`` already, no more is offered."""
        if report != WAITING and self._began_s is None:
            self._began_s = time.monotonic()
        state = panel_state.working(report)
        if isinstance(report, JobStage):
            return self._stage(report, state)
        self._take(report)
        dice = f" · validation Dice {self._dice:.3f}" if self._dice else ""
        message = "\n".join(filter(None, [f"{state.message}{dice}", self._advice, *self._told]))
        ends = bool(self._advice) and not ending and can_end_now(report)
        return replace(state, message=message, remedy=END_NOW if ends else None)

    def _stage(self, stage: JobStage, state: panel_state.PanelState) -> panel_state.PanelState:
        if not stage.note:
            return replace(state, message="\n".join([state.message, *self._told]))
        line = shorten(as_line(stage.text), MOST_LETTERS, placeholder=" …")  # the receipt and the card have all of it
        if line not in self._told:  # every fold tells it
            self._told.append(line)
        return replace(state, message="\n".join(self._told))

    def _take(self, report: TrainReport) -> None:
        if report.fold != self._fold:  # its iterations begin again
            self._view.clear_curves()
            self._fold, self._advice, self._dice = report.fold, "", 0.0
        self._view.add_report(report)
        if report.preview is not None:
            self._show_preview(report.preview)
        self._dice = report.dice or self._dice
        self._advice = advice_words(report.message) or self._advice
