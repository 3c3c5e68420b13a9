"""Choose among the series of a DICOM folder, read them, show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from voxtrace.plugin.layers.display import LayerData
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.series_rows import Choice, SeriesRow, choice, rows_of
from voxtrace.plugin.work import dicom_open
from voxtrace.plugin.work.dicom_open import Opened, Picture, Study
from voxtrace.plugin.work.events import Advanced, Done, Event, Failed, Job, Runner


class ChooserView(Protocol):
    """The setters of the dialog."""

    def show_rows(self, name: str, rows: Sequence[SeriesRow]) -> None:
        """List the series of a folder."""

    def show_picture(self, index: int, grey: npt.NDArray[np.uint8] | None) -> None:
        """Show the thumbnail of a row; None where there is none to be had."""

    def show_choice(self, choice: Choice) -> None:
        """Say what can be done with what is ticked."""

    def show_state(self, state: panel_state.PanelState) -> None:
        """Show what goes on; while something does, nothing can be ticked."""

    def finish(self) -> None:
        """Close."""


class ChooserController:
    """Joins a study, a runner, a dialog, and whoever takes the layers."""

    def __init__(
        self, study: Study, view: ChooserView, runner: Runner, add: Callable[[Sequence[LayerData]], Any]
    ) -> None:
        self._study, self._view, self._runner, self._add = study, view, runner, add
        self._rows = rows_of(study.series)
        self._ticked = [index for index, row in enumerate(self._rows) if row.ticked]
        self._missing = list(range(len(study.series)))  # pictures
        view.show_rows(study.name, self._rows)
        view.show_choice(choice(self._rows, self._ticked))
        self._fetch()

    @property
    def study(self) -> Study:
        """What is chosen from."""
        return self._study

    def tick(self, indices: Sequence[int]) -> None:
        """Take these rows as ticked."""
        self._ticked = [index for index in indices if self._rows[index].usable]
        self._view.show_choice(choice(self._rows, self._ticked))

    def open_each(self) -> None:
        """Open every ticked series as a scan of its own."""
        self._open(dicom_open.open_each)

    def open_stacked(self) -> None:
        """Open the ticked series as channels of one case."""
        self._open(dicom_open.open_stacked)

    def close(self) -> None:
        """Stop, and hear no more of what was under way."""
        self._runner.abandon()

    def _open(self, how: Callable[..., Any]) -> None:
        chosen = [self._study.series[index] for index in self._ticked]
        if not chosen:
            return
        self._view.show_state(panel_state.PanelState("Reading …", "busy", busy=True))
        self._runner.start(partial(how, self._study, chosen), self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Advanced) and isinstance(event.progress, Opened):
            self._add(event.progress.layers)
        elif isinstance(event, Advanced):
            self._view.show_state(panel_state.working(event.progress))
        elif isinstance(event, Done):
            self._view.finish()
        else:
            said = event.sentence if isinstance(event, Failed) else "Stopped."
            self._view.show_state(panel_state.failed(said))
            self._fetch()

    def _fetch(self) -> None:
        job: Job = partial(dicom_open.pictures, self._study.series, tuple(self._missing))
        if self._missing:
            self._runner.start(job, self._hear_picture)

    def _hear_picture(self, event: Event) -> None:
        if isinstance(event, Advanced) and isinstance(event.progress, Picture):
            picture = event.progress
            self._missing.remove(picture.index)
            self._view.show_picture(picture.index, picture.grey)
