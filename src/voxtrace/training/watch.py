"""What is seen of one phase while it trains: pace, validations, events, a case that is shown as it is learned."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psutil
import torch

from voxtrace.bundle import Bundle
from voxtrace.method import TrainState
from voxtrace.trace.files import ChartRecord
from voxtrace.training.advice import advise
from voxtrace.training.events import MOST_LINES
from voxtrace.training.kept import BestWeights
from voxtrace.training.preview import EVENT as PREVIEW
from voxtrace.training.progress import TrainProgress
from voxtrace.training.training_run import TrainingRun
from voxtrace.training.validation import QuickValidation, quick_dice
from voxtrace.volume import Array, Case

VALIDATIONS = 10  # in a phase, where the configuration does not say how many
Item = TypeVar("Item")


class Pace:
    """How fast updates follow one another, and how much of the time is spent waiting for their windows."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began, self._waited_s, self._paused_s, self._updates = clock(), 0.0, 0.0, 0

    def waited(self, batches: Iterable[Item]) -> Iterator[Item]:
        """Yield the batches, and count how long each lets one wait."""
        ready = iter(batches)
        while True:
            asked = self._clock()
            try:
                batch = next(ready)
            except StopIteration:
                return
            self._waited_s += self._clock() - asked
            self._updates += 1
            yield batch

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time of the block out."""
        asked = self._clock()
        try:
            yield
        finally:
            self._paused_s += self._clock() - asked

    @property
    def per_second(self) -> float:
        """Updates a second."""
        return self._updates / self._seconds

    @property
    def busy(self) -> float:
        """Fraction of the time that was not spent waiting for windows, 0 to 1."""
        return max(0.0, 1.0 - self._waited_s / self._seconds)

    @property
    def _seconds(self) -> float:
        return max(1e-9, self._clock() - self._began - self._paused_s)


class Watch:
    """Validates, writes events and makes reports of one phase.

    Parameters
    ----------
    run
        What is trained.
    number
        Of the phase, from 0.
    """

    def __init__(self, run: TrainingRun, number: int) -> None:
        self.run, self.number, self.phase = run, number, run.phases[number]
        self.pace = Pace()
        self.dice: list[float] = []
        self._best = BestWeights(run.work)
        self._is_last = number == len(run.phases) - 1
        self._every = run.config.validate_every or max(1, self.phase.iterations // VALIDATIONS)
        self._lines = max(1, run.total // MOST_LINES)
        self._sums: dict[str, float] = {}
        self._summed = 0
        self._message = ""
        self._charts: list[dict[str, Any]] = []

    def restore(self, dice: Sequence[float]) -> None:
        """Go on from a checkpoint that knows these validations of the phase."""
        self.dice = list(dice)
        if self.run.processes.first:
            self._best.restore(self.dice)

    def begin(self, chances: Array) -> None:
        """Write down which cases the phase draws, and how often."""
        names = [self._shown(name) for name in self.run.case_names]
        drawn = {name: round(float(p), 6) for name, p in zip(names, chances, strict=True) if p > 0}
        self.tell("phase", self.run.done - self.run.before(self.number), cases=drawn)

    def tell(self, event: str, iteration: int, **facts: Any) -> None:
        """Write one event of this phase."""
        run = self.run
        run.events.write(event, run.done, run.total, phase=self.phase.name, iteration=iteration, **facts)

    def validation_due(self, done: int) -> bool:
        """Return whether the network is to be looked at after ``done`` updates of the phase."""
        in_time = self.run.budget.validation_due()
        return in_time or done % self._every == 0

    def validate(self, state: TrainState, cases: Sequence[Case]) -> QuickValidation | None:
        """Segment a few cases with the part of the method that is trained; None where there are none."""
        run, bundle = self.run, self._bundle(state)
        if run.preview is not None:
            run.preview.add(bundle, run.device, run.done)
            self.tell(PREVIEW, state.iteration + 1)
        if not cases:
            return None
        found = quick_dice(bundle, cases[: run.config.quick_cases], run.device)
        facts = {"dice": found.dice, "dice_per_label": found.per_label, "cases": {}}
        facts["cases"] = {self._shown(name): value for name, value in found.per_case.items()}
        self.tell("validation", state.iteration + 1, **facts)
        if found.dice is not None:
            self._judge(found.dice, state.iteration + 1)
        return found

    def note(self, state: TrainState, rate: float, terms: dict[str, float], found: QuickValidation | None) -> None:
        """Keep the curve, and write an event where one is due."""
        run = self.run
        run.log_point(state.iteration + 1, terms, found.dice if found else None)
        self._sums = {name: self._sums.get(name, 0.0) + value for name, value in terms.items()}
        self._summed += 1
        if run.done % self._lines and state.iteration + 1 < self.phase.iterations:
            return
        means = {name: value / self._summed for name, value in self._sums.items()}
        self._sums, self._summed = {}, 0
        self.tell(
            "update",
            state.iteration + 1,
            loss=means,
            rate=rate,
            iterations_per_s=self.pace.per_second,
            busy=self.pace.busy,
            memory_mb=_memory_mb(run.on_gpu),
            method=dict(run.method.training_report(run.network, state)),
        )
        self._note_charts(state)

    def _note_charts(self, state: TrainState) -> None:
        """Write down numbers of the network's nodes where they are others than those last written."""
        run = self.run
        charts = [ChartRecord.of(chart).model_dump(mode="json") for chart in run.method.charts(run.network)]
        if charts and charts != self._charts:
            self._charts = charts
            self.tell("charts", state.iteration + 1, charts=charts)

    def progress(self, done: int, rate: float, terms: dict[str, float], found: QuickValidation | None) -> TrainProgress:
        """Return the report of an update."""
        message, self._message = self._message, ""
        return TrainProgress(
            self.phase.name,
            done,
            self.phase.iterations,
            terms,
            rate,
            found.dice if found else None,
            dict(found.per_label) if found else {},
            seconds=self.run.seconds,
            iterations_per_s=self.pace.per_second,
            message=message,
            preview=found.shown if found else None,
        )

    def _shown(self, name: str) -> str:
        return self.run.shown_names.get(name, name)

    def _bundle(self, state: TrainState) -> Bundle:
        return self.run.bundle(self.run.method.trained_so_far(state))

    def _judge(self, dice: float, done: int) -> None:
        """Keep the best weights, and say when little is to be gained."""
        self.dice.append(dice)
        if self._is_last:
            self._best.offer({n: value.cpu() for n, value in self.run.network.state_dict().items()}, dice)
        advice = advise(self.dice, (self.phase.iterations - done) // self._every)
        if advice is not None and not self.run.advised:
            self.run.advised, self._message = True, advice.sentence
            self.tell("advice", done, message=advice.sentence, expected_gain=advice.expected_gain)


def _memory_mb(on_gpu: bool) -> float:
    """Return the largest memory of the GPU so far, or that of this process, in MB."""
    if on_gpu:
        return torch.cuda.max_memory_allocated() / 1e6
    return float(psutil.Process().memory_info().rss) / 1e6
