"""Training, as a generator: it yields progress and returns a bundle.

Everything random is a function of (seed, phase, iteration), and a checkpoint holds the network and the optimiser, so
a run that was killed and resumed ends with the weights it would have had (same seed, same machine, CPU).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxtrace.bundle import JSON, Bundle, load
from voxtrace.errors import EngineError
from voxtrace.method import Method
from voxtrace.plan import Plan
from voxtrace.nn.across import share_batches
from voxtrace.training.beside import begin_events, check_parts, open_beside, take_best
from voxtrace.training.card import make_card
from voxtrace.training.config import TrainConfig
from voxtrace.training.finetune import load_matching_weights
from voxtrace.training.finish import clear_finished
from voxtrace.training.longer import back_before_fall, reopened
from voxtrace.training.phase_loop import Objective, PhaseLoop
from voxtrace.training.preprocessed import PreprocessedCase
from voxtrace.training.progress import TrainProgress
from voxtrace.training.training_run import TrainingRun
from voxtrace.training.validation import validate_cases
from voxtrace.volume import Case

FINE_TUNING_FACTOR = 0.1  # times a phase's learning rate


def train(
    method: Method,
    plan: Plan,
    cases: Sequence[Case],
    *,
    out: str | Path,
    validate: Sequence[Case] = (),
    initial: Bundle | None = None,
    resume: bool = False,
    about: Mapping[str, Any] | None = None,
    cancel: Callable[[], bool] = lambda: False,
    **config: Any,
) -> Generator[TrainProgress, None, Bundle]:
    """Train a method on cases; yield progress, write the bundle at ``out`` and return it.

    Parameters
    ----------
    method, plan
        What to train; the plan is adapted to the method first.
    cases, validate
        Read one at a time; the second are segmented whole, a few during training and all at its end.
    out
        Bundle folder; the run's own files lie beside it in ``<out>.work`` until it is done.
    initial
        A bundle to start from. Weights that fit are taken over; the others are named in the bundle's provenance.
    resume
        Go on from the last checkpoint of a run that was interrupted.
    about
        What the card should say: ``name``, ``licence``, ``intended_use`` and more provenance.
    cancel
        Called at every iteration; when it returns True a checkpoint is written and Cancelled raised.
    **config
        Fields of :class:`TrainConfig`.

    Raises
    ------
    OutputError
        There is a bundle or an unfinished run at ``out`` already (and ``resume`` is False).
    EngineError
        A loss, gradient or weight is not a usable number (the last checkpoint is kept), or the device failed.
    """
    run = TrainingRun(method, method.adapt(plan), TrainConfig(**config), Path(out), cancel)
    check_parts(run)
    if resume and (run.out / JSON).is_file() and not reopened(run):
        clear_finished(run.out, run.work)
        return load(run.out)
    if run.processes.first:
        run.acquire_workdir(resume, len(cases), initial)
        back_before_fall(run)
        preprocessed = yield from run.preprocess(cases)
    run.processes.wait()
    if not run.processes.first:
        preprocessed = yield from run.preprocess(cases)
    open_beside(run, cases, validate)
    with _torch_errors():
        unmatched = load_matching_weights(run.network, initial) if initial else ()
        before = None
        if initial and not unmatched and run.processes.first:  # with weights of its own, what was learned before says nothing yet
            first = validate[: run.config.quick_cases]
            before = yield from validate_cases(run.bundle(), first, run.device, run.cancel, "before")
        yield from _optimise(run, preprocessed, validate, 1.0 if initial is None else FINE_TUNING_FACTOR)
        if not run.processes.first:
            run.processes.wait()
            return load(run.out)
        take_best(run)
        validation = yield from validate_cases(run.bundle(), validate, run.device, run.cancel)
    scans = [case.scan for case in preprocessed]
    bundle = run.finish(make_card(run, scans, validation, initial, unmatched, about or {}, before))
    run.processes.wait()
    yield TrainProgress("done", run.total, run.total, seconds=run.seconds, message=f"wrote {run.out}")
    return bundle


def _optimise(
    run: TrainingRun, cases: list[PreprocessedCase], validate: Sequence[Case], rate_factor: float
) -> Iterator[TrainProgress]:
    """Yield progress through every phase that is not done yet."""
    if run.processes.count * run.config.accumulate > 1:
        share_batches(run.network, run.processes.count > 1)
    objective = Objective(run.method, run.network)
    checkpoint = run.restore()
    begin_events(run, checkpoint)
    for number in range(checkpoint.phase if checkpoint else 0, len(run.phases)):
        loop = PhaseLoop(run, number, objective, rate_factor)
        yield from loop.iterate(cases, validate, checkpoint)
        checkpoint = None


@contextmanager
def _torch_errors() -> Iterator[None]:
    """Turn what torch raises, out-of-memory included, into an EngineError that says what to do."""
    try:
        yield
    except RuntimeError as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise EngineError(f"training failed: {reason} (a smaller --batch-size needs less memory)") from error
