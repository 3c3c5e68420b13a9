"""The jobs that run in a thread; the only module of the plugin that calls the engine and so imports torch."""

from __future__ import annotations

import importlib
import shutil
import tempfile
import weakref
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace.errors import Cancelled
from voxtrace.inference.fold_folder import load_members
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.scalar_maps import layers_beside
from voxtrace.plugin.layers.timepoints import timepoint_labels_layer
from voxtrace.plugin.models.messages import (
    REQUEST,
    JobStage,
    ProvisionalAnswer,
    SegmentRequest,
    SegmentResult,
    TimepointsRequest,
    TimepointsResult,
    TrainReport,
)
from voxtrace.plugin.models.region import crop, cut, laid_back, laid_back_labels, within
from voxtrace.plugin.work import warm
from voxtrace.plugin.work.events import Cancel
from voxtrace.plugin.work.growing import GrowingAnswer
from voxtrace.plugin.work.torch_import import importing_torch
from voxtrace.plugin.work.train_preview import PreviewFollower, PreviewRecorder, preview_of
from voxtrace.training.request import TrainRequest
from voxtrace.volume import Volume

if TYPE_CHECKING:
    from voxtrace.bundle import Bundle
    from voxtrace.inference import Result
    from voxtrace.method import Method, Phase
    from voxtrace.trace import Trace
    from voxtrace.training import TrainProgress, TrainSetup
    from voxtrace.training.cross_validation import CrossValidation

_Stages = Generator[JobStage | ProvisionalAnswer, None, Any]
_PHASES = {
    "plan": "Reading cases",
    "compare": "Comparing cases",
    "prepare": "Preparing cases",
    "before": "Validating the weights to start from",
    "validate": "Validating whole cases",
    "match": "Matching volumes",
    "receipt": "Measuring what fine-tuning changed, case",
    "done": "Done",
}


def methods() -> tuple[Mapping[str, type[Method]], Mapping[str, str]]:
    """Return the class of every method by its key, and why a package's method is left out; imports torch."""
    with importing_torch():
        from voxtrace.methods import every_method
    return every_method()


def segment(request: SegmentRequest, cancel: Cancel) -> Generator[JobStage | ProvisionalAnswer, None, SegmentResult]:
    """Load the bundle, run the engine and make layers of the result."""
    models = yield from _load_bundles(request.bundle, cancel)
    result, store = yield from _predict(models, request, cancel, _growing(models[0], request))
    yield JobStage("Making layers …")
    yield ProvisionalAnswer(None)  # removed now, so that the window does not do both at once
    trace = _on_scan(result.trace, request, store)
    warm.compile_label_colours()  # here in the thread, and not when the window draws the layer
    name = f"{request.name} · demonstration" if trace.provenance.demonstration else request.name
    data, about, kind = display.trace_layer(trace, name, request.scan)
    about["metadata"][REQUEST] = request
    made = SegmentResult(
        (data, about, kind),
        tuple(trace.summary()),
        result.seconds,
        layers_beside(trace, name, request.scan),
        trace.slice_facts,
    )
    check(cancel)
    return made


def _on_scan(trace: Trace, request: SegmentRequest, store: Path | None) -> Trace:
    """Return the trace on the scan's grid, or on that of the part that is shown."""
    if request.box is None:
        weakref.finalize(trace, _remove, store)
        return trace
    try:
        if request.shown is not None:
            return cut(trace, within(request.shown, request.box))
        return laid_back(trace, request.channels[0].volume.geometry, request.box)
    finally:
        _remove(store)


def check(cancel: Cancel) -> None:
    """Stop where the job was cancelled.

    Raises
    ------
    Cancelled
        ``cancel`` returns true.
    """
    if cancel():
        raise Cancelled("stopped; nothing was changed.")


