"""Training, as a generator: it yields progress and returns a bundle.

Everything random is a function of (seed, phase, iteration), and a checkpoint holds the network and the optimiser, so
a run that was killed and resumed ends with the weights it would have had (same seed, same machine, CPU).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxtrace.bundle import Bundle
from voxtrace.errors import EngineError
from voxtrace.method import Method
from voxtrace.plan import Plan
from voxtrace.training.card import make_card
from voxtrace.training.config import TrainConfig
from voxtrace.training.finished import finished, settings
from voxtrace.training.phase_loop import Objective, PhaseLoop
from voxtrace.training.preprocessed import PreprocessedCase
from voxtrace.training.progress import TrainProgress
from voxtrace.training.takeover import take_over
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
        A bundle to start from; see :func:`voxtrace.training.takeover.take_over`. What begins anew is told in messages
        and in the bundle's provenance.
    resume
        Go on from the last checkpoint of a run that was interrupted. A case whose files changed since is prepared anew;
        a bundle that is finished is returned, with a message.
    about
        What the card should say: ``name``, ``licence``, ``intended_use`` and more provenance. Its ``dataset``, ``fold``
        and ``label_folder`` must be the same when a run is resumed.
    cancel
        Called at every iteration; when it returns True a checkpoint is written and Cancelled raised.
    **config
        Fields of :class:`TrainConfig`.

    Raises
    ------
    InputError
        The run that is resumed, or the bundle that is finished, is of other settings or cases; the sentence says which.
    PlanError
        The initial bundle has other channels, or no weight that fits.
    OutputError
        There is a bundle or an unfinished run at ``out`` already (and ``resume`` is False).
    EngineError
        A loss, gradient or weight is not a usable number (the last checkpoint is kept), or the device failed.
    """
    run = TrainingRun(method, method.adapt(plan), TrainConfig(**config), Path(out), cancel)
    asked = settings(run, cases, validate, initial, about or {})
    if resume and run.finished:
        return (yield from finished(run, asked, cases, validate))
    takeover = take_over(run.method, run.plan, run.network, initial) if initial else None
    run.acquire_workdir(resume, asked)
    for sentence in takeover.sentences if takeover else ():
        yield TrainProgress("prepare", 0, len(cases), message=sentence)
    preprocessed = yield from run.preprocess(cases)
    if changed := run.take_cases(preprocessed, validate):
        yield TrainProgress("prepare", len(cases), len(cases), seconds=run.seconds, message=changed)
    with _torch_errors():
        before = None
        if takeover and takeover.complete:  # with weights of its own, what was learned before says nothing yet
            first = validate[: run.config.quick_cases]
            before = yield from validate_cases(run.bundle(), first, run.device, run.cancel, "before")
        yield from _optimise(run, preprocessed, validate, FINE_TUNING_FACTOR if takeover else 1.0)
        validation = yield from validate_cases(run.bundle(), validate, run.device, run.cancel)
    scans = [case.scan for case in preprocessed]
    bundle = run.finish(make_card(run, scans, validation, takeover, about or {}, before))
    yield TrainProgress("done", run.total, run.total, seconds=run.seconds, message=f"wrote {run.out}")
    return bundle


def _optimise(
    run: TrainingRun, cases: list[PreprocessedCase], validate: Sequence[Case], rate_factor: float
) -> Iterator[TrainProgress]:
    """Yield progress through every phase that is not done yet."""
    objective = Objective(run.method, run.network)
    checkpoint = run.restore()
    wrapped = run.fabric.setup_module(objective)
    for number in range(checkpoint.phase if checkpoint else 0, len(run.phases)):
        loop = PhaseLoop(run, number, objective, wrapped, rate_factor)
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
