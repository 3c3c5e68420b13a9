"""segment() and predict(): one volume through one method, with progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtrace.atomic import atomic_folder
from voxtrace.bundle import Bundle
from voxtrace.errors import Cancelled, EngineError
from voxtrace.inference.describe_run import describe_run
from voxtrace.inference.ensemble import check_compatible, open_members
from voxtrace.inference.options import PredictOptions
from voxtrace.inference.sliding_window import SlidingWindow
from voxtrace.inference.window_boxes import canonical_boxes
from voxtrace.method import Method, changed_after_training
from voxtrace.plan import Plan
from voxtrace.preprocess import PlaneStream, grid_of
from voxtrace.trace import Recorder, RunDescription, Trace
from voxtrace.volume import LabelMap, Shape, Volume
from voxtrace.windows import count_windows


@dataclass(frozen=True)
class Progress:
    """How far a task is: ``done`` of ``total`` windows of a ``stage`` ("preparing", "segmenting")."""

    stage: str
    done: int
    total: int
    message: str = ""


@dataclass(frozen=True)
class Result:
    """The labels, how they came about, and what was run.

    Attributes
    ----------
    labels
        The last step's labels on the input's geometry.
    trace
        Every step; see :class:`voxtrace.trace.Trace`.
    seconds
        Wall time from the first line to the last.
    facts
        Windows, steps, runtime, device and precision with the reason for them, members, batch, overlap, mirror, settle,
        seed, and ``seconds`` by stage: planes (waiting for them), network, assess, blend, and finish, which runs in a
        thread of its own while the network computes.
    """

    labels: LabelMap
    trace: Trace
    seconds: float
    facts: dict[str, Any]


def segment(
    bundle: Bundle | Sequence[Bundle],
    volume: Volume,
    options: PredictOptions | Mapping[str, Any] | None = None,
    *,
    store: Path | None = None,
    cancel: Callable[[], bool] | None = None,
    **changes: Any,
) -> Generator[Progress, None, Result]:
    """Yield progress while a volume is segmented, and return the result.

    Parameters
    ----------
    bundle, volume
        The trained model, and one channel for each that it expects. The probabilities of several bundles, e.g. of
        five folds, are averaged at each step; they must be of one method and plan (normalisation may differ).
    options
        How to predict. A mapping holds options of the method in place of the bundle's, e.g. ``{"sampler": "ddim"}``.
    store
        A folder to write the trace into while it is made, so that the steps need no memory. It appears when all is
        done and not at all otherwise.
    cancel
        Called after each batch; true stops.
    changes
        Options by name, e.g. ``steps=3``; see :class:`voxtrace.inference.PredictOptions` for each.

    Raises
    ------
    MethodError
        An option that the method does not have, or that was fixed in training.
    InputError
        Wrong number of channels, or voxels that are not numbers.
    UsageError
        An option outside its range, or bundles that cannot be averaged.
    EngineError
        The network failed: no memory, a missing device, logits that are not numbers.
    OutputError
        ``store`` cannot be written.
    Cancelled
        ``cancel`` returned true; nothing is left behind.
    """
    started = time.perf_counter()
    chosen = PredictOptions.of(options, **changes)
    bundles = check_compatible((bundle,) if isinstance(bundle, Bundle) else tuple(bundle))
    method, plan = chosen_method(bundles[0], chosen), bundles[0].plan
    with _engine_errors(plan.window), ExitStack() as stack:
        yield Progress("preparing", 0, 1, f"reading intensities of {volume.name}")
        run, streams = _prepared(bundles, method, volume, chosen)
        # the folder takes its name when the block ends without an error, and vanishes otherwise
        folder = stack.enter_context(atomic_folder(store)) if store is not None else None
        recorder = _recorder(run, volume, folder)
        for done in run.windows(streams, recorder):
            yield Progress("segmenting", done, max(done, run.n_windows), f"{done} of {run.n_windows} windows")
            if cancel is not None and cancel():
                raise Cancelled(f"stopped after {done} of {run.n_windows} windows; nothing was written.")
        trace = _finished(run, recorder, describe_run(run, bundles, volume.name, time.perf_counter() - started))
    if store is not None:
        trace = Trace.load(store)
    labels = LabelMap(recorder.answer, volume.geometry, _names(plan), name=volume.name)
    return Result(labels, trace, time.perf_counter() - started, run.record())


def predict(
    bundle: Bundle | Sequence[Bundle],
    volume: Volume,
    options: PredictOptions | Mapping[str, Any] | None = None,
    **changes: Any,
) -> Result:
    """Return the result of :func:`segment`, which takes the same arguments."""
    task = segment(bundle, volume, options, **changes)
    while True:
        try:
            next(task)
        except StopIteration as stop:
            result: Result = stop.value
            return result


def chosen_method(bundle: Bundle, options: PredictOptions) -> Method:
    """Return the bundle's method with the steps and the options of the method that are asked for.

    Raises
    ------
    MethodError
        An option that the method does not have, or that was fixed in training.
    """
    method = changed_after_training(bundle.method, **options.method_options)
    return method if options.steps is None else method.with_steps(options.steps)


def _prepared(
    bundles: Sequence[Bundle], method: Method, volume: Volume, options: PredictOptions
) -> tuple[SlidingWindow, list[PlaneStream]]:
    """Return what will visit the windows, with every unset option filled in, and the planes for it."""
    plan, card = bundles[0].plan, bundles[0].card
    grid = grid_of(volume, plan, options.region)
    overlap = plan.overlap if options.overlap is None else options.overlap
    # an adaptive schedule may run fewer; the choice of runtime must not depend on the scan's content
    calls = method.steps * count_windows(grid.padded_shape, plan.window, overlap)
    members, streams = open_members(bundles, volume, grid, options, calls)
    run = SlidingWindow(
        method=method,
        plan=plan,
        grid=grid,
        members=members,
        options=options,
        mirror=bool(card.get("mirror", False)) if options.mirror is None else options.mirror,
        overlap=overlap,
        batch=options.batch or _batch_size(plan.window, members[0].opened.device),
    )
    return run, streams


def _recorder(run: SlidingWindow, volume: Volume, folder: Path | None) -> Recorder:
    """Return what gathers labels and maps of the steps that are kept, in memory or in the folder."""
    names, maps = run.plan.labels, tuple(run.map_units)
    return Recorder(run.kept, volume.geometry, names, folder, run.shown, volume.passport, maps)


def _finished(run: SlidingWindow, recorder: Recorder, description: RunDescription) -> Trace:
    """Return the trace of a run that has visited every window."""
    facts, seen, units = run.facts()
    boxes, whole = canonical_boxes(seen, run.grid)
    slices = run.slice_facts.on_input()
    return recorder.finish(facts, boxes, units, run.method.step_word, whole, slices, description)


def _names(plan: Plan) -> dict[int, str]:
    """Return the names of all labels but the background."""
    return {value: name for value, name in plan.labels.items() if value}


def _batch_size(window: Shape, device: str) -> int:
    """Return the number of windows that fills the device; a larger batch takes memory and saves no time.

    On a CPU slices come in larger batches: of a batch that is routed, each network gets a few, enough for all cores.
    """
    voxels = window[0] * window[1] * window[2]
    enough, most = (2**18 if window[0] == 1 else 2**16, 16) if device == "cpu" else (2**21, 32)
    return max(1, min(most, enough // voxels))


@contextmanager
def _engine_errors(window: Shape) -> Iterator[None]:
    """Turn what torch raises into an EngineError with advice; napari's worker threads swallow a RuntimeError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error) or type(error).__name__
        if isinstance(error, MemoryError) or "memory" in text.lower():
            advice = "Use batch=1, keep='last', fewer steps, or device='cpu'."
            raise EngineError(f"memory ran out with windows of {window} voxels. {advice}") from error
        reason = text.strip().splitlines()[0]
        raise EngineError(
            f"the network failed on windows of {window} voxels: {reason}. Try precision='float32' or device='cpu'."
        ) from error