def segment_timepoints(
    request: TimepointsRequest, cancel: Cancel
) -> Generator[JobStage | ProvisionalAnswer, None, TimepointsResult]:
    """Load the bundle once, run the engine on each time point and make one layer of the results."""
    models = yield from _load_bundles(request.each.bundle, cancel)
    answers, seconds = [], 0.0
    for timepoint in request.timepoints:
        run = _predict(models, request.at(timepoint), cancel)
        result, store = yield from _with_prefix(f"Frame {timepoint + 1} of {request.count}", run)
        _remove(store)  # only the label map is shown
        box, geometry = request.each.box, request.each.channels[0].volume.geometry
        answers.append(result.labels if box is None else laid_back_labels(result.labels, geometry, box))
        seconds += result.seconds
    yield JobStage("Making layers …")
    layer = timepoint_labels_layer(answers, request.timepoints, request.count, request.each.scan, request.each.name)
    return TimepointsResult(layer, request.timepoints, request.count, seconds)


def _with_prefix(before: str, run: _Stages) -> _Stages:
    """Run a part of a job with a prefix before each of its messages."""
    while True:
        try:
            stage = next(run)
        except StopIteration as end:
            return end.value
        yield replace(stage, text=f"{before} · {stage.text}") if isinstance(stage, JobStage) else stage


def _load_bundles(path: Path, cancel: Cancel) -> Generator[JobStage, None, tuple[Bundle, ...]]:
    """Return the bundle in a folder, or those of a folder of folds."""
    yield JobStage("Loading the model …")
    with importing_torch():
        from voxtrace import inference  # noqa: F401 - the engine is imported here, where torch is
    check(cancel)
    models = load_members((path,))
    check(cancel)
    return models


def _predict(
    models: Sequence[Bundle], request: SegmentRequest, cancel: Cancel, growing: GrowingAnswer | None = None
) -> Generator[JobStage | ProvisionalAnswer, None, tuple[Result, Path | None]]:
    """Run the engine; return the result, and the trace's folder where it is too large for memory."""
    from voxtrace import inference

    model, volume = models[0], _stacked(request, models[0])
    store = _store(inference.trace_bytes(model.method, model.plan, request.options, volume.data[0].size))
    options = request.options
    if request.box is not None:  # pieces are those of the whole scan: the largest in a part may be the small one
        options = replace(options, post_processing="none")
    run = inference.segment(models, volume, options, store=store, cancel=cancel)
    try:
        if growing is not None:
            yield growing.layer
        return (yield from _forward_stages(run, growing)), store
    except BaseException:
        _remove(store)
        raise


def _stacked(request: SegmentRequest, model: Bundle) -> Volume:
    """Return the volume that the engine gets: the chosen channels, and of them the chosen box."""
    volume = stack_channels(request.channels, model.plan.channels)
    return volume if request.box is None else crop(volume, request.box)


def _growing(model: Bundle, request: SegmentRequest) -> GrowingAnswer:
    geometry = request.channels[0].volume.geometry
    if request.box is not None:
        geometry = geometry.part(request.box.start, request.box.shape)
    names = {value: name for value, name in model.plan.labels.items() if value}
    return GrowingAnswer(geometry, names, request.name, request.scan)


def _store(trace_bytes: int) -> Path | None:
    """Return a temporary folder for a trace that is too large for memory, else None."""
    if trace_bytes <= display.IN_MEMORY_BYTES:
        return None
    return Path(tempfile.mkdtemp(prefix="voxtrace-")) / "trace"


def _remove(store: Path | None) -> None:
    """Remove the temporary folder of a trace."""
    if store is not None:
        shutil.rmtree(store.parent, ignore_errors=True)


def stack_channels(sources: Sequence[display.ImageSource], names: Sequence[str]) -> Volume:
    """Return one volume whose channels are the chosen ones, in the bundle's order."""
    volumes = [replace(s.volume, data=s.volume.data[s.channel : s.channel + 1], channels=()) for s in sources]
    return replace(Volume.stack(volumes), channels=tuple(names))


def train(request: TrainRequest, cancel: Cancel) -> Generator[JobStage | TrainReport, None, Path]:
    """Set the training up, train, and return the folder of the new bundle."""
    yield JobStage("Reading the dataset …")
    _import_trainer()
    return (yield from _one_training(request, cancel)).out


