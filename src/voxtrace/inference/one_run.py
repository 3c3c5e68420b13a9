"""One run: a volume through one method, all networks averaged, every step recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from voxtrace.atomic import atomic_folder
from voxtrace.bundle import Bundle
from voxtrace.errors import EngineError, UsageError
from voxtrace.fit import facts_of, remember_run
from voxtrace.inference.cancel_check import CancelCheck
from voxtrace.inference.describe_run import describe_run
from voxtrace.inference.ensemble import chosen_method, open_members, usually_mirrors
from voxtrace.inference.fold_folder import LEFT_OUT, left_out
from voxtrace.inference.foretell import with_expected_dice
from voxtrace.inference.options import PredictOptions
from voxtrace.inference.post_process import KEY, STAGE, piece_rules, remove_from_answer
from voxtrace.inference.probabilities import Probe
from voxtrace.inference.progress import FinishedPlanes, Progress, Result
from voxtrace.inference.sliding_window import SlidingWindow
from voxtrace.inference.window_boxes import canonical_boxes
from voxtrace.method import Method
from voxtrace.plan import Plan
from voxtrace.preprocess import PlaneStream, grid_of
from voxtrace.trace import Recorder, RunDescription, Trace
from voxtrace.volume import DEMONSTRATION, LabelMap, Shape, Volume
from voxtrace.windows import count_windows


def segment_once(
    bundles: Sequence[Bundle],
    volume: Volume,
    options: PredictOptions,
    store: Path | None = None,
    cancel: Callable[[], bool] | None = None,
    probe: Probe | None = None,
) -> Generator[Progress, None, Result]:
    """Yield progress while a volume is segmented once, and return the result.

    See :func:`voxtrace.inference.segment`, which checks the bundles.
    """
    started, check = time.perf_counter(), CancelCheck(cancel)
    method, plan = chosen_method(bundles[0], options), bundles[0].plan
    with _engine_errors(plan.window), ExitStack() as stack:
        yield Progress("preparing", 0, 1, f"reading intensities of {volume.name}")
        run, streams = _prepared(bundles, method, volume, options, check)
        run.probe = probe
        # the folder takes its name when the block ends without an error, and vanishes otherwise
        folder = stack.enter_context(atomic_folder(store)) if store is not None else None
        recorder, shown = _recorder(run, volume, folder), 0
        for done in check.each(run.windows(streams, recorder)):
            planes, shown = _fresh(recorder, shown)
            check.where = f"after {done} of {run.n_windows} windows"
            yield Progress("segmenting", done, max(done, run.n_windows), f"{done} of {run.n_windows} windows", planes)
            check()
        removed = yield from _post_processed(run, recorder, bundles, volume)
        about = describe_run(run, bundles, volume, time.perf_counter() - started, removed)
        trace = _finished(run, recorder, about)
        trace = with_expected_dice(trace, bundles, method, options, folder)
    if store is not None:
        trace = Trace.load(store)
    note = DEMONSTRATION if trace.provenance.demonstration else ""
    labels = LabelMap(recorder.answer, volume.geometry, _names(plan), name=volume.name, note=note)
    facts = {**run.record(), **({KEY: removed} if removed else {})}
    facts |= {LEFT_OUT: told} if (told := left_out(bundles)) else {}
    result = Result(labels, trace, time.perf_counter() - started, facts)
    _remember(bundles, volume, options, result)
    return result


def _post_processed(
    run: SlidingWindow, recorder: Recorder, bundles: Sequence[Bundle], volume: Volume
) -> Generator[Progress, None, dict[str, Any]]:
    """Yield progress and remove small pieces from the answer, where bundle or user say so; return what went."""
    rules = piece_rules(bundles, run.options)
    if not rules:
        return {}
    yield Progress(STAGE, 0, 1, f"small pieces of {len(rules)} labels")
    with run.timer(STAGE):
        return remove_from_answer(recorder, rules, run.plan.labels, volume.geometry.voxel_ml * 1000.0)


def _remember(bundles: Sequence[Bundle], volume: Volume, options: PredictOptions, result: Result) -> None:
    """Remember how fast it was, for the estimate of the next run; a run of several bundles tells nothing of one."""
    if len(bundles) == 1 and bundles[0].digest:
        remember_run(bundles[0].record, facts_of(volume), options.to_json(), result.facts, result.seconds)


def _fresh(recorder: Recorder, shown: int) -> tuple[FinishedPlanes | None, int]:
    """Return the planes that were completed since ``shown`` of them, and how many are complete now."""
    done = recorder.done
    return (FinishedPlanes(shown, recorder.planes(shown, done)) if done > shown else None), done


def _prepared(
    bundles: Sequence[Bundle], method: Method, volume: Volume, options: PredictOptions, check: CancelCheck
) -> tuple[SlidingWindow, list[PlaneStream]]:
    """Return what will visit the windows, with every unset option filled in, and the planes for it."""
    plan = bundles[0].plan
    grid = grid_of(volume, plan, options.region)
    overlap = plan.overlap if options.overlap is None else options.overlap
    # an adaptive schedule may run fewer; the choice of runtime must not depend on the scan's content
    calls = method.steps * count_windows(grid.padded_shape, plan.window, overlap)
    members, streams = open_members(bundles, volume, grid, options, calls, check)
    run = SlidingWindow(
        method=method,
        plan=plan,
        grid=grid,
        members=members,
        options=options,
        mirror=_mirrors(options.mirror, bundles[0]),
        overlap=overlap,
        check=check,
        batch=options.batch or _batch_size(plan.window, members[0].opened.device),
    )
    return run, streams


def _mirrors(asked: bool | None, bundle: Bundle) -> bool:
    """Return whether windows are mirrored: as asked, or as the bundle's card says; never where there is no axis."""
    if asked and not bundle.plan.mirror_axes:
        raise UsageError(
            f"mirroring was asked for, but {bundle.name or 'this bundle'} was trained without mirror images and has no "
            "axis to mirror; leave --mirror out."
        )
    return usually_mirrors(bundle) if asked is None else asked


def _recorder(run: SlidingWindow, volume: Volume, folder: Path | None) -> Recorder:
    """Return what gathers labels and maps of the steps that are kept, in memory or in the folder."""
    names, maps = run.plan.labels, tuple(run.map_units)
    return Recorder(run.kept, volume.geometry, names, folder, run.shown, volume.passport, maps, second=run.keeps_second)


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
