"""Making a run longer: legal where the learning rate is constant and falls at the end only.

Up to where the fall begins, such a run is the beginning of a longer one. So it goes on from there: from its last
checkpoint, or, where the fall has begun, from the one that was kept then.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from voxtrace.bundle import card
from voxtrace.errors import InputError
from voxtrace.training.checkpoint import FILE, load_checkpoint
from voxtrace.training.events import EVENTS
from voxtrace.training.finished import compared
from voxtrace.training.kept import BEFORE_FALL, BEST_BEFORE_FALL, CONTINUE, CONTINUE_BEST, copy
from voxtrace.training.progress import TrainProgress
from voxtrace.training.run_record import load_record, save_record
from voxtrace.training.schedule import fall_begins, position
from voxtrace.training.training_run import TrainingRun
from voxtrace.volume import Case


def reopened(
    run: TrainingRun, asked: Mapping[str, Any], cases: Sequence[Case], validate: Sequence[Case]
) -> Generator[TrainProgress, None, bool]:
    """Begin to make a finished bundle longer where that was asked for; return whether it was.

    Raises
    ------
    InputError
        It was trained with other settings or cases.
    """
    made = card(run.out)
    # what was planned: time may have ended the run earlier
    if not (_extensible(run) and (run.out / CONTINUE).is_file() and run.plan.iterations > made["plan"]["iterations"]):
        return False
    yield from compared(run, _with_iterations(asked, made["plan"]["iterations"]), cases, validate)
    if run.processes.first and not (run.work / FILE).is_file():
        run.work.mkdir(exist_ok=True)
        for kept, name in (
            (EVENTS, EVENTS),
            (CONTINUE_BEST, BEST_BEFORE_FALL),
            (CONTINUE, BEFORE_FALL),
            (CONTINUE, FILE),
        ):
            if (run.out / kept).is_file():
                copy(run.out / kept, run.work / name)  # the checkpoint is last: without it, all is copied again
    run.processes.wait()
    run.reopened = True
    return True


def as_begun(run: TrainingRun, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is asked for with the iterations that the run was begun with, where it may be made longer."""
    record = load_record(run.work) if _extensible(run) else None
    return _with_iterations(asked, record.settings["plan"]["iterations"]) if record else asked


def note_length(run: TrainingRun) -> None:
    """Write down how long the run is now."""
    if run.record.settings["plan"]["iterations"] != run.plan.iterations:
        run.record = replace(run.record, settings=_with_iterations(run.record.settings, run.plan.iterations))
        save_record(run.work, run.record)


def back_before_fall(run: TrainingRun) -> None:
    """Where a run is made longer after its rate began to fall, go back to the checkpoint of that time.

    Raises
    ------
    InputError
        There is none, as in a fork that an earlier version made.
    """
    checkpoint, kept = load_checkpoint(run.work), run.work / BEFORE_FALL
    if checkpoint is None or not _extensible(run):
        return
    lengths = checkpoint.lengths or [run.total]
    longer = run.total > sum(lengths) and checkpoint.phase == len(lengths) - 1
    fall = fall_begins(lengths[-1])
    if not longer or position(checkpoint.iteration, checkpoint.spent, lengths[-1]) <= fall:
        return
    if not kept.is_file():
        raise InputError(
            f"the rate of this run began to fall at iteration {fall} of its last phase, and {kept} is missing, from "
            "which it could be made longer; resume with the same --iterations, or fork a checkpoint from before."
        )
    copy(kept, run.work / FILE)


def _extensible(run: TrainingRun) -> bool:
    return run.config.rate_schedule == "constant"


def _with_iterations(settings: Mapping[str, Any], iterations: int) -> dict[str, Any]:
    return {**settings, "plan": {**settings["plan"], "iterations": iterations}}
