"""What another setting would have cost and changed, from one trace, without running again.

*Fewer steps*: the labels of every step are kept, so the voxels that later steps changed are counted. This is the run
as it was, stopped earlier; a method that spreads its steps anew over a schedule gives other labels when it is asked
for fewer from the start.

*Stopping early*: a window stops at the first step, from the second on, that changed no more than a given fraction of
its labels; that follows from the facts of the windows. Its last labels then stand at all later steps. Where windows
overlap, the labels of a voxel are a blend that the trace does not hold: there the window whose centre is nearest is
taken, and the count is an estimate.

*Nothing skipped*: what windows that did not run would have cost, each as much as the mean of those that ran; labels
would need a run.

*One choice everywhere*, or in place of a choice that costs nothing: costs follow from the costs of the values, labels
would need a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from voxtrace.errors import Cancelled
from voxtrace.trace.places import PlaceRow, along_slices, spent_gflop
from voxtrace.trace.plane_writer import chunk_depth
from voxtrace.trace.trace import INDEX, Trace
from voxtrace.volume import Array

NOTHING_SKIPPED = "no window skipped"
THRESHOLDS = (0.0, 0.0001, 0.001, 0.01, 0.05)
CHANGED, COMPUTED = "changed_fraction", "computed"
COARSE = 4  # voxels: how finely the nearest window is looked for where windows overlap


@dataclass(frozen=True)
class WhatIf:
    """One other setting beside what was run.

    Attributes
    ----------
    name
        E.g. "stop after 3 cycles", "stop early below 0.1 %", "no window skipped", "every window by M4", or
        "M1 in place of skip".
    steps
        Mean number of steps that a window runs.
    window_steps_fraction
        Cost of the network as a fraction of the full run's: of all steps of all windows.
    seconds
        Of the whole run, where only the network's seconds differ; None where they are not known.
    changed_voxels
        Voxels whose final label would be another; None where only a run tells.
    measured
        Whether fraction and voxels follow from the trace exactly; otherwise they are estimated.
    """

    name: str
    steps: float
    window_steps_fraction: float
    seconds: float | None
    changed_voxels: int | None
    measured: bool


def what_if(trace: Trace, cancel: Callable[[], bool] | None = None) -> tuple[WhatIf, ...]:
    """Return what was run, then fewer steps, thresholds for stopping early, nothing skipped, and other choices.

    Reads the labels of all steps once, a few planes at a time: seconds for a large trace.

    Raises
    ------
    Cancelled
        ``cancel`` returned true.
    """
    facts, steps = trace.facts.get(CHANGED), trace.n_steps
    as_run = _as_run(trace)
    fewer = range(1, steps)
    stops = [] if facts is None or steps < 2 or COMPUTED in trace.facts else [_stops(facts, t) for t in THRESHOLDS]
    counts: Sequence[int | None] = [None] * (len(fewer) + len(stops))
    if trace.complete and counts:
        counts = _changed(trace, fewer, stops, cancel)
    word = trace.step_word
    rows = [as_run]
    for kept, changed in zip(fewer, counts, strict=False):
        name = f"stop after {kept} {word}{'s' if kept > 1 else ''}"
        rows.append(_row(trace, name, _window_steps(trace, kept), changed, measured=True))
    # Facts of a vote are means over its members.
    exact = not (_overlapping(trace.windows) or trace.members) and trace.network_shape == trace.geometry.shape
    for threshold, stop, changed in zip(THRESHOLDS, stops, counts[len(fewer) :], strict=False):
        # the step that changes too little has still run
        rows.append(_row(trace, f"stop early below {100 * threshold:g} %", stop + 1, changed, measured=exact))
    return (*rows, *_unskipped(trace), *_everywhere(trace))


def _as_run(trace: Trace) -> WhatIf:
    steps = _window_steps(trace, trace.n_steps)
    mean = float(steps.mean()) if steps.size else float(trace.n_steps)
    return WhatIf("as it was run", mean, mean / trace.n_steps, trace.provenance.seconds, 0, measured=True)


def _row(trace: Trace, name: str, steps: Array, changed: int | None, *, measured: bool) -> WhatIf:
    """Return a row for the steps (W,) that each window would run."""
    mean = float(steps.mean()) if steps.size else 0.0
    full = _as_run(trace).window_steps_fraction * trace.n_steps
    fraction = mean / trace.n_steps
    return WhatIf(name, mean, fraction, _seconds(trace, mean / full if full else 1.0), changed, measured)


def _seconds(trace: Trace, network: float) -> float | None:
    """Return the seconds of the whole run if the network took this fraction of its time."""
    told = trace.provenance
    if told.seconds is None or "network" not in told.stage_seconds:
        return None
    return told.seconds - told.stage_seconds["network"] * (1.0 - network)


def _window_steps(trace: Trace, kept: int) -> Array:
    """Return how many of the first ``kept`` steps each window ran, (W,)."""
    computed = trace.facts.get(COMPUTED)
    if computed is not None:
        ran: Array = np.nansum(computed[:kept], axis=0)
        return ran
    return np.full(len(trace.windows), kept, np.float64)


def _stops(changed: Array, threshold: float) -> Array:
    """Return the step, from 0, whose labels each window keeps, (W,)."""
    settled: Array = changed <= threshold
    settled[0] = False  # the first step is compared with background
    settled[-1] = True
    stop: Array = settled.argmax(0)
    return stop


def _changed(
    trace: Trace, fewer: Sequence[int], stops: Sequence[Array], cancel: Callable[[], bool] | None
) -> list[int | None]:
    """Return the voxels that would differ from the last answer, for each number of steps and each threshold."""
    counts = np.zeros(len(fewer) + len(stops), np.int64)
    nearest = _nearest_windows(trace) if stops else None
    for lo, hi in _chunks(trace):
        if cancel is not None and cancel():
            raise Cancelled("stopped while other settings were compared.")
        planes = np.asarray(trace.labels[:, lo:hi])
        differs = planes[:-1] != planes[-1]  # (S − 1, n, Y, X)
        counts[: len(fewer)] += np.count_nonzero(differs, axis=(1, 2, 3))
        if nearest is None:
            continue
        windows = nearest(lo, hi)
        moved = differs.any(0) & (windows >= 0)
        owners, still = windows[moved], differs[:, moved]
        for n, stop in enumerate(stops):
            kept = stop[owners]
            early = kept < len(still)
            counts[len(fewer) + n] += np.count_nonzero(still[kept[early], np.flatnonzero(early)])
    return [int(n) for n in counts]


def _chunks(trace: Trace) -> Iterator[tuple[int, int]]:
    depth, at_once = trace.geometry.shape[0], chunk_depth(trace.geometry.shape)
    for lo in range(0, depth, at_once):
        yield lo, min(depth, lo + at_once)


def _nearest_windows(trace: Trace) -> Callable[[int, int], Array]:
    """Return a function of planes ``lo``, ``hi`` -> number of the window of each voxel, (n, Y, X); −1 where none is."""
    boxes, shape = trace.boxes(), trace.geometry.shape
    grain = COARSE if _overlapping(trace.windows) else 1
    rows, columns = (np.minimum(np.arange(0, n, grain) + grain // 2, n - 1) for n in shape[1:])

    def nearest(lo: int, hi: int) -> Array:
        found = np.empty((hi - lo, *shape[1:]), np.int32)
        for first in range(lo, hi, grain):
            last = min(first + grain, hi)
            coarse = _nearest_in_plane(boxes, (first + last - 1) / 2, rows, columns)
            fine = coarse.repeat(grain, 0)[: shape[1]].repeat(grain, 1)[:, : shape[2]]
            found[first - lo : last - lo] = fine
        return found

    return nearest


def _nearest_in_plane(boxes: Array, z: float, rows: Array, columns: Array) -> Array:
    """Return the number of the window whose centre is nearest, in halves of its size, (rows, columns); −1 for none."""
    found = np.full((len(rows), len(columns)), -1, np.int32)
    best = np.full(found.shape, np.inf, np.float32)
    for number in np.flatnonzero((boxes[:, 0] <= z) & (z < boxes[:, 3])):
        box = boxes[number]
        (y0, y1), (x0, x1) = (np.searchsorted(at, [box[a], box[a + 3]]) for at, a in ((rows, 1), (columns, 2)))
        centre, half = (box[:3] + box[3:]) / 2, (box[3:] - box[:3]) / 2
        at_y, at_x = (rows[y0:y1] - centre[1]) / half[1], (columns[x0:x1] - centre[2]) / half[2]
        distance: Array = ((z - centre[0]) / half[0]) ** 2 + (at_y**2)[:, None] + at_x**2
        here = np.s_[y0:y1, x0:x1]
        closer = distance < best[here]
        best[here][closer] = distance[closer]
        found[here][closer] = number
    return found


def _overlapping(windows: Array) -> bool:
    """Return whether windows may overlap: along some axis two begin less than a window's length apart."""
    for axis in range(3):
        starts, first = np.unique(windows[:, axis], return_index=True)
        if (starts[1:] < windows[first[:-1], axis + 3]).any():
            return True
    return False


