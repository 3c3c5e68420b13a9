"""Facts along the slices of a scan, and windows in groups: what the ruler of places and the layers of windows show.

Every slice fact, every window fact and the area of every label becomes a row of one value a slice. A window counts for
the slices whose centres it covers, at least for the nearest one. Nothing here reads a label map, unless the trace is of
an earlier version, which holds no areas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from voxtrace.trace.trace import INDEX, Trace
from voxtrace.volume import Array

GFLOP = "GFLOP"


@dataclass(frozen=True, eq=False)
class PlaceRow:
    """One value a slice at one step.

    Attributes
    ----------
    name
        Name of the fact, or "area 3" for label 3.
    title
        For a reader, e.g. "changed voxels", or the label's name.
    unit
        Unit of the values; ``"index"`` where they name something.
    values
        (Z,) float32; NaN where it is not known.
    value_names
        What the values 0 … n stand for, where the method tells.
    costs
        GFLOP of one window for each of these values, where the method tells.
    kind
        Where the row comes from.
    label
        The label value of an area.
    """

    name: str
    title: str
    unit: str
    values: Array
    value_names: tuple[str, ...] = ()
    costs: tuple[float, ...] = ()
    kind: Literal["slice fact", "window fact", "area"] = "slice fact"
    label: int | None = None

    def value_name(self, value: float) -> str:
        """Return what a value stands for; the number itself where the method does not tell."""
        return value_name(self.value_names, value)


@dataclass(frozen=True)
class Share:
    """How many slices have a value, and the fraction of all slices where one is known."""

    name: str
    slices: int
    fraction: float
    value: float


@dataclass(frozen=True, eq=False)
class WindowGroup:
    """Windows that have something in common, e.g. those that were skipped.

    Attributes
    ----------
    name
        "visited", "skipped", "discarded", or what the value of an index fact stands for.
    boxes
        (N, 6) borders (z0, y0, x0, z1, y1, x1) in voxels of the labels, see :meth:`Trace.boxes`.
    fact, value
        The index fact and its value; "" and None for windows that were visited, skipped or discarded.
    """

    name: str
    boxes: Array
    fact: str = ""
    value: int | None = None


def along_slices(trace: Trace, step: int, areas: Array | None = None) -> tuple[PlaceRow, ...]:
    """Return every slice fact, every window fact and the area of every label along the slices.

    Window facts are the mean over the windows on a slice; of a fact that names something, the largest value there.

    Parameters
    ----------
    trace
        A trace of Z slices.
    step
        Which of the kept steps, from 0; beyond the last one the last one is taken.
    areas
        (Z, K) voxels of each label in each slice, of labels that are no step, e.g. edited ones; by default the step's.
    """
    kept, depth = (int(n) for n in trace.labels.shape[:2])
    step = max(0, min(step, kept - 1))
    slices = [_row(trace, name, values[step], "slice fact") for name, values in trace.slice_facts.items()]
    first, last = _covered(trace.boxes(), depth)
    of_windows = []
    for name, table in trace.facts.items():
        if name in trace.slice_facts or not len(table):
            continue
        # Facts tell of every step, labels perhaps of the last ones only.
        values = table[max(0, len(table) - kept + step)]
        spread = _largest if trace.units.get(name) == INDEX else _mean
        of_windows.append(_row(trace, name, spread(values, first, last, depth), "window fact"))
    return (*slices, *of_windows, *_areas(trace, trace.label_areas()[step] if areas is None else areas))


def shares(row: PlaceRow) -> tuple[Share, ...]:
    """Return how many slices have each value of a row that names something, ascending; () for quantities."""
    if row.unit != INDEX:
        return ()
    known = row.values[~np.isnan(row.values)]
    found, counts = np.unique(known, return_counts=True)
    return tuple(
        Share(row.value_name(value), int(n), int(n) / known.size, float(value))
        for value, n in zip(found, counts, strict=True)
    )


def cost_sentence(trace: Trace, row: PlaceRow) -> str:
    """Return what the choices of a row cost beside the costliest one everywhere; "" where that is not known.

    E.g. "17.4 times cheaper than M4 everywhere". Windows are counted where the method chooses for windows, else slices.
    Where the trace has one fact in GFLOP its sum is what was spent, the cost of choosing included.
    """
    chosen, spent = _chosen(trace, row), spent_gflop(trace) if row.kind == "window fact" else None
    if not row.costs or not chosen.size or int(chosen.max()) >= len(row.costs):
        return ""
    costs = np.asarray(row.costs)
    most = int(costs.argmax())
    everywhere = float(costs[most]) * chosen.size
    actual = float(costs[chosen].sum()) if spent is None else spent
    name = row.value_name(most)
    if everywhere <= 0:
        return ""
    if actual <= 0:
        return f"no cost; {name} everywhere would cost {everywhere:.3g} GFLOP"
    times = everywhere / actual
    if 0.95 < times < 1.05:
        return f"as costly as {name} everywhere"
    word, times = ("cheaper", times) if times > 1 else ("costlier", 1 / times)
    return f"{times:.3g} times {word} than {name} everywhere"


def window_groups(trace: Trace) -> tuple[WindowGroup, ...]:
    """Return the windows of a trace in groups: by value of each index fact, or visited; then skipped and discarded.

    Values are those of the last step. A window that was discarded is not in "visited"; groups without windows are left
    out.
    """
    boxes = trace.boxes()
    groups = [group for name in trace.facts if trace.units.get(name) == INDEX for group in _by_value(trace, name)]
    if not groups:
        groups = [WindowGroup("visited", boxes[~_among(trace.windows, trace.window_sets.get("discarded"))])]
    others = [WindowGroup(name, trace.boxes(found)) for name, found in trace.window_sets.items()]
    return tuple(group for group in (*groups, *others) if len(group.boxes))


def value_name(names: tuple[str, ...], value: float) -> str:
    """Return what a value stands for; the number itself where there is no name for it.

    Examples
    --------
    >>> value_name(("skip", "M1"), 1.0), value_name((), 3.0)
    ('M1', '3')
    """
    whole = int(value)
    return names[whole] if whole == value and 0 <= whole < len(names) else f"{value:g}"


def _row(trace: Trace, name: str, values: Array, kind: Literal["slice fact", "window fact"]) -> PlaceRow:
    return PlaceRow(
        name,
        name.replace("_", " "),
        trace.units.get(name, ""),
        np.asarray(values, np.float32),
        tuple(trace.value_names.get(name, ())),
        tuple(trace.value_costs.get(name, ())),
        kind,
    )


def _areas(trace: Trace, voxels: Array) -> list[PlaceRow]:
    """Return the area of each label but the background, in mm², along the slices, of its voxels (Z, K)."""
    _, height_mm, width_mm = trace.geometry.spacing_mm
    areas = voxels * (height_mm * width_mm)
    return [
        PlaceRow(f"area {value}", name, "mm²", areas[:, value].astype(np.float32), kind="area", label=value)
        for value, name in sorted(trace.names.items())
        if value and value < areas.shape[1]
    ]


def _covered(boxes: Array, depth: int) -> tuple[Array, Array]:
    """Return the first slice of each box (W, 6) and the one after its last, at least one slice apart."""
    # Slice i has its centre at i, so a box covers ⌈z0⌉ … ⌈z1⌉ − 1.
    first, last = np.ceil(boxes[:, 0]).astype(int), np.ceil(boxes[:, 3]).astype(int)
    nearest = np.rint((boxes[:, 0] + boxes[:, 3]) / 2).astype(int)
    thin = last <= first
    first, last = np.where(thin, nearest, first), np.where(thin, nearest + 1, last)
    return np.clip(first, 0, depth - 1), np.clip(last, 1, depth)


def _mean(values: Array, first: Array, last: Array, depth: int) -> Array:
    """Return the mean (Z,) over the windows on each slice; NaN where there is none."""
    known = ~np.isnan(values)
    sums = _summed(values[known].astype(np.float64), first[known], last[known], depth)
    counts = _summed(np.ones(int(known.sum())), first[known], last[known], depth)
    covered = counts > 0.5
    return np.where(covered, sums / np.where(covered, counts, 1.0), np.nan)


def _largest(values: Array, first: Array, last: Array, depth: int) -> Array:
    """Return the largest value (Z,) of the windows on each slice; NaN where there is none."""
    largest = np.full(depth, np.nan)
    for value in np.unique(values[~np.isnan(values)]):  # ascending, so that the largest is written last
        here = values == value
        largest[_summed(np.ones(int(here.sum())), first[here], last[here], depth) > 0.5] = value
    return largest


def _summed(values: Array, first: Array, last: Array, depth: int) -> Array:
    """Return for each slice the sum over the windows that cover it, (Z,): what begins minus what ended."""
    changes = np.bincount(first, values, depth + 1) - np.bincount(last, values, depth + 1)
    sums: Array = np.cumsum(changes)[:depth]
    return sums


def _chosen(trace: Trace, row: PlaceRow) -> Array:
    """Return the values of a row as whole numbers: of each window where the method chooses for windows, else slice."""
    values = trace.facts[row.name][-1] if row.name in trace.facts and row.kind == "window fact" else row.values
    known = values[~np.isnan(values)]
    return known.astype(int) if row.unit == INDEX and (known >= 0).all() else np.zeros(0, int)


def spent_gflop(trace: Trace) -> float | None:
    """Return the sum of the one fact in GFLOP at the last step, or None where there is none or several."""
    costs = [values for name, values in trace.facts.items() if trace.units.get(name) == GFLOP]
    return float(np.nansum(costs[0][-1])) if len(costs) == 1 and len(costs[0]) else None


def _by_value(trace: Trace, name: str) -> list[WindowGroup]:
    values, boxes, names = trace.facts[name][-1], trace.boxes(), tuple(trace.value_names.get(name, ()))
    return [
        WindowGroup(value_name(names, value), boxes[values == value], name, int(value))
        for value in np.unique(values[~np.isnan(values)])
    ]


def _among(boxes: Array, others: Array | None) -> Array:
    """Return which of the boxes (W, 6) are among others, (W,) bool."""
    found = set() if others is None else {tuple(box) for box in others.tolist()}
    return np.array([tuple(box) in found for box in boxes.tolist()], bool)
