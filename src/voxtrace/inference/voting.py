"""Several runs on one volume, one after another: each answer is kept as a member, their majority vote is the answer."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.bundle import Bundle, verdict
from voxtrace.fit.calibration import temperature_of
from voxtrace.fit.pieces import NONE
from voxtrace.inference.ensemble import chosen_method
from voxtrace.inference.foretell import SEVERAL, is_usual
from voxtrace.inference.one_run import segment_once
from voxtrace.inference.options import PredictOptions
from voxtrace.inference.post_process import KEY, piece_rules, remove_from_answer
from voxtrace.inference.progress import Progress, Result
from voxtrace.trace import OTHERWISE, Recorder, Trace, combine
from voxtrace.trace.combine import joined
from voxtrace.volume import LabelMap, Volume


@dataclass(frozen=True)
class MemberRun:
    """A run whose answer has one vote: its name, what it runs and how."""

    name: str
    bundles: tuple[Bundle, ...]
    options: PredictOptions


def member_runs(bundles: Sequence[Bundle], options: PredictOptions) -> list[MemberRun]:
    """Return a run for each seed of each bundle; without ``members`` all bundles are averaged in each run.

    Bundles of one name are numbered, so that members can be told apart.
    """
    groups = [(bundle,) for bundle in bundles] if options.members else [tuple(bundles)]
    named = [group[0].name for group in groups]
    names = [f"{name} {n + 1}" if Counter(named)[name] > 1 else name for n, name in enumerate(named)]
    return [
        MemberRun(
            " · ".join(([name] if options.members else []) + ([f"seed {seed}"] if options.seeds > 1 else [])),
            group,
            replace(options, seed=seed, seeds=1, members=False, post_processing=NONE),
        )
        for name, group in zip(names, groups, strict=True)
        for seed in range(options.seed, options.seed + options.seeds)
    ]


def segment_by_vote(
    bundles: Sequence[Bundle],
    volume: Volume,
    options: PredictOptions,
    store: Path | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Generator[Progress, None, Result]:
    """Yield progress while a volume is segmented by one run after another, and return what their votes give.

    See :func:`voxtrace.inference.segment`. With ``store`` the members' traces lie beside it until they are combined.
    """
    started, runs = time.perf_counter(), member_runs(bundles, options)
    for run in runs:  # refused before the first one begins
        chosen_method(run.bundles[0], replace(run.options, seeds=options.seeds))
    with ExitStack() as stack:
        places: list[Path | None] = [None] * len(runs)
        if store is not None:
            store.parent.mkdir(parents=True, exist_ok=True)
            aside = stack.enter_context(tempfile.TemporaryDirectory(prefix=".members-", dir=store.parent))
            places = [Path(aside) / f"{number}" for number in range(len(runs))]
        results: list[Result] = []
        for run, place in zip(runs, places, strict=True):
            results.append((yield from _numbered(run, len(results), len(runs), volume, place, cancel)))
        finish = _finishing(bundles, options, volume)
        yield Progress("combining", 0, 1, f"the answers of {len(runs)} members")
        trace = _voted([result.trace for result in results], runs, options, started, store, cancel, finish)
    answer = np.asarray(trace.labels[-1])
    note = next((result.labels.note for result in results if result.labels.note), "")
    labels = LabelMap(answer, volume.geometry, results[0].labels.names, name=volume.name, note=note)
    told = trace.provenance
    facts = {**_facts(results, runs), **({KEY: told.post_processing} if told.post_processing else {})}
    facts |= {"temperatures": list(told.temperatures) or [1.0] * len(bundles)}
    return Result(labels, trace, time.perf_counter() - started, facts)


def _finishing(
    bundles: Sequence[Bundle], options: PredictOptions, volume: Volume
) -> Callable[[Recorder], dict[str, Any]]:
    """Return what removes small pieces from the answer of the vote; members stay as they are.

    It returns what holds for all bundles together, as fields of the provenance.
    """
    rules, names = piece_rules(bundles, options), bundles[0].plan.labels
    voxel_mm3 = volume.geometry.voxel_ml * 1000.0
    together = {
        "fit": verdict(bundles, volume).sentence,
        "temperatures": tuple(temperature_of(bundle.card) for bundle in bundles) if options.calibrate else (),
    }
    return lambda recorder: {**together, KEY: remove_from_answer(recorder, rules, names, voxel_mm3)}


def _numbered(
    run: MemberRun, before: int, total: int, volume: Volume, store: Path | None, cancel: Callable[[], bool] | None
) -> Generator[Progress, None, Result]:
    """Yield the progress of one run as a part of all, and return its result."""
    task = segment_once(run.bundles, volume, run.options, store, cancel)
    while True:
        try:
            progress = next(task)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        done, whole = before * progress.total + progress.done, total * progress.total
        yield replace(progress, done=done, total=whole, message=f"{run.name}: {progress.message}")


def _voted(
    traces: Sequence[Trace],
    runs: Sequence[MemberRun],
    options: PredictOptions,
    started: float,
    store: Path | None,
    cancel: Callable[[], bool] | None,
    finish: Callable[[Recorder], dict[str, Any]],
) -> Trace:
    parts = [trace.provenance for trace in traces]
    names = ("seed", "seeds", "members", "post_processing")
    used = {**parts[0].options, **{name: getattr(options, name) for name in names}}
    usual = all(is_usual(run.bundles, chosen_method(run.bundles[0], run.options), options) for run in runs)
    provenance = joined(
        parts,
        options=used,
        seed=options.seed,
        seconds=round(time.perf_counter() - started, 3),
        expected_dice=SEVERAL if usual else OTHERWISE,
    )
    return combine(traces, [run.name for run in runs], store, provenance=provenance, cancel=cancel, finish=finish)


def _facts(results: Sequence[Result], runs: Sequence[MemberRun]) -> dict[str, object]:
    """Return the first run's facts, with the names of all members and the seconds of all runs."""
    tables = [result.facts["seconds"] for result in results]
    seconds = {stage: round(sum(table.get(stage, 0.0) for table in tables), 3) for stage in tables[0]}
    return {**results[0].facts, "members": sum(len(run.bundles) for run in runs), "seconds": seconds}
