"""Whether a prediction came about as those of the validation cases did, and which Dice cases like it had."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.fit.features import TITLES, UNITS
from voxtrace.volume import Array

FEWEST_CASES = 10
FEWEST_FOR_DICE = 20
LIKE, UNLIKE = "like the validation cases", "unlike them: look closely"
_QUANTILES = (0.05, 0.95)
_BEYOND = 0.5  # of the width of the middle 90 %, before a case counts as unlike
_NEIGHBOURS = 0.2  # fraction of the validation cases that an expected Dice is the mean of
_MOST_ERROR = 0.85  # of the error without features; above it no Dice is told
_LEAST_CORRELATION = 0.5  # of ranks; chance reaches 0.4 among 40 cases


@dataclass(frozen=True)
class Familiarity:
    """A comparison with the validation cases.

    Attributes
    ----------
    words
        ``like the validation cases`` or ``unlike them: look closely``.
    feature
        The feature that is furthest out; ``""`` for a case like them.
    sentence
        The words, and for an unlike case the feature with its value and range.
    """

    words: str
    feature: str = ""
    sentence: str = ""

    @property
    def is_like(self) -> bool:
        """Whether the case is like those of validation."""
        return self.words == LIKE


@dataclass(frozen=True)
class ExpectedDice:
    """The mean Dice that validation cases of a similar feature had, and its mean absolute error on left-out cases."""

    dice: float
    error: float
    feature: str
    cases: int


def familiarity(record: Mapping[str, Any], features: Mapping[str, float]) -> Familiarity | None:
    """Return whether features (:func:`voxtrace.fit.case_features`) lie where those of validation cases lay.

    None where the bundle records none of them (it was validated on fewer than 10 cases).
    """
    ranges = record.get("expected", {}).get("features", {})
    known = {name: value for name, value in features.items() if name in ranges}
    if not known:
        return None
    name = max(known, key=lambda name: _distance(known[name], ranges[name]))
    if _distance(known[name], ranges[name]) <= _BEYOND:
        return Familiarity(LIKE, sentence=LIKE)
    low, high = ranges[name]
    values = f"{known[name]:.3g} {UNITS[name]}, in 90 % of the validation cases {low:.3g} to {high:.3g}"
    return Familiarity(UNLIKE, name, f"{UNLIKE} ({TITLES[name]} is {values})")


def expected_dice(record: Mapping[str, Any], features: Mapping[str, float]) -> ExpectedDice | None:
    """Return the Dice to expect of a case with these features, or None.

    None with fewer than 20 validation cases, or where no feature foretold their Dice better than their mean does.
    """
    stored = record.get("expected", {}).get("dice")
    if not stored or stored["feature"] not in features:
        return None
    values, dice = np.asarray(stored["values"], float), np.asarray(stored["dice"], float)
    value = _nearest_mean(values, dice, features[stored["feature"]])
    return ExpectedDice(round(value, 3), float(stored["error"]), str(stored["feature"]), len(values))


def measured_features(features: Sequence[Mapping[str, float]], dice: Sequence[float]) -> dict[str, Any] | None:
    """Return what a bundle records as ``expected``; None with fewer than 10 cases that have features.

    Parameters
    ----------
    features, dice
        Of each held-back case: its features, and its mean foreground Dice.
    """
    known = [(one, float(d)) for one, d in zip(features, dice, strict=True) if one and math.isfinite(d)]
    if len(known) < FEWEST_CASES:
        return None
    names = [name for name in UNITS if all(name in one for one, _ in known)]
    columns = {name: np.asarray([one[name] for one, _ in known]) for name in names}
    ranges = {name: [_rounded(v) for v in np.quantile(values, _QUANTILES)] for name, values in columns.items()}
    scores = np.asarray([d for _, d in known])
    best = _best_feature(columns, scores) if len(known) >= FEWEST_FOR_DICE else None
    return {"cases": len(known), "features": ranges, **({"dice": best} if best else {})}


def _best_feature(columns: Mapping[str, Array], dice: Array) -> dict[str, Any] | None:
    """Return the feature that foretells the Dice of left-out cases best, where it beats their mean."""
    errors = {name: _left_out_error(values, dice) for name, values in columns.items()}
    name = min(errors, key=errors.__getitem__)
    without = float(np.mean(np.abs(dice - (dice.sum() - dice) / (len(dice) - 1))))
    correlation = rank_correlation(columns[name], dice)
    if errors[name] > _MOST_ERROR * without or abs(correlation) < _LEAST_CORRELATION:
        return None
    order = np.argsort(columns[name])
    return {
        "feature": name,
        "error": round(errors[name], 4),
        "error_without": round(without, 4),
        "rank_correlation": round(correlation, 3),
        "values": [_rounded(v) for v in columns[name][order]],
        "dice": [round(float(v), 4) for v in dice[order]],
    }


def _left_out_error(values: Array, dice: Array) -> float:
    """Return the mean absolute error when each case is foretold by the others."""
    errors = []
    for i in range(len(values)):
        others = np.arange(len(values)) != i
        errors.append(abs(_nearest_mean(values[others], dice[others], values[i]) - dice[i]))
    return float(np.mean(errors))


def _nearest_mean(values: Array, dice: Array, value: float) -> float:
    """Return the mean Dice of the cases whose values are nearest in rank."""
    order = np.argsort(values, kind="stable")
    rank = float(np.mean([np.searchsorted(values[order], value, side) for side in ("left", "right")])) - 0.5
    nearest = np.argsort(np.abs(np.arange(len(values)) - rank), kind="stable")
    count = max(3, round(_NEIGHBOURS * len(values)))
    return float(dice[order][nearest[:count]].mean())


def rank_correlation(one: Array, other: Array) -> float:
    """Return Spearman's rank correlation of two rows of numbers without ties."""
    first, second = (np.argsort(np.argsort(values)).astype(float) for values in (one, other))
    return float(np.corrcoef(first, second)[0, 1])


def _distance(value: float, ends: Sequence[float]) -> float:
    """Return how far a value lies outside a range, in widths of the range; 0 inside."""
    low, high = ends
    return max(low - value, value - high, 0.0) / max(high - low, 1e-9)


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
