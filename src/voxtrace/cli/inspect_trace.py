"""What ``voxtrace inspect`` tells of a trace, as JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.trace import INDEX
from voxtrace.trace.places import along_slices, cost_sentence, window_groups

if TYPE_CHECKING:
    from voxtrace.trace import Trace
    from voxtrace.volume import Array


def inspect_trace(trace: Trace) -> dict[str, Any]:
    """Return names, units and sizes of everything in a trace, and its summary step by step.

    Of a number per slice each kept step has its smallest, mean and largest value, or, where it names something, how
    many slices have each value; of a scalar map, its smallest and largest value.
    """
    facts = {name: trace.units.get(name, "") for name in trace.facts}
    slice_facts = {name: _slice_fact(trace, name, values) for name, values in trace.slice_facts.items()}
    maps = {name: _map(trace, name, limits) for name, limits in trace.map_ranges().items()}
    return {
        "kind": "trace",
        "step_word": trace.step_word,
        "labels": {str(value): name for value, name in trace.names.items()},
        "shape": list(trace.geometry.shape),
        "windows": len(trace.windows),
        "facts": facts,
        **({"slice_facts": slice_facts} if slice_facts else {}),
        **({"maps": maps} if maps else {}),
        **_about(trace),
        "steps": [{**row, "step": row["step"] + 1} for row in trace.summary()],  # people count from 1
    }


def _about(trace: Trace) -> dict[str, Any]:
    """Return what the trace tells of the run, as far as it does; the scan's name is left out."""
    told = trace.provenance
    costs = [cost_sentence(trace, row) for row in along_slices(trace, trace.n_steps - 1) if row.costs]
    found: dict[str, Any] = {
        "bundle": told.bundle,
        "method": told.method_title,
        "version": told.version,
        "seconds": told.seconds,
        "seed": told.seed,
        "demonstration": told.demonstration or None,
        "members": list(trace.members),
        "window_groups": {group.name: len(group.boxes) for group in window_groups(trace)},
        "expected_dice": told.expected_dice.to_json() if told.expected_dice else None,
        "costs": [sentence for sentence in costs if sentence],
        "charts": [chart.title for chart in trace.charts],
    }
    return {name: value for name, value in found.items() if value is not None and value not in ("", [], {})}


def _slice_fact(trace: Trace, name: str, values: Array) -> dict[str, Any]:
    unit = trace.units.get(name, "")
    return {"unit": unit, "steps": [_counts(row) if unit == INDEX else _spread(row) for row in values]}


def _spread(values: Array) -> dict[str, Any]:
    """Return in how many slices a number is known, and its smallest, mean and largest value."""
    known = values[~np.isnan(values)]
    if not known.size:
        return {"slices": 0, "smallest": None, "mean": None, "largest": None}
    low, mean, high = float(known.min()), float(known.mean(dtype=np.float64)), float(known.max())
    return {"slices": known.size, "smallest": low, "mean": mean, "largest": high}


def _counts(values: Array) -> dict[str, Any]:
    """Return in how many slices a number is known, and how many slices have each of its values."""
    known = values[~np.isnan(values)]
    found, counts = np.unique(known, return_counts=True)
    return {"slices": known.size, "values": {f"{value:g}": int(n) for value, n in zip(found, counts, strict=True)}}


def _map(trace: Trace, name: str, limits: Array) -> dict[str, Any]:
    """Return a map's unit, its range over all kept steps and that of each step; None where it has no value."""
    steps = [[_known(value) for value in row] for row in limits]
    known = limits[~np.isnan(limits).any(1)]
    overall = [float(known[:, 0].min()), float(known[:, 1].max())] if len(known) else [None, None]
    return {"unit": trace.units.get(name, ""), "range": overall, "steps": steps}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
