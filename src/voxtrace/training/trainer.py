"""Training, as a generator: it yields progress and returns a bundle.

Everything random is a function of (seed, phase, iteration), and a checkpoint holds the network and the optimiser, so
a run that was killed and resumed ends with the weights it would have had (same seed, same machine, CPU).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

from voxtrace.bundle import Bundle, load
from voxtrace.errors import DatasetError, EngineError
from voxtrace.method import Method
from voxtrace.nn.across import share_batches
from voxtrace.plan import Plan
from voxtrace.training.beside import begin_events, check_parts, open_beside, take_best
from voxtrace.training.card import make_card
from voxtrace.training.checkpoint import load_checkpoint
from voxtrace.training.config import TrainConfig
from voxtrace.training.coverage import covering, drawn_cases, label_coverage, options_before, with_coverage
from voxtrace.training.curriculum import learned_cases
from voxtrace.training.examined import examine_kept, examine_phase
from voxtrace.training.failures import picture_worst, pictured
from voxtrace.training.finish import clear_finished
from voxtrace.training.finished import finished, settings
from voxtrace.training.gain import check_drawn, gain_in_words, gain_of
from voxtrace.training.learned import refuse_learned
from voxtrace.training.longer import as_begun, back_before_fall, note_length, reopened
from voxtrace.training.match_volumes import match_volumes
from voxtrace.training.new_labels import learn_faster, times_faster
from voxtrace.training.phase_loop import Objective, PhaseLoop
from voxtrace.training.preprocessed import PreprocessedCase
from voxtrace.training.progress import TrainProgress
from voxtrace.training.step_choice import validate_steps
from voxtrace.training.takeover import Takeover, learns_anew, take_over
from voxtrace.training.training_run import TrainingRun
from voxtrace.training.validation import validate_cases
from voxtrace.volume import Case

FINE_TUNING_FACTOR = 0.1  # times a phase's learning rate, where the bundle knows a label that is learned on


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
        A bundle to start from; what begins anew is told in messages and in the card. See :func:`take_over`.
    resume
        Go on from the last checkpoint of an interrupted run; a case whose files changed is prepared anew. A finished
        bundle is returned as it is.
    about
        What the card should say: ``name``, ``licence``, ``intended_use`` and more provenance.
    cancel
        Called at every iteration; when it returns True a checkpoint is written and Cancelled raised.
    **config
        Fields of :class:`TrainConfig`.

    Raises
    ------
    InputError, PlanError, UsageError, DatasetError
        What is resumed differs, no weight fits, volumes cannot be matched, or ``initial`` learned held-back cases.
    OutputError
        There is a bundle or an unfinished run at ``out`` already.
    EngineError
        A loss, gradient or weight is no usable number, or the device failed; the last checkpoint is kept.
    """
    run = TrainingRun(method, method.adapt(plan), TrainConfig(**config), Path(out), cancel)
    _check_start(run, initial, validate, resume)
    check_parts(run, validate)
    asked = settings(run, cases, validate, initial, about or {})
    if resume and run.finished and not (yield from reopened(run, asked, cases, validate)):
        bundle = yield from finished(run, asked, cases, validate)
        clear_finished(run.out, run.work)
        return bundle
    takeover = take_over(run.method, run.plan, run.network, initial) if initial else None
    preprocessed = yield from _prepare(run, asked, cases, validate, takeover, resume)
    if takeover:
        yield from _check_drawn(run, preprocessed, takeover)
        own = run.phases[-1].optimiser.rate
        learn_faster(run.network, takeover.new_rows, times_faster(run.config.rate or FINE_TUNING_FACTOR * own, own))
    open_beside(run, cases, validate)
    return (yield from _trained(run, preprocessed, validate, takeover, about or {}))


def _check_start(run: TrainingRun, initial: Bundle | None, validate: Sequence[Case], resume: bool) -> None:
    """Refuse, before a run begins, a start that its method cannot go on from, and held-back cases that it learned."""
    if resume and (run.finished or run.work.exists()):
        return
    run.method.check_start(initial.method if initial else None)
    if initial:
        refuse_learned(initial, validate)


