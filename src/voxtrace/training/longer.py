"""Making a run longer: legal where the learning rate is constant and falls at the end only.

Up to where the fall begins, such a run is the beginning of a longer one. So it goes on from there: from its last
checkpoint, or, where the fall has begun, from the one that was kept then.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from voxtrace.bundle import card
from voxtrace.training.checkpoint import FILE, load_checkpoint
from voxtrace.training.finished import compared
from voxtrace.training.kept import BEFORE_FALL, CONTINUE, copy
from voxtrace.training.progress import TrainProgress
from voxtrace.training.run_record import load_record, save_record
from voxtrace.training.schedule import fall_begins
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
    done = made.get("provenance", {}).get("iterations", 0)
    if not (_extensible(run) and run.total > done and (run.out / CONTINUE).is_file()):
        return False
    yield from compared(run, _with_iterations(asked, made["plan"]["iterations"]), cases, validate)
    if run.processes.first and not (run.work / FILE).is_file():
        run.work.mkdir(exist_ok=True)
        copy(run.out / CONTINUE, run.work / FILE)
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
    """Where a run is made longer after its rate began to fall, go back to the checkpoint of that time."""
    checkpoint, kept = load_checkpoint(run.work), run.work / BEFORE_FALL
    if checkpoint is None or not _extensible(run) or not kept.is_file():
        return
    lengths = checkpoint.lengths or [run.total]
    longer = run.total > sum(lengths)
    if longer and checkpoint.phase == len(lengths) - 1 and checkpoint.iteration > fall_begins(lengths[-1]):
        copy(kept, run.work / FILE)


def _extensible(run: TrainingRun) -> bool:
    return run.config.rate_schedule == "constant"


def _with_iterations(settings: Mapping[str, Any], iterations: int) -> dict[str, Any]:
    return {**settings, "plan": {**settings["plan"], "iterations": iterations}}
