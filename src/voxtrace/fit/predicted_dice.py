"""The Dice to expect of a case without a reference, from how its answer came about.

A ridge regression in float64 from the features of a trace (:func:`voxtrace.fit.case_features`; of the volume the
logarithm) to the mean foreground Dice, fitted on held-back cases. Every figure that is recorded of it is of cases that
were left out: each is foretold by the regression on all others, standardisation included. Of these come Spearman's rank
correlation with its interval, the mean absolute error, and the half-width of the interval of a new case (the
⌈(n + 1)·0.9⌉-th smallest absolute error).

Nothing is foretold where the rank correlation is not surely above 0, for a case outside the range of the held-back
ones, or for an answer that came about in another way than theirs.

References
----------
Hoerl and Kennard, Ridge regression, Technometrics 1970. Bonett and Wright, Sample size requirements for estimating
Pearson, Kendall and Spearman correlations, Psychometrika 2000 (standard error of Spearman's). Barber, Candès, Ramdas,
Tibshirani, Predictive inference with the jackknife+, Annals of Statistics 2021 (interval from left-out errors).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxtrace.fit.features import TITLES, UNITS
from voxtrace.trace import ExpectedDice
from voxtrace.volume import Array

FEWEST_CASES = 20
LEVEL = 0.9
RIDGE = 1.0  # added to the n of each standardised feature
BEYOND = 0.25  # of the width of the held-back cases' range, before a case lies outside it
_LOGARITHMIC = ("volume_ml",)
_Z95 = 1.959964  # of the normal distribution


def expected_dice(record: Mapping[str, Any], features: Mapping[str, float], verdict: str = "fits") -> ExpectedDice:
    """Return the Dice to expect of a case with these features, or why it is not known.

    Parameters
    ----------
    record
        The bundle's record.
    features
        Of the case's trace; see :func:`voxtrace.fit.case_features`.
    verdict
        The sentence of :class:`voxtrace.fit.Fit` for the scan; only of a scan that fits is a Dice told.
    """
    stored = record.get("predicted_dice")
    reason = _unknown(stored, features, verdict)
    if reason or not stored:
        return ExpectedDice(unknown=reason)
    values = np.asarray([_scaled(name, features[name]) for name in stored["features"]])
    deviations = (values - np.asarray(stored["means"])) / np.asarray(stored["deviations"])
    dice = float(np.clip(stored["intercept"] + deviations @ np.asarray(stored["weights"]), 0.0, 1.0))
    half = float(stored["half_width"])
    return ExpectedDice(
        dice=round(dice, 3),
        interval=(round(max(0.0, dice - half), 3), round(min(1.0, dice + half), 3)),
        level=float(stored["level"]),
        rank_correlation=float(stored["rank_correlation"]),
        cases=int(stored["cases"]),
    )


def measured_dice_prediction(features: Sequence[Mapping[str, float]], dice: Sequence[float]) -> dict[str, Any] | None:
    """Return what a bundle records as ``predicted_dice``; None with fewer than 20 cases that have features.

    Parameters
    ----------
    features, dice
        Of each held-back case: the features of its trace, and its mean foreground Dice. Cases without features, or
        whose Dice is not finite, are left out; so are features that not every case has, or that all have alike.
    """
    known = [(one, float(d)) for one, d in zip(features, dice, strict=True) if one and math.isfinite(d)]
    names = [name for name in UNITS if known and all(name in one for one, _ in known)]
    table = np.asarray([[_scaled(name, one[name]) for name in names] for one, _ in known], np.float64)
    differs = [k for k in range(len(names)) if np.ptp(table[:, k]) > 0]
    if len(known) < FEWEST_CASES or not differs:
        return None
    names, table, truth = [names[k] for k in differs], table[:, differs], np.asarray([d for _, d in known])
    return {**_fitted(names, table, truth), **_left_out_figures(table, truth)}


def rank_correlation(one: Array, other: Array) -> float:
    """Return Spearman's rank correlation of two rows of numbers; equal numbers share their mean rank; 0 if all are."""
    first, second = _ranks(np.asarray(one)), _ranks(np.asarray(other))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def rank_correlation_interval(correlation: float, cases: int) -> tuple[float, float]:
    """Return the 95 % interval of Spearman's rank correlation of so many cases (at least 4), by Bonett and Wright."""
    centre = math.atanh(max(-0.9999, min(0.9999, correlation)))
    reach = _Z95 * math.sqrt((1 + correlation**2 / 2) / (cases - 3))
    return math.tanh(centre - reach), math.tanh(centre + reach)


