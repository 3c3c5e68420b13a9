"""A case as it is learned: its labels after each validation, as a step of a trace.

The first held-back case is kept in memory. A case that was asked for by name is written by the trainer, as the trace
``OUT.preview``, and shown from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxtrace.plugin.layers import display
from voxtrace.plugin.models.messages import TrainPreview
from voxtrace.trace import Trace
from voxtrace.training.progress import TrainProgress
from voxtrace.volume import Case, LabelMap, Volume

if TYPE_CHECKING:
    from voxtrace.training import TrainSetup

MOST_BYTES = 2**28  # of all label maps together; a longer or larger preview ends there


def preview_of(setup: TrainSetup) -> PreviewRecorder | PreviewFollower:
    """Return what shows a case of a training as it is learned.

    Raises
    ------
    UsageError
        The case that was asked for is not in the dataset.
    """
    name = setup.request.preview
    if not name:
        return PreviewRecorder(setup.validate)
    from voxtrace.training.begun import preview_folder
    from voxtrace.training.preview import find_case

    case = find_case(name, setup.validate, setup.cases)
    return PreviewFollower(case.volume, name, preview_folder(setup.out))


class PreviewRecorder:
    """Collects the label maps of one case, and makes layers of them; ``cases`` are those held back, unread."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases, self._maps = cases, list[LabelMap]()

    def after(self, progress: TrainProgress) -> TrainPreview | None:
        """Return the layers with one more step after a validation, else None."""
        if progress.preview is None or progress.validation_dice is None:
            return None
        return self.add(progress.preview)

    def add(self, labels: LabelMap) -> TrainPreview | None:
        """Return the layers with one more step; None where they would take too much memory."""
        if labels.data.size * (len(self._maps) + 1) > MOST_BYTES:
            return None
        self._maps.append(replace(labels, data=labels.data.astype(np.uint8)))
        scan = tuple(display.image_layers(self._scan())) if len(self._maps) == 1 else ()
        return TrainPreview(scan, display.trace_layer(self.trace(), f"{labels.name} · learned"))

    def _scan(self) -> Volume:
        volume = self._cases[0].volume
        return replace(volume, name=self._maps[0].name)

    def trace(self) -> Trace:
        """Return the steps so far as a trace."""
        last = self._maps[-1]
        return Trace(
            labels=np.stack([one.data for one in self._maps]),
            facts={},
            windows=np.zeros((0, 6), np.int64),
            units={},
            geometry=last.geometry,
            names={0: "background", **last.names},
            step_word="validation",
        )


class PreviewFollower:
    """Makes layers of the trace that the trainer writes over training time, whenever it has a step more.

    Parameters
    ----------
    scan, name
        The case.
    folder
        Of the trace.
    """

    def __init__(self, scan: Volume, name: str, folder: Path) -> None:
        self._scan: Volume | None = replace(scan, name=name)
        self._name, self._file = name, folder / "trace.json"
        self._seen_ns = self._written_ns()  # of an earlier start of the run

    def after(self, progress: TrainProgress) -> TrainPreview | None:
        """Return the layers of the trace where it was written anew, else None."""
        written_ns = self._written_ns()
        if written_ns == self._seen_ns:
            return None
        self._seen_ns = written_ns
        scan = tuple(display.image_layers(self._scan)) if self._scan is not None else ()
        self._scan = None  # it is shown now
        return TrainPreview(scan, display.trace_layer(Trace.load(self._file.parent), f"{self._name} · learned"))

    def _written_ns(self) -> int:
        try:
            return self._file.stat().st_mtime_ns
        except OSError:
            return 0  # not written yet
