"""Work on a dataset behind a progress bar; where the output is no terminal, a line a minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

from voxtrace.cli.output import echo, progress_bar
from voxtrace.training.first_process import is_first_process

if TYPE_CHECKING:
    from rich.progress import Progress

    from voxtrace.training import TrainProgress

LINE_EVERY_S = 60.0

Result = TypeVar("Result")


def show_training(task: Generator[TrainProgress, None, Result], clock: Callable[[], float] = time.monotonic) -> Result:
    """Drive the work to its end behind a progress bar and return what it returns."""
    with progress_bar("facts") as bar:
        shown = _Shown(bar, clock)
        while True:
            try:
                progress = next(task)
            except StopIteration as stop:
                result: Result = stop.value
                return result
            if is_first_process():
                shown.take(progress)


class _Shown:
    """A bar for each phase, and lines: every validation and message, and where there is no bar one a minute."""

    def __init__(self, bar: Progress, clock: Callable[[], float]) -> None:
        self._bar, self._clock = bar, clock
        self._phases: dict[str, Any] = {}
        self._dice: float | None = None
        self._told_s = 0.0

    def take(self, progress: TrainProgress) -> None:
        """Show where the work is."""
        begins = progress.phase not in self._phases
        if begins:
            self._phases[progress.phase] = self._bar.add_task(progress.phase, total=progress.total, facts="")
        if progress.validation_dice is not None:
            self._dice = progress.validation_dice
        facts = _facts(progress, self._dice)
        task = self._phases[progress.phase]
        self._bar.update(task, completed=progress.iteration, total=progress.total, facts=facts)
        if progress.message and progress.phase != "done":
            echo(progress.message)
        due = self._bar.disable and (begins or self._clock() - self._told_s >= LINE_EVERY_S)
        if due or progress.validation_dice is not None:
            self._told_s = self._clock()
            echo(f"{progress.phase} {progress.iteration}/{progress.total}{': ' if facts else ''}{facts}")


def _facts(progress: TrainProgress, dice: float | None) -> str:
    """Return what a line says beside the count: loss, rate, Dice, pace and the time left of this phase."""
    if not progress.loss:
        return ""
    facts = [f"loss {sum(progress.loss.values()):.3f}", f"rate {progress.rate:.2g}"]
    if dice is not None:
        facts.append(f"Dice {dice:.3f}")
    if progress.iterations_per_s:
        left_s = (progress.total - progress.iteration) / progress.iterations_per_s
        facts.append(f"{progress.iterations_per_s:.3g}/s")
        facts.append(f"{left_s / 60:.0f} min left" if left_s >= 60 else f"{left_s:.0f} s left")
    return "  ".join(facts)
