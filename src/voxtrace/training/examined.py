"""What a method finds on held-back windows after a phase: said in the log, kept in the events and in the card."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from voxtrace.bundle import Bundle
from voxtrace.method import Batch, Phase
from voxtrace.plan import Plan
from voxtrace.training.curriculum import drawn_by_any
from voxtrace.training.events import EVENTS, read_events
from voxtrace.training.preprocessed import PreprocessedCase, cut, preprocess_cases
from voxtrace.training.progress import TrainProgress
from voxtrace.training.training_run import TrainingRun
from voxtrace.volume import Case
from voxtrace.windows import regular

EVENT, SENTENCE = "examined", "sentence"
WINDOWS = 16  # segmented at once
FOLDER = "held_back"  # in the run's folder


def examine_kept(
    run: TrainingRun, cases: Sequence[PreprocessedCase], validate: Sequence[Case]
) -> Iterator[TrainProgress]:
    """Yield what the method has to say of phases that are not run, because the start's weights stay."""
    for phase in run.method.kept_phases(run.plan):
        yield from _examine(run, (phase,), 0, cases, validate)


def examine_phase(
    run: TrainingRun, number: int, cases: Sequence[PreprocessedCase], validate: Sequence[Case]
) -> Iterator[TrainProgress]:
    """Yield the sentence that the method has to say after a phase, if any, and write down what it found."""
    learned = run.phases[: number + 1]
    yield from _examine(run, learned, learned[-1].iterations, cases, validate)


def _examine(
    run: TrainingRun,
    learned: Sequence[Phase],
    done: int,
    cases: Sequence[PreprocessedCase],
    validate: Sequence[Case],
) -> Iterator[TrainProgress]:
    """Yield what the method says after the last of the phases that were learned; ``done`` are its updates."""
    if not run.processes.first:
        return
    phase = learned[-1]
    with torch.no_grad():
        windows = partial(held_back_windows, run, learned, cases, validate)
        found = dict(run.method.examine(run.network.eval(), phase, windows))
    if not found:
        return
    run.events.write(EVENT, run.done, run.total, phase=phase.name, found=found)
    yield TrainProgress(phase.name, done, done, seconds=run.seconds, message=found[SENTENCE])


def held_back_windows(
    run: TrainingRun, learned: Sequence[Phase], cases: Sequence[PreprocessedCase], validate: Sequence[Case]
) -> Iterator[Batch]:
    """Yield all windows of the validation cases; without any, of training cases that none of the phases learned.

    Windows lie on the even lattice and are not augmented.
    """
    if validate:
        held: Sequence[PreprocessedCase] = tuple(
            preprocess_cases(validate, run.plan, run.work / FOLDER, run.config.seed)
        )
    else:
        held = _left_out(learned, cases)
    for case in held:
        for batch in _windows(case, run.plan):
            yield Batch(batch.images.to(run.fabric.device), batch.labels.to(run.fabric.device))


def examine_again(bundle: Bundle, validate: Sequence[Case]) -> dict[str, Any]:
    """Return what a finished bundle's method finds now after each phase that its card has something of; {} if nothing.

    Options that a prediction may change may be others than at the end of the training.
    """
    before = bundle.card.get("metrics", {}).get(EVENT) or {}
    phases = [phase for phase in bundle.method.phases(bundle.plan) if phase.name in before]
    if not phases or not validate:
        return {}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        seed = int(bundle.card.get("provenance", {}).get("seed", 0))
        held = tuple(preprocess_cases(validate, bundle.plan, Path(folder), seed))

        def windows() -> Iterator[Batch]:
            for case in held:
                yield from _windows(case, bundle.plan)

        found = {phase.name: dict(bundle.method.examine(bundle.network, phase, windows)) for phase in phases}
    return {EVENT: {**before, **{name: row for name, row in found.items() if row}}}


def examined_entries(run: TrainingRun) -> dict[str, Any]:
    """Return what was found after each phase, kept ones included, by its name, for the card; {} if nothing."""
    found = {
        event["phase"]: event.get("found", {})
        for event in read_events(run.work / EVENTS)
        if event["event"] == EVENT and isinstance(event.get("phase"), str)
    }
    return {EVENT: found} if found else {}


def _left_out(phases: Sequence[Phase], cases: Sequence[PreprocessedCase]) -> list[PreprocessedCase]:
    drawn = drawn_by_any(phases, [case.scores for case in cases])
    return [case for case, is_drawn in zip(cases, drawn, strict=True) if not is_drawn]


def _windows(case: PreprocessedCase, plan: Plan) -> Iterator[Batch]:
    shape, size = case.labels.shape, plan.window
    # where the case is smaller than the window, it lies in the middle, as in inference
    before = [max(0, w - n) // 2 for n, w in zip(shape, size, strict=True)]
    whole = tuple(max(n, w) for n, w in zip(shape, size, strict=True))
    starts = [w for row in regular((whole[0], whole[1], whole[2]), size, plan.overlap) for w in row]
    for first in range(0, len(starts), WINDOWS):
        places = [[at - b for at, b in zip(start, before, strict=True)] for start in starts[first : first + WINDOWS]]
        images = torch.stack([torch.from_numpy(cut(case.image, place, size)) for place in places])
        labels = torch.stack([torch.from_numpy(cut(case.labels, place, size).astype("int64")) for place in places])
        yield Batch(images, labels)
