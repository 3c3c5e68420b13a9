"""What the place ruler shows along the slices: colours, legend, read-outs; pure functions.

Slices are drawn from superior (left) to inferior and counted as by napari's slider, from 0 at the superior end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtrace.plugin.layers.routing import UNKNOWN, action_colours, amounts
from voxtrace.plugin.models.lanes import PLAIN, fact_title, number
from voxtrace.trace import INDEX, Trace
from voxtrace.trace.places import GFLOP, PlaceRow, cost_sentence, shares
from voxtrace.volume import Array, Triple

MM2_PER_CM2 = 100.0


@dataclass(frozen=True)
class PlaceEntry:
    """An entry of the legend."""

    colour: Triple
    text: str


@dataclass(frozen=True, eq=False)
class PlaceCells:
    """One cell a slice, in one row or in one for each step.

    Attributes
    ----------
    title, unit
        What is shown.
    colours
        (R, Z, 3) uint8, slices from superior to inferior.
    entries
        The legend of values that name something.
    limits
        The lowest and highest value of a quantity as text, ("", "") where values name something.
    sentence
        What the choices cost, and the measured seconds.
    row_names
        What each of R rows is; empty for one row.
    """

    title: str
    unit: str
    colours: npt.NDArray[np.uint8]
    entries: tuple[PlaceEntry, ...] = ()
    limits: tuple[str, str] = ("", "")
    sentence: str = ""
    row_names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class AreaLine:
    """Area of a label in cm², (Z,), slices from superior to inferior."""

    name: str
    colour: Triple
    values: Array


@dataclass(frozen=True)
class PlaceChoice:
    """A choice of the picker: a key and what it is called."""

    key: str
    title: str


def slice_number(z: int, depth: int) -> int:
    """Return the number of a canonical slice on napari's slider, from 0 at the superior end; its own inverse."""
    return depth - 1 - z


def choices(trace: Trace, rows: Sequence[PlaceRow]) -> tuple[PlaceChoice, ...]:
    """Return what the place ruler can show, the best first.

    What names a decision comes first, then what each step changed (over all steps where there are several), then other
    quantities. Areas are left out: they have lines of their own.
    """
    found = [row for row in rows if row.kind != "area" and np.isfinite(row.values).any()]
    indices = [PlaceChoice(row.name, place_title(row)) for row in found if row.unit == INDEX]
    several = int(trace.labels.shape[0]) > 1
    heat = [
        PlaceChoice(f"steps:{name}", f"{fact_title(name, trace.units.get(name, ''))}, every {trace.step_word}")
        for name in trace.slice_facts
        if several and trace.units.get(name) != INDEX
    ]
    quantities = [PlaceChoice(row.name, place_title(row)) for row in found if row.unit != INDEX]
    return (*indices, *heat, *quantities)


def place_title(row: PlaceRow) -> str:
    """Return what a row is called, without its unit."""
    return fact_title(row.name, row.unit) if row.kind != "area" else row.title


def cells(trace: Trace, rows: Sequence[PlaceRow], key: str) -> PlaceCells | None:
    """Return the cells of a choice; None where the trace does not have it."""
    if key.startswith("steps:"):
        name = key.removeprefix("steps:")
        return step_cells(trace, name) if name in trace.slice_facts else None
    row = next((row for row in rows if row.name == key), None)
    if row is None:
        return None
    return index_cells(trace, row) if row.unit == INDEX else quantity_cells(row, _seconds(trace))


def index_cells(trace: Trace, row: PlaceRow) -> PlaceCells:
    """Return the cells of decisions, with shares and cost."""
    found = shares(row)
    count = max((int(share.value) + 1 for share in found), default=0)
    colours = action_colours(max(count, len(row.value_names)), row.costs)
    table = np.array([UNKNOWN, *colours], np.float32)
    values = np.where(np.isfinite(row.values), np.nan_to_num(row.values) + 1, 0).astype(int)
    painted = (255 * table[values[::-1]]).astype(np.uint8)
    entries = tuple(PlaceEntry(colours[int(s.value)], f"{s.name} {s.slices} ({100 * s.fraction:.0f} %)") for s in found)
    known = sum(share.slices for share in found)
    sentence = "; ".join(filter(None, (f"of {known} slices", cost_sentence(trace, row), _seconds(trace))))
    return PlaceCells(place_title(row), "", painted[None], entries, sentence=sentence)


