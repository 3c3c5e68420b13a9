"""Lanes of the time ruler: a value at each station, with unit, limits and a read-out; pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from voxtrace.plugin.models.panel_state import words
from voxtrace.trace import INDEX, Trace
from voxtrace.trace.trace import CHANGED_VOXELS
from voxtrace.volume import Array, Triple

NAN = float("nan")
VOLUME, RELATIVE, CHANGES, SURFACE, REFERENCE = "volume", "relative", "changes", "surface", "reference"
DEFAULT_LANES = (VOLUME, CHANGES)
GAINED, LOST, MOVED, PLAIN = (0.34, 0.71, 0.91), (0.90, 0.62, 0.00), (0.80, 0.82, 0.86), (0.80, 0.82, 0.86)


@dataclass(frozen=True)
class LaneCurve:
    """One line of a lane: a value at each station, NaN where it is not known."""

    name: str
    colour: Triple
    values: tuple[float, ...]

    def at(self, station: int) -> float:
        """Return the value at a station; NaN beyond the last one that is known."""
        return self.values[station] if 0 <= station < len(self.values) else NAN


@dataclass(frozen=True)
class Lane:
    """A lane under the film strip.

    Attributes
    ----------
    key, title, unit
        What it shows; an empty unit where there is none.
    curves
        Lines, or bars from the middle up (the first) and down (the second), then a third that is only read out.
    about
        What the menu says beside the title.
    bars
        Whether the curves are bars.
    first_apart
        Whether the first station is left out of the scale, because it is compared with an empty label map.
    """

    key: str
    title: str
    unit: str
    curves: tuple[LaneCurve, ...]
    about: str = ""
    bars: bool = False
    first_apart: bool = False

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and largest value that the scale covers; (0, 1) where nothing is known."""
        first = 1 if self.first_apart and any(len(curve.values) > 1 for curve in self.curves) else 0
        shown = self.curves[:2] if self.bars else self.curves
        known = [value for curve in shown for value in curve.values[first:] if math.isfinite(value)]
        if not known:
            return 0.0, 1.0
        low, high = (0.0 if self.bars else min(known)), max(known)
        return (low, high) if high > low else (low - 0.5, high + 0.5) if not self.bars else (0.0, 1.0)

    def readout(self, station: int) -> str:
        """Return the values at a station, with the unit; the name of each where there are several.

        >>> Lane("x", "X", "mL", (LaneCurve("a", PLAIN, (1.0,)), LaneCurve("b", PLAIN, (2.0,)))).readout(0)
        'a 1 · b 2 mL'
        """
        several = len(self.curves) > 1
        parts = [
            f"{curve.name} {number(curve.at(station))}" if several else number(curve.at(station))
            for curve in self.curves
            if math.isfinite(curve.at(station))
        ]
        return f"{' · '.join(parts)} {self.unit}".rstrip() if parts else "not known here"


@dataclass(frozen=True, eq=False)
class ChangeCounts:
    """Voxels that each step changed against the step before, (S,) each; the first step against background.

    Attributes
    ----------
    gained
        Background before, a label now.
    lost
        A label before, background now.
    moved
        Another label than before.
    """

    gained: Array
    lost: Array
    moved: Array


def number(value: float) -> str:
    """Return a value with three significant digits; a whole number as such.

    >>> number(33685.0), number(1.618), number(0.0935), number(12.34), number(39.0)
    ('33,685', '1.62', '0.0935', '12.3', '39')
    """
    size = abs(value)
    if not math.isfinite(value):
        return "–"
    if size >= 100 or value.is_integer():
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.995 else f"{value:.3g}"


def volume_lanes(
    names: Mapping[int, str], colours: Mapping[int, Triple], volumes: Sequence[Mapping[int, float]]
) -> tuple[Lane, ...]:
    """Return lanes of mL per label, and of its difference to the last station in percent."""
    labels = sorted(value for value in names if value and any(v.get(value, 0.0) for v in volumes))
    curves, relative = [], []
    for value in labels:
        series = tuple(float(at.get(value, NAN)) for at in volumes)
        curves.append(LaneCurve(names[value], colours.get(value, PLAIN), series))
        last = series[-1]
        percent = tuple(100 * (ml - last) / last if last else NAN for ml in series)
        relative.append(LaneCurve(names[value], colours.get(value, PLAIN), percent))
    return (
        Lane(VOLUME, "Volume per label", "mL", tuple(curves)),
        Lane(RELATIVE, "Against the last", "%", tuple(relative), about="volume per label"),
    )


