"""Several traces of one scan in one: their majority vote is the answer, each answer is kept as a member.

Members may be seeds, folds, bundles or methods. A member of fewer steps keeps its last answer at later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.atomic import atomic_folder
from voxtrace.errors import Cancelled, UsageError
from voxtrace.trace.description import Provenance, RunDescription
from voxtrace.trace.plane_writer import chunk_depth
from voxtrace.trace.recorder import Recorder
from voxtrace.trace.trace import CHANGED_VOXELS, INDEX, Trace
from voxtrace.volume import Array

if TYPE_CHECKING:
    from voxtrace.trace.trace import Planes

AGREEMENT = "agreement"


def combine(
    traces: Sequence[Trace],
    names: Sequence[str],
    folder: str | Path | None = None,
    *,
    provenance: Provenance | None = None,
    cancel: Callable[[], bool] | None = None,
    finish: Callable[[Recorder], Mapping[str, Any]] | None = None,
) -> Trace:
    """Return one trace whose answer at each step is the majority vote of all, see :func:`majority`.

    A few planes are held at a time. Facts, slice facts and windows are kept where all traces have the same windows:
    means of quantities, and of numbers that name something those of the first trace. Extras and maps are those of the
    first trace, where it has as many steps as the longest. The map "agreement" is :func:`agreement` at every step.

    Parameters
    ----------
    traces, names
        At least two, and a different name for each, e.g. "seed 0". They lie on one grid and name labels alike.
    folder
        Where to write the trace; None keeps it in memory.
    provenance
        That of the result; None joins those of the traces.
    cancel
        Called every few planes; true stops.
    finish
        Called with all planes recorded: may replace the answer, and returns fields of the provenance.

    Raises
    ------
    UsageError
        Fewer than two traces, names that are not unique, or traces that differ in grid or labels.
    OutputError
        ``folder`` cannot be written.
    Cancelled
        ``cancel`` returned true; nothing is left behind.
    """
    _check(traces, names)
    with ExitStack() as stack:
        into = None if folder is None else stack.enter_context(atomic_folder(folder))
        trace = _combined(traces, names, into, provenance, cancel, finish)
    return trace if folder is None else Trace.load(folder)


def majority(planes: Array) -> Array:
    """Return the most frequent label (…) among members (M, …); in a tie the one that comes first among the members.

    Examples
    --------
    >>> majority(np.array([[1, 2, 3], [0, 2, 1], [0, 3, 2]])).tolist()
    [0, 2, 3]
    """
    answer: Array = planes[0].copy()
    disputed = (planes[1:] != planes[0]).any(0)
    votes = planes[:, disputed]  # (M, n)
    counts = [(votes == member).sum(0) for member in votes]
    # argmax takes the first member of those with the most votes
    answer[disputed] = np.take_along_axis(votes, np.argmax(counts, 0)[None], 0)[0]
    return answer


def agreement(trace: Trace, step: int, z0: int = 0, z1: int | None = None) -> Array:
    """Return the fraction of members that agree with the answer in planes ``z0`` … ``z1`` − 1, (n, Y, X) float32.

    1 everywhere in a trace without members. ``step`` counts the kept steps from 0.
    """
    answer = np.asarray(trace.labels[step, z0:z1])
    members = [np.asarray(labels[step, z0:z1]) for labels in trace.members.values()]
    return _agreeing(answer, members) if members else np.ones(answer.shape, np.float32)


def _agreeing(answer: Array, members: Sequence[Array]) -> Array:
    count = np.zeros(answer.shape, np.float32)
    for member in members:
        count += member == answer
    return count / np.float32(len(members))


def _combined(
    traces: Sequence[Trace],
    names: Sequence[str],
    folder: Path | None,
    provenance: Provenance | None,
    cancel: Callable[[], bool] | None,
    finish: Callable[[Recorder], Mapping[str, Any]] | None,
) -> Trace:
    longest = max(traces, key=lambda trace: int(trace.labels.shape[0]))
    first, steps = traces[0], int(longest.labels.shape[0])
    beside = first if int(first.labels.shape[0]) == steps else replace(first, extras={}, maps={})
    maps = [*(name for name in beside.maps if name != AGREEMENT), AGREEMENT]
    recorder = Recorder(
        steps, first.geometry, first.names, folder, tuple(beside.extras), first.passport, maps, tuple(names)
    )
    for lo, hi in _chunks(first):
        if cancel is not None and cancel():
            raise Cancelled(f"stopped while answers were combined, at plane {lo}; nothing was written.")
        members = [_last_kept(trace.labels, steps, lo, hi) for trace in traces]
        answer = np.stack([majority(np.stack([member[step] for member in members])) for step in range(steps)])
        agreeing = np.stack([_agreeing(answer[step], [member[step] for member in members]) for step in range(steps)])
        scalars = [np.asarray(beside.maps[name][:, lo:hi]) for name in maps[:-1]]
        extras = [np.asarray(planes[:, lo:hi]) for planes in beside.extras.values()]
        recorder.add(np.concatenate([answer, *extras]), np.stack([*scalars, agreeing], 1), members)
    facts, windows = _shared_facts(traces)
    about = _description(traces, provenance, kept=len(windows) > 0)
    if finish is not None:
        about = replace(about, provenance=replace(about.provenance, **finish(recorder)))
    slice_facts = _mean_of([trace.slice_facts for trace in traces], first.units)
    return recorder.finish(
        facts,
        windows,
        {**first.units, AGREEMENT: "fraction"},
        longest.step_word,
        first.network_shape or first.geometry.shape,
        {name: values for name, values in slice_facts.items() if name != CHANGED_VOXELS},
        about,
    )


def _chunks(trace: Trace) -> Iterator[tuple[int, int]]:
    depth, at_once = trace.geometry.shape[0], chunk_depth(trace.geometry.shape)
    for lo in range(0, depth, at_once):
        yield lo, min(depth, lo + at_once)


def _last_kept(labels: Planes, steps: int, lo: int, hi: int) -> Array:
    """Return planes (S, n, Y, X) of a member for all steps; its last answer stands at the steps that it lacks."""
    planes = np.asarray(labels[:, lo:hi])
    missing = steps - len(planes)
    return np.concatenate([planes, np.repeat(planes[-1:], missing, 0)]) if missing else planes


def _shared_facts(traces: Sequence[Trace]) -> tuple[dict[str, Array], Array]:
    """Return facts (S, W) and windows (W, 6) of traces that visited the same windows; else none of either."""
    first = traces[0]
    if all(np.array_equal(trace.windows, first.windows) for trace in traces):
        facts = _mean_of([trace.facts for trace in traces], first.units)
        if facts:
            return facts, first.windows
    return {}, np.zeros((0, 6), np.int64)


def _mean_of(tables: Sequence[Mapping[str, Array]], units: Mapping[str, str]) -> dict[str, Array]:
    """Return the mean of each quantity that all tables have in one shape, and the first table's numbers that name."""
    found = {}
    for name, values in tables[0].items():
        others = [table[name] for table in tables[1:] if name in table and table[name].shape == values.shape]
        if len(others) == len(tables) - 1:
            found[name] = values if units.get(name) == INDEX else np.mean([values, *others], 0).astype(np.float32)
    return found


