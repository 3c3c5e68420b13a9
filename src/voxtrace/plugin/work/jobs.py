"""The work that runs in the thread: the only file of the plugin that calls the engine, and so imports torch."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace.errors import Cancelled
from voxtrace.plugin.layers import display
from voxtrace.plugin.layers.timepoints import frames_labels_layer
from voxtrace.plugin.models.messages import (
    FramesRequest,
    Learned,
    Segmented,
    SegmentedFrames,
    SegmentRequest,
    Stage,
    TrainRequest,
)
from voxtrace.plugin.work.events import Cancel
from voxtrace.plugin.work.torch_import import importing_torch
from voxtrace.volume import Case, Volume

if TYPE_CHECKING:
    from voxtrace.bundle import Bundle
    from voxtrace.inference import Result
    from voxtrace.method import Method, Phase
    from voxtrace.training import TrainProgress

_PHASES = {"prepare": "Preparing cases", "validate": "Validating whole cases", "done": "Done"}


def methods() -> Mapping[str, type[Method]]:
    """Return the class of every method by its key, and torch with it."""
    with importing_torch():
        from voxtrace.methods import METHODS
    return METHODS


def segment(request: SegmentRequest, cancel: Cancel) -> Generator[Stage, None, Segmented]:
    """Load the bundle, run the engine and make layers of what comes out."""
    model = yield from _loaded(request.bundle)
    result, store = yield from _predicted(model, request, cancel)
    yield Stage("Making layers …")
    trace = result.trace
    if store is not None:
        weakref.finalize(trace, shutil.rmtree, store.parent, ignore_errors=True)
    return Segmented(
        display.trace_layer(trace, request.name, request.scan),
        display.settled_layer(trace, f"{request.name} · settled"),
        tuple(trace.summary()),
        result.seconds,
        display.extra_layers(trace, request.name, request.scan),
    )


def segment_frames(request: FramesRequest, cancel: Cancel) -> Generator[Stage, None, SegmentedFrames]:
    """Load the bundle once, run the engine on each frame and make one layer of the answers."""
    model = yield from _loaded(request.each.bundle)
    answers, seconds = [], 0.0
    for frame in request.frames:
        run = _predicted(model, request.at(frame), cancel)
        result, _ = yield from _told(f"Frame {frame + 1} of {request.count}", run)
        answers.append(result.labels)
        seconds += result.seconds
    yield Stage("Making layers …")
    layer = frames_labels_layer(answers, request.frames, request.count, request.each.scan, request.each.name)
    return SegmentedFrames(layer, request.frames, request.count, seconds)


def _told(before: str, run: Generator[Stage, None, Any]) -> Generator[Stage, None, Any]:
    """Run a part of the work and put some words before everything that it tells."""
    while True:
        try:
            stage = next(run)
        except StopIteration as end:
            return end.value
        yield replace(stage, text=f"{before} · {stage.text}")


def _loaded(path: Path) -> Generator[Stage, None, Bundle]:
    yield Stage("Loading the model …")
    with importing_torch():
        from voxtrace import bundle
    return bundle.load(path)


def _predicted(
    model: Bundle, request: SegmentRequest, cancel: Cancel
) -> Generator[Stage, None, tuple[Result, Path | None]]:
    """Run the engine; return the result, and the folder of its trace where that is too large for memory."""
    from voxtrace import inference

    volume = stacked(request.channels, model.plan.channels)
    shown = len(model.method.extras) if request.keep == "all" else 0
    store = _store(request, volume, (request.steps or model.method.steps) * (1 + shown))
    run = inference.segment(
        model,
        volume,
        steps=request.steps,
        store=store,
        keep=request.keep,
        mirror=request.mirror,
        settle=request.settle,
        seed=request.seed,
        options=request.options,
        cancel=cancel,
    )
    return (yield from _stages(run)), store


def _store(request: SegmentRequest, volume: Volume, layers: int) -> Path | None:
    """Return a temporary folder for this many label maps where they are too large for memory."""
    if request.keep == "last" or layers * volume.data[0].size <= display.IN_MEMORY_BYTES:
        return None
    return Path(tempfile.mkdtemp(prefix="voxtrace-")) / "trace"


def stacked(sources: Sequence[display.ImageSource], names: Sequence[str]) -> Volume:
    """Return one volume whose channels are the chosen ones, in the bundle's order."""
    volumes = [replace(s.volume, data=s.volume.data[s.channel : s.channel + 1], channels=()) for s in sources]
    return replace(Volume.stack(volumes), channels=tuple(names))


def train(request: TrainRequest, cancel: Cancel) -> Generator[Stage | Learned, None, Path]:
    """Open the dataset, plan, train, and return the folder of the new bundle."""
    yield Stage("Reading the dataset …")
    with importing_torch():
        from voxtrace import bundle, training
        from voxtrace.method import changed
        from voxtrace.methods import method as make_method
        from voxtrace.training.finetune import finetune_plan
        from voxtrace.training.machine import training_device
    dataset = training.open_dataset(request.dataset)
    cases, validation = training.fold(dataset, request.fold)
    initial = bundle.load(request.bundle) if request.bundle else None
    if initial:
        method = changed(initial.method, **request.options)
        plan = finetune_plan(initial, dataset, iterations=request.iterations)
    else:
        yield Stage(f"Planning: looking at {len(cases)} cases …")
        found = training.fingerprint(_until(cases, cancel))
        method = make_method(request.method, **request.options)
        kind, memory_gb = training_device()
        plan = training.plan_dataset(dataset, found, device=kind, memory_gb=memory_gb, iterations=request.iterations)
    run = training.train(
        method,
        plan,
        cases,
        out=request.out,
        validate=validation,
        initial=initial,
        resume=request.resume,
        about={"name": request.out.name, "licence": dataset.licence},
        cancel=cancel,
    )
    yield from _learned(run, method.phases(method.adapt(plan)))
    return request.out


def _until(cases: Iterable[Case], cancel: Cancel) -> Iterator[Case]:
    for case in cases:
        if cancel():
            raise Cancelled("stopped while planning; nothing was written.")
        yield case


def _stages(run: Generator[Any, None, Any]) -> Generator[Stage, None, Any]:
    while True:
        try:
            progress = next(run)
        except StopIteration as end:
            return end.value
        text = progress.message or f"{progress.done} of {progress.total}"
        yield Stage(f"{progress.stage.capitalize()}: {text}", progress.done, progress.total)


def _learned(
    run: Generator[TrainProgress, None, Any], phases: Sequence[Phase]
) -> Generator[Stage | Learned, None, None]:
    """Yield what the trainer reports, with iterations counted over all phases."""
    names = tuple(phase.name for phase in phases)
    total = sum(phase.iterations for phase in phases)
    for progress in run:
        if progress.loss:
            before = sum(phase.iterations for phase in phases[: names.index(progress.phase)])
            done, dice = before + progress.iteration, progress.validation_dice
            yield Learned(done, total, progress.loss, dice, progress.phase, names)
        else:
            text = _PHASES.get(progress.phase, progress.phase.capitalize())
            text = progress.message or f"{text}: {progress.iteration} of {progress.total}"
            yield Stage(text, progress.iteration, progress.total)