def quantity_cells(row: PlaceRow, sentence: str = "") -> PlaceCells:
    """Return the cells of a quantity, dark violet to yellow."""
    low, high = _limits(row.values)
    painted = amounts(row.values[::-1], low, high)[None]
    times, unit = (100.0, "%") if row.unit == "fraction" else (1.0, row.unit)
    return PlaceCells(place_title(row), unit, painted, (), (number(times * low), number(times * high)), sentence)


def step_cells(trace: Trace, name: str) -> PlaceCells:
    """Return a quantity of every step and slice; the first step is left out where it counts as changed against nothing.

    Colours go by the logarithm where all values are counts or amounts ≥ 0, because the first changes are the largest.
    """
    values = np.asarray(trace.slice_facts[name], np.float32)
    first = 1 if np.nansum(values[0]) > np.nansum(values[1:]) else 0
    shown = values[first:, ::-1]
    low, high = _limits(shown)
    scaled = np.log1p(shown - low)
    painted = amounts(scaled, 0.0, float(np.log1p(high - low)))
    unit, word = trace.units.get(name, ""), trace.step_word
    names = tuple(str(step + 1) for step in range(first, len(values)))
    title = f"{fact_title(name, unit)}, {word} {names[0]} to {names[-1]}"
    return PlaceCells(title, unit, painted, (), (number(low), number(high)), _seconds(trace), names)


def areas(rows: Sequence[PlaceRow], colours: Mapping[int, Triple]) -> tuple[AreaLine, ...]:
    """Return a line for each label that has any area."""
    return tuple(
        AreaLine(row.title, colours.get(row.label or 0, PLAIN), row.values[::-1] / MM2_PER_CM2)
        for row in rows
        if row.kind == "area" and np.nansum(row.values) > 0
    )


def slice_text(rows: Sequence[PlaceRow], z: int, first: str = "") -> str:
    """Return what is known of a canonical slice, e.g. "slice 74 · M2 · 3.1 GFLOP · liver 41.0 cm²".

    The row named ``first`` comes first, then decisions and their cost, then areas, the largest first.
    """
    depth = len(rows[0].values) if rows else 0
    name = first.removeprefix("steps:")
    named = [row for row in rows if row.name == name or row.unit in (INDEX, GFLOP) or row.kind == "area"]
    ordered = sorted(named, key=lambda row: (row.name != name, row.unit != INDEX, row.kind == "area", -_area(row, z)))
    parts = [_at(row, z) for row in ordered if 0 <= z < len(row.values)]
    return " · ".join([f"slice {slice_number(z, depth)}", *filter(None, parts)])


def _at(row: PlaceRow, z: int) -> str:
    value = float(row.values[z])
    if not math.isfinite(value):
        return ""
    if row.kind == "area":
        return f"{row.title} {number(value / MM2_PER_CM2)} cm²" if value else ""
    if row.unit == INDEX:
        return row.value_name(value)
    if row.unit == "fraction":
        return f"{place_title(row).lower()} {100 * value:.3g} %"
    if row.unit.isupper() and len(row.unit) > 2:  # e.g. GFLOP, which says itself what it counts
        return f"{number(value)} {row.unit}"
    return f"{place_title(row).lower()} {number(value)}{f' {row.unit}' if row.unit not in ('', 'voxel') else ''}"


def _area(row: PlaceRow, z: int) -> float:
    return float(row.values[z]) if row.kind == "area" and 0 <= z < len(row.values) else 0.0


def _limits(values: Array) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    return low, high if high > low else low + 1.0


def _seconds(trace: Trace) -> str:
    seconds = trace.provenance.seconds
    return f"{seconds:.3g} s measured" if seconds else ""