def _unknown(stored: Mapping[str, Any] | None, features: Mapping[str, float], verdict: str) -> str:
    """Return why no Dice is foretold; ``""`` where one is."""
    if not stored:
        return "the model does not record how its held-back cases came about"
    if not verdict.startswith("fits"):
        return f"the scan is not like those that the model learned from ({verdict})"
    low, high = stored["rank_correlation_ci95"]
    if low <= 0:
        return (
            f"on {stored['cases']} held-back cases it did not foretell the Dice (rank correlation "
            f"{stored['rank_correlation']:.2f}, 95 % interval {low:.2f} to {high:.2f})"
        )
    return _unlike(stored, features)


def _unlike(stored: Mapping[str, Any], features: Mapping[str, float]) -> str:
    """Return what keeps a case from being compared with the held-back ones; ``""`` where nothing does."""
    if not features:
        return "nothing was found in the scan"
    if missing := [name for name in stored["features"] if name not in features]:
        return f"{', '.join(TITLES.get(name, name) for name in missing)} is not known; keep every step"
    for name, (least, most) in zip(stored["features"], stored["ranges"], strict=True):
        reach = BEYOND * (_scaled(name, most) - _scaled(name, least))
        if not _scaled(name, least) - reach <= _scaled(name, features[name]) <= _scaled(name, most) + reach:
            value = f"{features[name]:.3g} {UNITS.get(name, '')}"
            return f"{TITLES.get(name, name)} is {value}, that of the held-back cases {least:.3g} to {most:.3g}"
    return ""


def _fitted(names: Sequence[str], table: Array, truth: Array) -> dict[str, Any]:
    means, deviations, weights = _ridge(table, truth)
    unscaled = np.where([name in _LOGARITHMIC for name in names], np.exp(table), table)
    return {
        "features": list(names),
        "means": [_rounded(v) for v in means],
        "deviations": [_rounded(v) for v in deviations],
        "weights": [_rounded(v) for v in weights],
        "intercept": _rounded(truth.mean()),
        "ranges": [[_rounded(column.min()), _rounded(column.max())] for column in unscaled.T],
    }


def _left_out_figures(table: Array, truth: Array) -> dict[str, Any]:
    """Return what is known of cases that were left out of the fit."""
    n, foretold = len(truth), _left_out(table, truth)
    errors = np.sort(np.abs(foretold - truth))
    rank = math.ceil((n + 1) * LEVEL)
    correlation = rank_correlation(foretold, truth)
    without = float(np.abs(truth - (truth.sum() - truth) / (n - 1)).mean())
    return {
        "cases": n,
        "level": LEVEL,
        "half_width": _rounded(errors[min(rank, n) - 1]),
        "rank_correlation": round(correlation, 3),
        "rank_correlation_ci95": [round(v, 3) for v in rank_correlation_interval(correlation, n)],
        "error": _rounded(errors.mean()),
        "error_without": _rounded(without),
    }


def _left_out(table: Array, truth: Array) -> Array:
    """Return the Dice of each case as the others foretell it, (n,)."""
    found = np.empty(len(truth))
    for case in range(len(truth)):
        others = np.arange(len(truth)) != case
        means, deviations, weights = _ridge(table[others], truth[others])
        found[case] = truth[others].mean() + ((table[case] - means) / deviations) @ weights
    return found


def _ridge(table: Array, truth: Array) -> tuple[Array, Array, Array]:
    """Return means and deviations of the features, and the weights of the standardised ones."""
    means, deviations = table.mean(0), table.std(0)
    deviations = np.where(deviations > 0, deviations, 1.0)
    standard = (table - means) / deviations
    matrix = standard.T @ standard + RIDGE * np.eye(table.shape[1])
    return means, deviations, np.linalg.solve(matrix, standard.T @ (truth - truth.mean()))


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Array = (last - (counts - 1) / 2)[inverse]
    return ranks


def _scaled(name: str, value: float) -> float:
    return math.log(max(value, 1e-12)) if name in _LOGARITHMIC else float(value)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
