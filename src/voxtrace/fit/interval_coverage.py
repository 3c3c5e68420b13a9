"""How often intervals of volumes hold the true volume, in cases that they were not worked out from.

Two ways, both from the records of the bundles of a cross-validation:

``left_out``
    The interval from the held-back cases of all other folds, for the held-back cases of a fold. Every case is tested
    once; the networks behind interval and case are different ones, as when all folds are pooled.
``halves``
    The interval from a random half of one fold's held-back cases, for the other half, again and again. Both halves were
    segmented by one network, as when its own interval is used. Repetitions share their cases: they tell the mean, and
    are no more cases.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.fit.intervals import FEWEST_CASES, LEVEL, interval_of, measured_interval
from voxtrace.fit.pooled_cases import by_pooled_rules
from voxtrace.volume import Array

REPEATS = 200
_Z = 1.959964  # of a normal distribution, between whose ±z 95 % lie


@dataclass(frozen=True, eq=False)
class FoldVolumes:
    """Volumes of one label in the held-back cases of one fold.

    Attributes
    ----------
    fold
        Its number.
    predicted_ml, reference_ml
        (cases,) float64 in mL, 0 where the label is not there.
    """

    fold: int
    predicted_ml: Array
    reference_ml: Array


@dataclass(frozen=True)
class IntervalCoverage:
    """How many cases' true volumes lay within their intervals.

    Attributes
    ----------
    covered
        Cases that were.
    without
        Cases that got no interval: the label was not found, or its volume lies beyond those that were known.
    widths
        Of the interval of every other case, over its predicted volume.
    """

    covered: int = 0
    without: int = 0
    widths: tuple[float, ...] = ()

    @property
    def cases(self) -> int:
        """Cases with an interval."""
        return len(self.widths)

    @property
    def fraction(self) -> float:
        """The part of the cases that was covered; NaN without cases."""
        return self.covered / self.cases if self.cases else math.nan

    @property
    def ci95(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the fraction, for cases that are independent; NaN without cases."""
        if not self.cases:
            return math.nan, math.nan
        n, p = self.cases, self.fraction
        centre, spread = p + _Z**2 / (2 * n), _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        return (centre - spread) / (1 + _Z**2 / n), (centre + spread) / (1 + _Z**2 / n)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; null where nothing is known."""
        return {
            "n": self.cases,
            "covered": self.covered,
            "coverage": _known(self.fraction),
            "ci95": [_known(end) for end in self.ci95],
            "without_interval": self.without,
            "median_width": _known(float(np.median(self.widths))) if self.widths else None,
        }


def volumes_of(records: Mapping[int, Mapping[str, Any]]) -> dict[str, list[FoldVolumes]]:
    """Return label name -> volumes of each fold, from the records of its bundles by number.

    Regions count like labels. Volumes are those with the post-processing of all folds together, as a prediction with
    them gives (:mod:`voxtrace.fit.pooled_cases`). Folds without held-back cases, and labels that no fold measured, are
    left out. A case that several folds held back counts in the first of them: it must not be tested by an interval that
    it is behind.
    """
    found: dict[str, list[FoldVolumes]] = {}
    seen: set[tuple[str, ...]] = set()
    for number, record in by_pooled_rules(records).items():
        named = identified_cases(record)
        rows = [row for case, row in named if not case or case not in seen]
        seen |= {case for case, _ in named}
        for name in _names(record["plan"]):
            pairs = [(row["predicted_ml"][name], row["reference_ml"][name]) for row in rows if _measured(row, name)]
            if pairs:
                predicted, reference = np.asarray(pairs, np.float64).T
                found.setdefault(name, []).append(FoldVolumes(number, predicted, reference))
    return found


def _names(plan: Mapping[str, Any]) -> list[str]:
    """Return the names of the foreground labels and of the regions; one that is both has one volume."""
    labels = [name for value, name in plan["labels"].items() if int(value)]
    return list(dict.fromkeys([*labels, *(region["name"] for region in plan.get("regions", ()))]))


def identified_cases(record: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Return what says which case it is, and its row, of each case that a record measured.

    That are the hashes of its files, as names may be made up, one count for each fold; or else its name; () without.
    """
    known = {one["name"]: (*one["images"], one["labels"]) for one in record.get("provenance", {}).get("held_back", ())}
    rows = (record.get("metrics", {}).get("validation") or {}).get("per_case", ())
    names = [row.get("name") for row in rows]
    return [(known.get(name, () if name is None else (name,)), row) for name, row in zip(names, rows, strict=True)]


