"""Volume and intensities of the labels on screen, for as long as these are the labels that were counted."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from voxtrace.plugin.controllers.label_watch import LabelWatch
from voxtrace.plugin.controllers.layers import label_source
from voxtrace.plugin.layers.step_array import StepArray
from voxtrace.plugin.models.measures import Measurement
from voxtrace.plugin.models.provenance import shown_labels
from voxtrace.plugin.work.events import Done, Event, Failed, Runner
from voxtrace.plugin.work.label_statistics import label_statistics

EDITED = "The labels were changed. Press Labels to count them again."
OTHER_STEP = "Other labels are on screen now. Press Labels to count them."


class LabelRows:
    """Counts labels in a thread, and drops the rows where the labels are edited, closed, or shown at another step.

    Parameters
    ----------
    show
        Called when the rows changed.
    say
        Takes a sentence, and whether it tells of an error; ``""`` hides the last one.
    """

    def __init__(self, viewer: Any, runner: Runner, show: Callable[[], None], say: Callable[[str, bool], None]) -> None:
        self._viewer, self._runner, self._show, self._say = weakref.ref(viewer), runner, show, say
        self.rows: tuple[Measurement, ...] = ()
        self._layer: Labels | None = None
        self._step: int | None = None
        self._watch = LabelWatch(viewer, partial(self.forget, EDITED))
        viewer.dims.events.point.connect(self._on_point)
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Disconnect from the viewer and the labels."""
        viewer = self._viewer()
        if viewer is not None:
            viewer.dims.events.point.disconnect(self._on_point)
            viewer.layers.events.removed.disconnect(self._on_removed)
        self._follow(None)

    def count(self, labels: Labels, scan: Image, unit: str) -> None:
        """Count the labels that are shown, and the intensities of a scan on their grid, which are in ``unit``."""
        self._follow(labels)
        self.rows = ()
        self._show()
        voxel_ml = float(np.prod(scan.scale)) / 1000
        job = partial(label_statistics, labels.data, self._step, scan.data, _names(labels), voxel_ml)
        self._say("Counting …", False)
        self._runner.start(job, partial(self._on_event, _where(labels, self._step), unit))

    def forget(self, sentence: str = "") -> None:
        """Drop the rows, and what is being counted, and say why."""
        if self._layer is None:
            return
        self._runner.abandon()
        self._follow(None)
        self.rows = ()
        self._say(sentence, False)
        self._show()

    def _follow(self, layer: Labels | None) -> None:
        self._layer, self._step = layer, self._shown_step(layer)
        self._watch.follow(layer)

    def _shown_step(self, layer: Labels | None) -> int | None:
        viewer = self._viewer()
        return shown_index(viewer, layer) if viewer is not None and layer is not None and layer.ndim == 4 else None

    def _on_point(self, event: Any = None) -> None:
        if self._layer is not None and self._shown_step(self._layer) != self._step:
            self.forget(OTHER_STEP)

    def _on_removed(self, event: Any) -> None:
        if self._layer is not None and event.value is self._layer:
            self.forget()

    def _on_event(self, where: str, unit: str, event: Event) -> None:
        if isinstance(event, Done):
            self.rows = tuple(replace(row, where=f"{where}, {row.where}", unit=unit) for row in event.result)
            self._say("", False)
            self._show()
        elif isinstance(event, Failed):
            self.forget()
            self._say(event.sentence, True)


def shown_index(viewer: Any, layer: Any) -> int:
    """Return the step or time point of a layer with four axes that is on screen."""
    return min(round(float(viewer.dims.point[viewer.dims.ndim - layer.ndim])), len(layer.data) - 1)


def _where(labels: Labels, step: int | None) -> str:
    """Return which labels were counted: ``result, cycle 2 of 3``."""
    words = shown_labels(labels.data, label_source(labels), step).words
    if step is not None and not isinstance(labels.data, StepArray):
        words = f"time point {step + 1}"
    return ", ".join(filter(None, (labels.name, words)))


def _names(labels: Labels) -> dict[int, str]:
    """Return the names of labels; of a layer drawn by hand every value that it may hold is found by counting."""
    source = label_source(labels)
    return {value: name for value, name in source.names.items() if value} if source is not None else {}
