"""Whether a prediction came about as those of the validation cases did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.fit.features import TITLES, UNITS

FEWEST_CASES = 10
LIKE, UNLIKE = "like the validation cases", "unlike them: look closely"
_QUANTILES = (0.05, 0.95)
_BEYOND = 0.5  # of the width of the middle 90 %, before a case counts as unlike
# What the last step changed is not among them: held-back cases that it set apart were as good as the others.
_COMPARED = tuple(name for name in UNITS if name != "last_change")


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


def familiarity(record: Mapping[str, Any], features: Mapping[str, float]) -> Familiarity | None:
    """Return whether features (:func:`voxtrace.fit.case_features`) lie where those of validation cases lay.

    None where the bundle records none of them (it was validated on fewer than 10 cases). What the last step changed is
    not compared, although older bundles record it.
    """
    ranges = record.get("expected", {}).get("features", {})
    known = {name: value for name, value in features.items() if name in ranges and name in _COMPARED}
    if not known:
        return None
    name = max(known, key=lambda name: _distance(known[name], ranges[name]))
    if _distance(known[name], ranges[name]) <= _BEYOND:
        return Familiarity(LIKE, sentence=LIKE)
    low, high = ranges[name]
    values = f"{known[name]:.3g} {UNITS[name]}, in 90 % of the validation cases {low:.3g} to {high:.3g}"
    return Familiarity(UNLIKE, name, f"{UNLIKE} ({TITLES[name]} is {values})")


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
    names = [name for name in _COMPARED if all(name in one for one, _ in known)]
    columns = {name: np.asarray([one[name] for one, _ in known]) for name in names}
    ranges = {name: [_rounded(v) for v in np.quantile(values, _QUANTILES)] for name, values in columns.items()}
    return {"cases": len(known), "features": ranges}


def _distance(value: float, ends: Sequence[float]) -> float:
    """Return how far a value lies outside a range, in widths of the range; 0 inside."""
    low, high = ends
    return max(low - value, value - high, 0.0) / max(high - low, 1e-9)


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
