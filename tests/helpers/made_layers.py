"""Made-up scans, traces, runners and views for the tests of the window."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from voxtrace.plugin.work.events import Event, Job, drain
from voxtrace.trace import Trace
from voxtrace.volume import Geometry, Volume

SHAPE = (4, 6, 5)
STEPS = 3


@dataclass
class ImmediateRunner:
    """Runs a job at once, in this thread; ``held`` keeps it until ``let_go``."""

    held: bool = False
    busy: bool = False
    cancelled: bool = False
    _waiting: tuple[Job, Callable[[Event], None]] | None = field(default=None)

    def start(self, job: Job, on_event: Callable[[Event], None]) -> None:
        self._waiting, self.busy, self.cancelled = (job, on_event), True, False
        if not self.held:
            self.let_go()

    def let_go(self) -> None:
        assert self._waiting is not None
        job, on_event = self._waiting
        events: list[Event] = []
        drain(job, events.append, lambda: self.cancelled)
        self.busy = False
        for event in events:
            on_event(event)

    def cancel(self) -> None:
        self.cancelled = True

    def abandon(self) -> None:
        self.cancelled, self.busy = True, False
        if self._waiting is not None:
            self._waiting = (self._waiting[0], lambda event: None)


class Recorded:
    """A view without a window: remembers the last arguments of every setter."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments, **named: self.calls.append((name, (*arguments, *named.values())))

    def last(self, name: str) -> Any:
        found = [arguments for called, arguments in self.calls if called == name]
        return found[-1] if found else None

    @property
    def state(self) -> Any:
        return self.last("show_state")[0]


def made_trace(geometry: Geometry | None = None) -> Trace:
    """Three cycles: one voxel of label 1, then a second one, then the second turns into label 2."""
    geometry = geometry or Geometry.from_spacing(SHAPE, (3.0, 2.0, 1.0), (-20.0, 5.0, 7.0))
    labels = np.zeros((STEPS, *geometry.shape), np.uint8)
    labels[:, 0, 1, 2] = 1
    labels[1, 3, 4, 4] = 1
    labels[2, 3, 4, 4] = 2
    names = {0: "background", 1: "liver", 2: "spleen"}
    return Trace(labels, {}, np.zeros((0, 6), np.int64), {}, geometry, names, "cycle")


def made_volume(channels: tuple[str, ...] = ("CT",), modality: str = "CT") -> Volume:
    data = np.arange(len(channels) * np.prod(SHAPE), dtype=np.int16).reshape(len(channels), *SHAPE)
    geometry = Geometry.from_spacing(SHAPE, (3.0, 2.0, 1.0), (-20.0, 5.0, 7.0))
    return Volume(data, geometry, modality, channels, "scan")


def made_segmented(trace: Trace, request: Any) -> Generator[Any, None, Any]:
    """What a job of :func:`voxtrace.plugin.work.jobs.segment` does, without an engine."""
    from voxtrace.plugin.layers import display
    from voxtrace.plugin.work import jobs

    yield jobs.JobStage("Segmenting: 1 of 2", 1, 2)
    return jobs.SegmentResult(
        display.trace_layer(trace, request.name, request.scan),
        tuple(trace.summary()),
        1.25,
    )