def _description(traces: Sequence[Trace], provenance: Provenance | None, kept: bool) -> RunDescription:
    first = traces[0]
    return RunDescription(
        first.value_names,
        first.value_costs,
        first.charts,
        first.window_sets if kept else {},
        provenance or joined([trace.provenance for trace in traces]),
    )


def joined(parts: Sequence[Provenance], **changes: Any) -> Provenance:
    """Return one provenance for several: names joined, seconds added, everything else that of the first.

    Temperatures are those of every bundle. What post-processing took from each answer says nothing of the joined one.
    """

    def names(of: str) -> str:
        return " + ".join(dict.fromkeys(filter(None, (getattr(part, of) for part in parts))))

    # seeds of one bundle are one
    different = {(part.bundle, part.weights_sha256, part.temperatures): part for part in parts}
    seconds = [part.seconds for part in parts if part.seconds is not None]
    stages = dict.fromkeys(stage for part in parts for stage in part.stage_seconds)
    texts = ("method", "method_title", "bundle", "weights_sha256", "version")
    found = {
        **{name: names(name) for name in texts},
        "seconds": sum(seconds) if len(seconds) == len(parts) else None,
        "stage_seconds": {s: round(sum(part.stage_seconds.get(s, 0.0) for part in parts), 3) for s in stages},
        "demonstration": any(part.demonstration for part in parts),
        "expected_dice": None,
        "temperatures": tuple(t for part in different.values() for t in part.temperatures),
        "post_processing": {},
    }
    return replace(parts[0], **{**found, **changes})


def _check(traces: Sequence[Trace], names: Sequence[str]) -> None:
    if len(traces) < 2 or len(traces) != len(names):
        raise UsageError(f"{len(traces)} traces and {len(names)} names were given; combine at least two, a name each.")
    if len(set(names)) < len(names):
        raise UsageError(f"members are called {', '.join(names)}; give each a name of its own.")
    first = traces[0]
    for name, trace in zip(names[1:], traces[1:], strict=True):
        if not trace.geometry.is_close(first.geometry):
            raise UsageError(f"{name} lies on another grid than {names[0]}; combine results on one scan.")
        if dict(trace.names) != dict(first.names):
            ours, theirs = (", ".join(f"{k} {v}" for k, v in t.names.items()) for t in (first, trace))
            raise UsageError(f"{names[0]} has labels {ours} and {name} has {theirs}; combine results with one list.")
