"""segment() and predict(): the loop over windows, and what drives it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from voxtrace.atomic import atomic_folder
from voxtrace.bundle import Bundle
from voxtrace.errors import Cancelled, EngineError, UsageError
from voxtrace.inference.boxes import canonical_boxes
from voxtrace.inference.members import Options, agree, open_members
from voxtrace.inference.run import Run
from voxtrace.method import changed_after_training
from voxtrace.preprocess import grid_of
from voxtrace.trace import Recorder, Trace
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
    """The answer, how it came about, and what it took.

    Attributes
    ----------
    labels
        The last step's labels on the input's geometry.
    trace
        Every step; see :class:`voxtrace.trace.Trace`.
    seconds
        Wall time from the first line to the last.
    facts
        Windows, steps, runtime, device, precision and reason, members, batch, overlap, mirror, settle, seed, and
        ``seconds`` by stage: planes (waiting for them), network, assess, blend, and finish, which runs beside the
        network.
    """

    labels: LabelMap
    trace: Trace
    seconds: float
    facts: dict[str, Any]


def segment(
    bundle: Bundle | Sequence[Bundle],
    volume: Volume,
    *,
    steps: int | None = None,
    keep: Literal["last", "labels", "all"] = "last",
    runtime: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    mirror: bool | None = None,
    overlap: float | None = None,
    batch: int | None = None,
    settle: float | None = None,
    region: Literal["body", "all"] = "body",
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    store: Path | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Generator[Progress, None, Result]:
    """Yield progress while a volume is segmented, and return the result.

    Parameters
    ----------
    bundle, volume
        The trained model, and one channel for each that it expects. Of several bundles, e.g. those of five folds, the
        answers are averaged at each step; they must be of one method and plan (normalisation may differ), and what
        else is to be known is taken from the first.
    steps
        Steps to decide in; None for the method's own number.
    keep
        ``"labels"`` keeps the labels of every step in the trace, ``"last"`` those of the last one only (facts of all
        steps are there in both), ``"all"`` also keeps what the method shows beside its answers (``Method.extras``),
        e.g. the noisy mask of each denoising step.
    runtime, device, precision
        See :func:`voxtrace.runtime.open_runtime`.
    mirror
        Average over all mirrorings of the plan's axes; None does what the bundle's card says.
    overlap
        Fraction of a window shared with its neighbour; None for the plan's.
    batch
        Windows in one call of the network; None suits it to the device. The answer does not depend on it.
    settle
        Share of labels, 0 up to 1: a window whose step changes no more than that is settled, computes no further steps
        and keeps its answer. None computes every step, as published.
    region
        ``"body"`` leaves air around the patient out of a CT: windows are laid over the box of all voxels above −500 HU
        and 10 mm around it along Y and X, and what lies outside is background. ``"all"`` lays them over the whole
        plane. Plans of other modalities, or with a view of their own, always see what they say.
    seed
        Of all chance; the same seed gives the same answer.
    options
        Options of the method in place of the bundle's, among those that may change after training
        (``OptionInfo.live``), e.g. ``{"sampler": "ddim"}``.
    store
        A folder to write the trace into while it is made, so that the steps need no memory. It appears when all is
        done and not at all otherwise.
    cancel
        Asked before each batch; true stops.

    Raises
    ------
    MethodError
        An option that the method does not have, or that was fixed in training.
    InputError
        Wrong number of channels, or voxels that are not numbers.
    UsageError
        An argument outside its range, or bundles that cannot be averaged.
    EngineError
        The network failed: no memory, a missing device, logits that are not numbers.
    OutputError
        ``store`` cannot be written.
    Cancelled
        ``cancel`` said so; nothing is left behind.
    """
    started = time.perf_counter()
    _check(keep, overlap, batch, settle)
    _check_region(region)
    bundles = agree([bundle] if isinstance(bundle, Bundle) else list(bundle))
    method = changed_after_training(bundles[0].method, **(options or {}))
    method = method if steps is None else method.with_steps(steps)
    plan, card = bundles[0].plan, bundles[0].card
    with _sentences(plan.window), ExitStack() as stack:
        yield Progress("preparing", 0, 1, f"reading intensities of {volume.name}")
        grid = grid_of(volume, plan, region)
        overlap = plan.overlap if overlap is None else overlap
        calls = method.steps * count_windows(grid.padded_shape, plan.window, overlap)
        members, streams = open_members(bundles, volume, grid, Options(runtime, device, precision, calls))
        run = Run(
            method=method,
            plan=plan,
            grid=grid,
            members=members,
            every_step=keep != "last",
            mirror=bool(card.get("mirror", False)) if mirror is None else mirror,
            overlap=overlap,
            batch=batch or _batch_size(plan.window, members[0].opened.device),
            seed=seed,
            settle=settle,
            extras=keep == "all",
        )
        folder = stack.enter_context(atomic_folder(store)) if store is not None else None
        kept = method.steps if run.every_step else 1
        recorder = Recorder(kept, volume.geometry, plan.labels, folder, run.shown, volume.passport)
        for done in run.windows(streams, recorder):
            yield Progress("segmenting", done, max(done, run.n_windows), f"{done} of {run.n_windows} windows")
            if cancel is not None and cancel():
                raise Cancelled(f"stopped after {done} of {run.n_windows} windows; nothing was written.")
        facts, seen, units = run.facts()
        boxes, whole = canonical_boxes(seen, grid)
        trace = recorder.finish(facts, boxes, units, method.step_word, whole)
    if store is not None:
        trace = Trace.load(store)
    names = {value: name for value, name in plan.labels.items() if value}
    labels = LabelMap(recorder.answer, volume.geometry, names, name=volume.name)
    return Result(labels, trace, time.perf_counter() - started, run.record())


def predict(bundle: Bundle | Sequence[Bundle], volume: Volume, **options: Any) -> Result:
    """Return the result of :func:`segment`, which takes the same options."""
    task = segment(bundle, volume, **options)
    while True:
        try:
            next(task)
        except StopIteration as stop:
            result: Result = stop.value
            return result


def _check(keep: str, overlap: float | None, batch: int | None, settle: float | None) -> None:
    if keep not in ("last", "labels", "all"):
        raise UsageError(f"keep is {keep!r}; use 'last', 'labels' or 'all'.")
    if overlap is not None and not 0.0 <= overlap < 1.0:
        raise UsageError(f"overlap is {overlap}; expected 0 up to, but not including, 1.")
    if batch is not None and batch < 1:
        raise UsageError(f"batch is {batch}; expected at least one window.")
    if settle is not None and not 0.0 <= settle < 1.0:
        raise UsageError(f"settle is {settle}; expected a share of labels, 0 up to, but not including, 1.")


def _check_region(region: str) -> None:
    if region not in ("body", "all"):
        raise UsageError(f"region is {region!r}; use 'body' or 'all'.")


def _batch_size(window: Shape, device: str) -> int:
    """Return how many windows fill the device; more would only take memory.

    Slices come in larger batches on a CPU: of a routed one each network gets a few, and all cores should have one.
    """
    voxels = window[0] * window[1] * window[2]
    enough, most = (2**18 if window[0] == 1 else 2**16, 16) if device == "cpu" else (2**21, 32)
    return max(1, min(most, enough // voxels))


@contextmanager
def _sentences(window: Shape) -> Iterator[None]:
    """Turn what torch raises into an EngineError; a RuntimeError would vanish in a window's worker thread."""
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
