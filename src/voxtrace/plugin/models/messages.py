"""Requests from the panels to the jobs, and the reports and results that come back: frozen data, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voxtrace.inference.options import KEEP_EVERY_STEP, PredictOptions
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.timepoints import TimepointsSource
from voxtrace.plugin.models.region import Box
from voxtrace.volume import Array

REQUEST = "voxtrace request"  # key in a result layer's metadata: the request that it answers


@dataclass(frozen=True)
class JobStage:
    """The progress of a job.

    Attributes
    ----------
    text
        What it does.
    done, total
        How far it is; a total of 0 means that it is unknown.
    slices
        How many slices of the provisional answer are finished, from the first (z = 0) on.
    note
        Whether it tells something to keep in mind; then it is exempt from thinning.
    """

    text: str
    done: int = 0
    total: int = 0
    slices: int = 0
    note: bool = False

    @property
    def keep(self) -> bool:
        """Whether this stage is exempt from thinning."""
        return self.note


WAITING = JobStage("Waiting for another run to end …")


@dataclass(frozen=True, eq=False)
class ProvisionalAnswer:
    """Labels that grow while they are computed: the layer of an array that the job fills in slice by slice.

    None ends it: the answer is complete, and its own layer follows when it is made.
    """

    layer: display.LayerData | None
    keep: bool = True  # exempt from thinning


@dataclass(frozen=True, eq=False)
class SegmentRequest:
    """What to segment, with which bundle and options.

    Attributes
    ----------
    bundle
        Folder of the bundle.
    channels
        The volume and channel for each channel that the bundle needs, in its order.
    scan
        Unique id of the image layer that the result belongs to.
    name
        Name of the result.
    options
        How to predict.
    box
        The part of the scan to segment; None for all of it.
    shown
        The part of the box that is shown, as a layer of its own; the rest is margin. None lays the result back onto
        the scan's grid.
    """

    bundle: Path
    channels: tuple[display.ImageSource, ...]
    scan: str
    name: str
    options: PredictOptions = KEEP_EVERY_STEP
    box: Box | None = None
    shown: Box | None = None


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """A prediction as layer data, which is made in the thread because every voxel is read.

    Attributes
    ----------
    steps
        The labels of every kept step.
    summary
        A row for each step, see :meth:`voxtrace.trace.Trace.summary`.
    seconds
        Time that the engine took.
    beside
        Hidden layers of extra outputs and scalar maps.
    slice_facts
        Name -> (S, Z) float32: a number for every kept step and slice, see :class:`voxtrace.trace.Trace`.
    """

    steps: display.LayerData
    summary: tuple[dict[str, Any], ...]
    seconds: float
    beside: tuple[display.LayerData, ...] = ()
    slice_facts: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TimepointsRequest:
    """Time points of a scan, each segmented separately.

    Attributes
    ----------
    each
        The request for one time point; its channels are replaced and only the last step is kept.
    channels
        The source of each channel that the bundle needs; a single volume is the same at every time point.
    timepoints
        Which time points, counted from 0.
    count
        The number of time points in the scan.
    """

    each: SegmentRequest
    channels: tuple[TimepointsSource | display.ImageSource, ...]
    timepoints: tuple[int, ...]
    count: int

    def at(self, timepoint: int) -> SegmentRequest:
        """Return the request for one time point."""
        channels = tuple(c.at(timepoint) if isinstance(c, TimepointsSource) else c for c in self.channels)
        return replace(self.each, channels=channels, options=replace(self.each.options, keep="last"))


@dataclass(frozen=True, eq=False)
class TimepointsResult:
    """Predictions of several time points as one layer."""

    layer: display.LayerData
    timepoints: tuple[int, ...]
    count: int
    seconds: float


@dataclass(frozen=True, eq=False)
class TrainPreview:
    """A held-back case as it was learned so far: its scan, in the first preview alone, and its labels as steps."""

    scan: tuple[display.LayerData, ...]
    labels: display.LayerData


@dataclass(frozen=True)
class TrainReport:
    """A report from training; reports with a validation score or a message always reach the window.

    Attributes
    ----------
    iteration, total
        Counted over all phases.
    losses
        The terms of the loss; training minimises their sum.
    dice
        Validation Dice where it was just measured.
    phase, phases
        Name of the phase, and of all of them in order.
    preview
        A case as it is segmented now.
    dice_per_label
        By name, where it was just measured; NaN where it is not known.
    rate, iterations_per_s
        Learning rate, and pace; 0 where they are not known.
    left_s
        Seconds that are left for all iterations; None where that is not known.
    message
        A sentence for the user, e.g. advice; mostly "".
    fold
        ``2 of 5`` in a cross-validation; else "".
    """

    iteration: int
    total: int
    losses: Mapping[str, float]
    dice: float | None = None
    phase: str = "train"
    phases: tuple[str, ...] = ("train",)
    preview: TrainPreview | None = field(default=None, compare=False)
    dice_per_label: Mapping[str, float] = field(default_factory=dict)
    rate: float = 0.0
    iterations_per_s: float = 0.0
    left_s: float | None = None
    message: str = ""
    fold: str = ""

    @property
    def loss(self) -> float:
        """The sum of the terms."""
        return sum(self.losses.values())

    @property
    def keep(self) -> bool:
        """Whether this report is exempt from thinning."""
        return self.dice is not None or bool(self.message)