def _trained(
    run: TrainingRun,
    preprocessed: list[PreprocessedCase],
    validate: Sequence[Case],
    takeover: Takeover | None,
    about: Mapping[str, Any],
) -> Generator[TrainProgress, None, Bundle]:
    """Yield progress while the network is trained and validated; return the bundle, which the first process writes."""
    learned_cases(run.phases, [case.scores for case in preprocessed])  # refuses a phase without a case
    with _torch_errors():
        before = None
        if takeover and takeover.answers and run.processes.first:
            first = validate[: run.config.quick_cases]
            before = yield from validate_cases(run.bundle(), first, run.device, run.cancel, "before", only_dice=True)
        kept = takeover is not None and takeover.keeps
        yield from _optimise(run, preprocessed, validate, FINE_TUNING_FACTOR if kept else 1.0)
        if not run.processes.first:
            run.processes.wait()
            return load(run.out)
        take_best(run)
        run.take_stored_weights()
        reached = label_coverage(run.method, run.plan, drawn_cases(run.phases, preprocessed))
        asked = run.method
        run.method, followed = covering(asked, reached)
        keep, match = run.config.keep_steps, run.config.match_volumes
        how = (validate, run.device, run.cancel)
        validation, run.method = yield from validate_steps(run.bundle(), *how, keep, margins=match)
        if validation is not None and match:
            validation = yield from match_volumes(run.bundle(), validation, *how, run.config.seed)
    gain = gain_of(takeover, run.plan, before, validation)
    card = make_card(run, preprocessed, validation, takeover, about, gain)
    card = with_coverage(card, reached, followed, options_before(asked, run.method))
    pictures: Mapping[str, bytes] = {}
    if validation is not None and run.config.picture_failures:
        with _torch_errors():
            pictures = picture_worst(run.bundle(card=card), validation.cases, validate, run.device)
    bundle = run.finish(pictured(card, pictures), pictures)
    run.processes.wait()
    if told := gain_in_words(gain):
        yield TrainProgress("validate", run.total, run.total, seconds=run.seconds, message=told)
    yield TrainProgress("done", run.total, run.total, seconds=run.seconds, message=f"wrote {run.out}")
    return bundle


def _prepare(
    run: TrainingRun,
    asked: Mapping[str, Any],
    cases: Sequence[Case],
    validate: Sequence[Case],
    takeover: Takeover | None,
    resume: bool,
) -> Generator[TrainProgress, None, list[PreprocessedCase]]:
    """Yield progress while the run's folder and its cases are made; several processes share what the first makes."""
    if not run.processes.first:
        run.processes.wait()
        return (yield from run.preprocess(cases))
    run.acquire_workdir(resume, as_begun(run, asked))
    note_length(run)
    back_before_fall(run)
    for sentence in takeover.sentences if takeover else ():
        yield TrainProgress("prepare", 0, len(cases), message=sentence)
    preprocessed = yield from run.preprocess(cases)
    if changed := run.take_cases(preprocessed, validate):
        yield TrainProgress("prepare", len(cases), len(cases), seconds=run.seconds, message=changed)
    run.processes.wait()
    return preprocessed


def _check_drawn(run: TrainingRun, cases: Sequence[PreprocessedCase], takeover: Takeover) -> Iterator[TrainProgress]:
    """Refuse cases in which no one drew a label that the bundle knows; tell where a new one is not drawn."""
    try:
        sentences = check_drawn(drawn_cases(run.phases, cases), run.plan, takeover)
    except DatasetError:
        if run.processes.first and load_checkpoint(run.work) is None:
            rmtree(run.work, ignore_errors=True)  # nothing was trained: the next try begins anew
        raise
    for sentence in sentences if run.processes.first else ():
        yield TrainProgress("prepare", len(cases), len(cases), seconds=run.seconds, message=sentence)


def _optimise(
    run: TrainingRun, cases: list[PreprocessedCase], validate: Sequence[Case], rate_factor: float
) -> Iterator[TrainProgress]:
    """Yield progress through every phase that is not done yet."""
    if run.processes.count * run.config.accumulate > 1:
        share_batches(run.network, run.processes.count > 1)
    objective = Objective(run.method, run.network)
    checkpoint = run.restore()
    begin_events(run, checkpoint)
    if checkpoint is None:
        yield from examine_kept(run, cases, validate)
    for number in range(checkpoint.phase if checkpoint else 0, len(run.phases)):
        scale = 1.0 if learns_anew(run.method, run.phases[number]) else rate_factor
        loop = PhaseLoop(run, number, objective, scale)
        yield from loop.iterate(cases, validate, checkpoint)
        yield from examine_phase(run, number, cases, validate)
        checkpoint = None


@contextmanager
def _torch_errors() -> Iterator[None]:
    """Turn what torch raises, out-of-memory included, into an EngineError that says what to do."""
    try:
        yield
    except RuntimeError as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise EngineError(f"training failed: {reason} (a smaller --batch-size needs less memory)") from error
