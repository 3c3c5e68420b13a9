"""What a run opens beside its network before it begins, and takes up when it ends."""

from __future__ import annotations

from collections.abc import Sequence

from voxtrace.errors import OutputError, UsageError
from voxtrace.training.begun import preview_folder
from voxtrace.training.checkpoint import TrainingCheckpoint
from voxtrace.training.events import EVENTS, EventLog
from voxtrace.training.kept import BestWeights
from voxtrace.training.match_volumes import check_matchable
from voxtrace.training.preview import FOLDER, PreviewTrace, find_case, names_of
from voxtrace.training.sampling import windows_in_update
from voxtrace.training.training_run import TrainingRun
from voxtrace.volume import Case


def check_parts(run: TrainingRun, held_back: Sequence[Case]) -> None:
    """Refuse windows that cannot be spread evenly over the passes of an update, and volumes that cannot be matched.

    Raises
    ------
    UsageError
        As said.
    """
    if run.config.match_volumes:
        check_matchable(run.method, run.plan.regions, held_back)
    passes, processes = run.config.accumulate, run.processes.count
    for batch in (run.plan.batch_size, *(windows_in_update(run.plan, phase, processes) for phase in run.phases)):
        if passes < 1 or batch % passes:
            raise UsageError(
                f"{batch} windows in an update cannot be spread evenly over {passes} passes; give an --accumulate "
                f"that divides {batch}, or another --batch-size."
            )


def open_beside(run: TrainingRun, cases: Sequence[Case], validate: Sequence[Case]) -> None:
    """Open the events and the preview of a run, in the process that writes.

    Raises
    ------
    UsageError
        The preview names no case.
    OutputError
        There is a preview of another run.
    """
    run.case_names = names_of(cases)
    everyone = (*run.case_names, *names_of(validate))
    if run.config.anonymous_names:  # as the card calls them
        run.shown_names = {name: f"case_{number:04d}" for number, name in enumerate(everyone, start=1)}
    if not run.processes.first:
        return
    run.events = EventLog(run.work / EVENTS, run.config.tensorboard)
    if run.config.preview:
        out = preview_folder(run.out)
        run.preview = PreviewTrace(find_case(run.config.preview, validate, cases), run.work, out)
        if run.preview.is_of_another_case():
            raise OutputError(
                f"{out} shows another case than {run.config.preview}; give --preview that one, or move {out} and "
                f"{run.work / FOLDER} away."
            )
        if out.exists() and not (run.work / FOLDER).exists() and not (run.reopened and run.preview.take_up()):
            raise OutputError(f"{out} exists already; move it away, or train without --preview.")


def begin_events(run: TrainingRun, checkpoint: TrainingCheckpoint | None) -> None:
    """Write down that the run begins, or goes on from a checkpoint: what came after it is done again."""
    run.events.rewind(run.done)
    if run.preview is not None:
        run.preview.rewind(run.done)
    run.events.write(
        "begin",
        run.done,
        run.total,
        method=run.method.key,
        phases={phase.name: phase.iterations for phase in run.phases},
        device=run.device,
        precision=run.precision,
        processes=run.processes.count,
        resumed=checkpoint is not None,
    )


def take_best(run: TrainingRun) -> None:
    """Put the weights with the best validation into the network, where they were asked for and there are some."""
    best = BestWeights(run.work).load() if run.config.weights == "best" else None
    if best is not None:
        run.network.load_state_dict(best)