def left_out_coverage(folds: Sequence[FoldVolumes], level: float = LEVEL) -> IntervalCoverage:
    """Return how many cases of each fold lie in the interval from the cases of all other folds."""
    return _summed(
        _tested(_together([other for other in folds if other.fold != fold.fold]), fold, level) for fold in folds
    )


def halves_coverage(
    folds: Sequence[FoldVolumes], level: float = LEVEL, repeats: int = REPEATS, seed: int = 0
) -> float | None:
    """Return the mean coverage of the other half of a fold's cases, over random halves of every fold.

    None where no fold has cases enough for an interval from a half of them.
    """
    rng = np.random.default_rng(seed)
    usable = [fold for fold in folds if len(fold.predicted_ml) >= 2 * FEWEST_CASES]
    found = _summed(_tested(*_halves(fold, rng), level) for _ in range(repeats) for fold in usable)
    return found.fraction if found.cases else None


def coverage_record(records: Mapping[int, Mapping[str, Any]], level: float = LEVEL) -> dict[str, Any] | None:
    """Return what the records of folds tell of the coverage of their intervals, as JSON values; None if nothing.

    ``level``, ``labels`` (name -> ``left_out`` and ``halves``) and ``all``, over the labels together.
    """
    volumes = volumes_of(records)
    left_out = {name: left_out_coverage(folds, level) for name, folds in volumes.items()}
    if not any(found.cases for found in left_out.values()):
        return None
    halves = {name: halves_coverage(folds, level) for name, folds in volumes.items()}
    return {
        "level": level,
        "labels": {name: {"left_out": left_out[name].to_json(), "halves": _known(halves[name])} for name in volumes},
        "all": {
            "left_out": _summed(left_out.values()).to_json(),
            "halves": _known(_mean([value for value in halves.values() if value is not None])),
        },
    }


def _measured(row: Mapping[str, Any], name: str) -> bool:
    return all(row.get(part, {}).get(name) is not None for part in ("predicted_ml", "reference_ml"))


def _together(folds: Sequence[FoldVolumes]) -> FoldVolumes:
    parts = [(fold.predicted_ml, fold.reference_ml) for fold in folds] or [(np.zeros(0), np.zeros(0))]
    predicted, reference = (np.concatenate(column) for column in zip(*parts, strict=True))
    return FoldVolumes(-1, predicted, reference)


def _halves(fold: FoldVolumes, rng: np.random.Generator) -> tuple[FoldVolumes, FoldVolumes]:
    order = rng.permutation(len(fold.predicted_ml))
    known, other = order[: len(order) // 2], order[len(order) // 2 :]
    return _taken(fold, known), _taken(fold, other)


def _taken(fold: FoldVolumes, which: Array) -> FoldVolumes:
    return FoldVolumes(fold.fold, fold.predicted_ml[which], fold.reference_ml[which])


def _tested(known: FoldVolumes, new: FoldVolumes, level: float) -> IntervalCoverage:
    """Return the coverage of new cases by the interval from known ones."""
    stored = measured_interval(known.predicted_ml, known.reference_ml, level)
    if stored is None:
        return IntervalCoverage(without=len(new.predicted_ml))
    pairs = zip(new.predicted_ml, new.reference_ml, strict=True)
    found = [(interval_of(stored, float(v)) if v > 0 else None, float(v), float(w)) for v, w in pairs]
    told = [(ends, v, w) for ends, v, w in found if ends is not None]
    return IntervalCoverage(
        sum(low <= w <= high for (low, high), _, w in told),
        len(found) - len(told),
        tuple((high - low) / v for (low, high), v, _ in told),
    )


def _summed(parts: Iterable[IntervalCoverage]) -> IntervalCoverage:
    every = list(parts)
    widths = tuple(width for one in every for width in one.widths)
    return IntervalCoverage(sum(one.covered for one in every), sum(one.without for one in every), widths)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)
