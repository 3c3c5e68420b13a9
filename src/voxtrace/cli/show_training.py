"""Work on a dataset behind a progress bar."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from voxtrace.cli.output import echo, progress_bar

if TYPE_CHECKING:
    from rich.progress import Progress

    from voxtrace.training import TrainProgress

Result = TypeVar("Result")


def show_training(task: Generator[TrainProgress, None, Result]) -> Result:
    """Drive the work to its end behind a progress bar and return what it returns."""
    with progress_bar("facts") as bar:
        phases: dict[str, Any] = {}
        dice = None
        while True:
            try:
                progress = next(task)
            except StopIteration as stop:
                result: Result = stop.value
                return result
            if progress.message and progress.phase != "done":  # the command itself says where the bundle lies
                echo(progress.message)
            dice = progress.validation_dice or dice
            _update(bar, phases, progress, dice)


def _update(bar: Progress, phases: dict[str, Any], progress: TrainProgress, dice: float | None) -> None:
    if progress.phase not in phases:
        phases[progress.phase] = bar.add_task(progress.phase, total=progress.total, facts="")
    loss = f"loss {sum(progress.loss.values()):.3f}  rate {progress.rate:.2g}" if progress.loss else ""
    facts = f"{loss}  Dice {dice:.3f}" if dice is not None else loss
    bar.update(phases[progress.phase], completed=progress.iteration, total=progress.total, facts=facts)
    if progress.validation_dice is not None:
        echo(f"{progress.phase} {progress.iteration}/{progress.total}: {facts}")
