"""Choose among the series of a DICOM folder and open them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from voxtrace.plugin.layers.display import LayerData
from voxtrace.plugin.models import panel_state
from voxtrace.plugin.models.series_rows import SeriesChoice, SeriesRow, rows_of, series_choice
from voxtrace.plugin.work import dicom_open
from voxtrace.plugin.work.dicom_open import OpenedLayers, SeriesThumbnail, Study
from voxtrace.plugin.work.events import Done, Event, Failed, Job, Progressed, Runner


class ChooserView(Protocol):
    """The setters of the dialog."""

    def show_rows(self, name: str, rows: Sequence[SeriesRow]) -> None:
        """List the series of a folder."""

    def show_thumbnail(self, index: int, grey: npt.NDArray[np.uint8] | None) -> None:
        """Show the thumbnail of a row; None where it cannot be made."""

    def show_choice(self, choice: SeriesChoice) -> None:
        """Show what can be done with the ticked rows."""

    def show_state(self, state: panel_state.PanelState) -> None:
        """Show the state; while a job runs, nothing can be ticked."""

    def finish(self) -> None:
        """Close."""


class ChooserController:
    """Connects a study, a runner, a dialog and the callback that adds layers."""

    def __init__(
        self, study: Study, view: ChooserView, runner: Runner, add: Callable[[Sequence[LayerData]], Any]
    ) -> None:
        self._study, self._view, self._runner, self._add = study, view, runner, add
        self._rows = rows_of(study.series)
        self._ticked = [index for index, row in enumerate(self._rows) if row.ticked]
        self._missing = list(range(len(study.series)))  # thumbnails that are not shown yet
        view.show_rows(study.name, self._rows)
        view.show_choice(series_choice(self._rows, self._ticked))
        self._fetch()

    @property
    def study(self) -> Study:
        """The study whose series are listed."""
        return self._study

    def tick(self, indices: Sequence[int]) -> None:
        """Set which rows are ticked."""
        self._ticked = [index for index in indices if self._rows[index].usable]
        self._view.show_choice(series_choice(self._rows, self._ticked))

    def open_each(self) -> None:
        """Open every ticked series as a scan of its own."""
        self._open(dicom_open.open_each)

    def open_stacked(self) -> None:
        """Open the ticked series as channels of one case."""
        self._open(dicom_open.open_stacked)

    def close(self) -> None:
        """Cancel the running job and drop its remaining events."""
        self._runner.abandon()

    def _open(self, how: Callable[..., Any]) -> None:
        chosen = [self._study.series[index] for index in self._ticked]
        if not chosen:
            return
        self._view.show_state(panel_state.PanelState("Reading …", "busy", busy=True))
        self._runner.start(partial(how, self._study, chosen), self._on_event)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Progressed) and isinstance(event.progress, OpenedLayers):
            self._add(event.progress.layers)
        elif isinstance(event, Progressed):
            self._view.show_state(panel_state.working(event.progress))
        elif isinstance(event, Done):
            self._view.finish()
        else:
            message = event.sentence if isinstance(event, Failed) else "Stopped."
            self._view.show_state(panel_state.failed(message))
            self._fetch()

    def _fetch(self) -> None:
        job: Job = partial(dicom_open.thumbnails, self._study.series, tuple(self._missing))
        if self._missing:
            self._runner.start(job, self._on_thumbnail_event)

    def _on_thumbnail_event(self, event: Event) -> None:
        if isinstance(event, Progressed) and isinstance(event.progress, SeriesThumbnail):
            thumbnail = event.progress
            self._missing.remove(thumbnail.index)
            self._view.show_thumbnail(thumbnail.index, thumbnail.grey)