def train_folds(request: TrainRequest, cancel: Cancel) -> Generator[JobStage | TrainReport, None, Path]:
    """Train every fold in turn, as ``voxtrace train --cv`` does, and return the folder of folds."""
    yield JobStage("Reading the dataset …")
    _import_trainer()
    from voxtrace.training.cross_validation import set_up_folds

    folds: CrossValidation = yield from _set_up_stages(set_up_folds(request, cancel))
    for number, asked in enumerate(folds.requests, start=1):
        yield from _of_fold(_one_training(asked, cancel), f"{number} of {len(folds.requests)}")
        folds.write_summary()
    return folds.out


def _import_trainer() -> None:
    with importing_torch():
        importlib.import_module("voxtrace.training.setup")
        importlib.import_module("voxtrace.training.trainer")  # set_up would import it later, outside importing_torch


def _one_training(request: TrainRequest, cancel: Cancel) -> Generator[JobStage | TrainReport, None, TrainSetup]:
    from voxtrace.training import set_up

    setup: TrainSetup = yield from _set_up_stages(set_up(request, cancel))
    yield from _train_reports(setup.train(cancel), setup.phases, preview_of(setup), request.minutes)
    return setup


def _of_fold(
    run: Generator[JobStage | TrainReport, None, Any], fold: str
) -> Generator[JobStage | TrainReport, None, None]:
    """Run the training of one fold, and say which it is."""
    for stage in run:
        yield (
            replace(stage, fold=fold)
            if isinstance(stage, TrainReport)
            else replace(stage, text=stage.text if stage.note else f"Fold {fold} · {stage.text}")
        )


def _forward_stages(
    run: Generator[Any, None, Any], growing: GrowingAnswer | None = None
) -> Generator[JobStage, None, Any]:
    while True:
        try:
            progress = next(run)
        except StopIteration as end:
            return end.value
        slices = growing.take(progress) if growing is not None else 0
        text = progress.message or f"{progress.done} of {progress.total}"
        yield JobStage(f"{progress.stage.capitalize()}: {text}", progress.done, progress.total, slices)


def _set_up_stages(run: Generator[TrainProgress, None, Any]) -> Generator[JobStage, None, Any]:
    while True:
        try:
            yield train_stage(next(run))
        except StopIteration as end:
            return end.value


def train_stage(progress: TrainProgress) -> JobStage:
    """Return what training does beside its updates."""
    text = _PHASES.get(progress.phase, progress.phase.capitalize())
    text = progress.message or f"{text}: {progress.iteration} of {progress.total}"
    note = bool(progress.message) and progress.phase == "prepare"  # what is taken over, what changed
    return JobStage(text, progress.iteration, progress.total, note=note)


def _train_reports(
    run: Generator[TrainProgress, None, Any],
    phases: Sequence[Phase],
    previews: PreviewRecorder | PreviewFollower,
    minutes: float | None,
) -> Generator[JobStage | TrainReport, None, None]:
    """Yield the trainer's reports, with iterations counted over all phases."""
    names = tuple(phase.name for phase in phases)
    total = sum(phase.iterations for phase in phases)
    began_s: float | None = None
    for progress in run:
        if not progress.loss:
            yield train_stage(progress)
            continue
        began_s = progress.seconds if began_s is None else began_s
        done = sum(phase.iterations for phase in phases[: names.index(progress.phase)]) + progress.iteration
        left = [(total - done) / progress.iterations_per_s] if progress.iterations_per_s else []
        left += [max(0.0, 60 * minutes - (progress.seconds - began_s))] if minutes and left else []
        yield TrainReport(
            done,
            total,
            progress.loss,
            progress.validation_dice,
            progress.phase,
            names,
            previews.after(progress),
            progress.dice_per_label,
            progress.rate,
            progress.iterations_per_s,
            min(left, default=None),
            progress.message,
        )
