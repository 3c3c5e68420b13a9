"""Making a run longer: legal where the learning rate is constant and falls at the end only.

Up to where the fall begins, such a run is the beginning of a longer one. So it goes on from there: from its last
checkpoint, or, where the fall has begun, from the one that was kept then.
"""

from __future__ import annotations

from voxtrace.bundle import card
from voxtrace.training.checkpoint import FILE, load_checkpoint
from voxtrace.training.kept import BEFORE_FALL, CONTINUE, copy
from voxtrace.training.schedule import fall_begins
from voxtrace.training.training_run import TrainingRun


def reopened(run: TrainingRun) -> bool:
    """Begin to make a finished bundle longer where that was asked for; return whether it was."""
    done = card(run.out).get("provenance", {}).get("iterations", 0)
    if not (run.config.rate_schedule == "constant" and run.total > done and (run.out / CONTINUE).is_file()):
        return False
    if run.processes.first and not (run.work / FILE).is_file():
        run.work.mkdir(exist_ok=True)
        copy(run.out / CONTINUE, run.work / FILE)
    run.processes.wait()
    run.reopened = True
    return True


def back_before_fall(run: TrainingRun) -> None:
    """Where a run is made longer after its rate began to fall, go back to the checkpoint of that time."""
    checkpoint, kept = load_checkpoint(run.work), run.work / BEFORE_FALL
    if checkpoint is None or run.config.rate_schedule != "constant" or not kept.is_file():
        return
    lengths = checkpoint.lengths or [run.total]
    longer = run.total > sum(lengths)
    if longer and checkpoint.phase == len(lengths) - 1 and checkpoint.iteration > fall_begins(lengths[-1]):
        copy(kept, run.work / FILE)