def _unskipped(trace: Trace) -> Iterator[WhatIf]:
    """Yield a row for a run in which every window that was skipped had run."""
    skipped, ran = len(trace.window_sets.get("skipped", ())), len(trace.windows)
    if skipped and ran:
        times, as_run = 1 + skipped / ran, _as_run(trace)
        fraction, seconds = as_run.window_steps_fraction * times, _seconds(trace, times)
        yield WhatIf(NOTHING_SKIPPED, as_run.steps, fraction, seconds, None, measured=False)


def _everywhere(trace: Trace) -> Iterator[WhatIf]:
    """Yield a row for each choice that costs something: taken for every window, and in place of a free choice."""
    for row in along_slices(trace, trace.n_steps - 1):
        if row.kind != "window fact" or row.unit != INDEX or not row.costs:
            continue
        values = trace.facts[row.name][-1]
        values = values[~np.isnan(values)].astype(int)
        if not values.size or values.max() >= len(row.costs) or values.min() < 0:
            continue
        actual = spent_gflop(trace) or float(np.asarray(row.costs)[values].sum())
        if actual > 0:
            for name, gflop in _spent_otherwise(row, values, actual):
                fraction = gflop / actual
                yield WhatIf(name, trace.n_steps, fraction, _seconds(trace, fraction), None, measured=False)


def _spent_otherwise(row: PlaceRow, values: Array, actual: float) -> Iterator[tuple[str, float]]:
    """Yield the name and GFLOP of each costly choice for every window, and in place of each free one that was taken."""
    costly = [(row.value_name(value), cost) for value, cost in enumerate(row.costs) if cost > 0]
    for name, cost in costly:
        yield f"every window by {name}", cost * values.size
    for free in (value for value in np.unique(values) if row.costs[value] == 0):
        windows = int(np.count_nonzero(values == free))
        for name, cost in costly:
            yield f"{name} in place of {row.value_name(free)}", actual + cost * windows