def change_lane(counts: ChangeCounts) -> Lane:
    """Return the lane of gained and lost voxels."""
    series = ((counts.gained, "gained", GAINED), (counts.lost, "lost", LOST), (counts.moved, "other label", MOVED))
    curves = tuple(LaneCurve(name, colour, tuple(map(float, values))) for values, name, colour in series)
    return Lane(CHANGES, "Changed voxels", "voxels", curves, bars=True, first_apart=True)


def total_change_lane(changed: Sequence[float]) -> Lane:
    """Return the lane of changed voxels while gained and lost ones are still being counted."""
    curve = LaneCurve("changed", GAINED, tuple(map(float, changed)))
    return Lane(CHANGES, "Changed voxels", "voxels", (curve,), bars=True, first_apart=True)


def fact_lanes(trace: Trace) -> tuple[Lane, ...]:
    """Return a lane for each quantity that the trace has at several kept steps: means over windows, slices or voxels.

    Voxels changed by a step have a lane of their own, and so do not appear here.
    """
    kept = int(trace.labels.shape[0])
    found: dict[str, Lane] = {}
    for name, values in {**trace.slice_facts, **trace.facts}.items():
        if trace.units.get(name) == INDEX or name in (CHANGED_VOXELS, "changed_fraction"):
            continue
        series = tuple(_mean(row) for row in np.asarray(values)[-kept:])
        if len(series) > 1 and any(math.isfinite(value) for value in series):
            unit = trace.units.get(name, "")
            series, shown = (tuple(100 * v for v in series), "%") if unit == "fraction" else (series, unit)
            curve = LaneCurve(words(name), PLAIN, series)
            found[name] = Lane(f"fact:{name}", fact_title(name, unit), shown, (curve,))
    return tuple(found.values())


def fact_title(name: str, unit: str) -> str:
    """Return a fact's name as words, without its unit.

    >>> fact_title("cost_gflop", "GFLOP"), fact_title("noise_level", "fraction")
    ('Cost', 'Noise level')
    """
    stem, _, last = name.rpartition("_")
    return words(stem if stem and last.lower() in (unit.lower(), f"{unit.lower()}s") else name)


def score_lane(
    key: str, title: str, names: Mapping[int, str], colours: Mapping[int, Triple], scores: Mapping[int, Sequence[float]]
) -> Lane:
    """Return a lane with a line per label of scores without a unit, such as Dice."""
    curves = (LaneCurve(names[v], colours.get(v, PLAIN), tuple(map(float, s))) for v, s in sorted(scores.items()))
    return Lane(key, title, "", tuple(curves))


def surface_lane(shares: Sequence[float], against: str) -> Lane:
    """Return the lane of disagreement near the surface, in percent of the voxels within two voxels of it."""
    curve = LaneCurve("differs", MOVED, tuple(100 * float(value) for value in shares))
    return Lane(SURFACE, "Near the surface", "%", (curve,), about=f"unlike {against}")


def with_last(lane: Lane, values: Mapping[str, float]) -> Lane:
    """Return a lane with one more station, whose values are given by the curves' names."""
    curves = (replace(c, values=(*c.values, values.get(c.name, NAN))) for c in lane.curves)
    return replace(lane, curves=tuple(curves))


def most_changed(lane: Lane) -> int | None:
    """Return the station that changed most against the one before, the first left out; None where none is known.

    >>> most_changed(total_change_lane((900.0, 3.0, 8.0)))
    2
    """
    count = max((len(curve.values) for curve in lane.curves), default=0)
    sums = {k: sum(c.at(k) for c in lane.curves if math.isfinite(c.at(k))) for k in range(1, count)}
    return max(sums, key=lambda k: sums[k]) if any(sums.values()) else None


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else NAN
