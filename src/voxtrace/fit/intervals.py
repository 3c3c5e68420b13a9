"""The range of a label's true volume, given the predicted one: split conformal prediction on held-back cases.

For a held-back case with predicted volume v > 0 and reference volume w the error is log(w / v); it is −∞ where the
label is not there at all. With the n errors in order, e(1) ≤ … ≤ e(n), the interval of a new volume v is v·exp(e(a))
… v·exp(e(b)) with n + 1 − (b − a) = ⌊(n + 1)·0.1⌋, of which half lie on either side (the odd one above). A new case
of the same kind lies inside with probability (b − a) / (n + 1): at least 90 %, and at most 1 / (n + 1) more. Since
errors keep their sign, a bias of the model moves the interval and needs no estimate of its own. Ratios are compared,
since volumes of one label differ by factors between people, and errors with them.

Where n is below 19, smallest and largest error are taken, and the level that then holds, (n − 1) / (n + 1), is
recorded. Below 10 cases no interval is given. Cases in which the label was not found (v = 0) have no ratio; they are
counted apart, and from 10 of them on the ⌈(n + 1)·0.9⌉-th smallest of their true volumes is recorded as what may have
been missed.

References
----------
Lei, G'Sell, Rinaldo, Tibshirani, Wasserman. Distribution-Free Predictive Inference for Regression. JASA 2018.
Romano, Patterson, Candès. Conformalized Quantile Regression. NeurIPS 2019 (each side its own quantile).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxtrace.volume import Array

FEWEST_CASES = 10
LEVEL = 0.90
BEYOND = 1.5  # times the largest, or a part of the smallest, validated volume; nothing is known further out
_DIGITS = 6  # significant ones of what is stored: a tumour may have 0.0004 mL


def interval_ml(record: Mapping[str, Any], label: int | str, ml: float) -> tuple[float, float] | None:
    """Return the interval in mL that holds a label's true volume in 90 of 100 cases like those of validation.

    ``label`` is the value of a label, or the name of a region (:mod:`voxtrace.plan.regions`).

    Of a label that was not found (0 mL) it is what may have been missed, from 0 on. None where the bundle has no
    interval for the label, or where nothing was validated near this volume: more than 1.5 times beyond the validated
    ones. ``record["intervals"]`` states the level and the number of cases.
    """
    stored = record.get("intervals", {}).get("regions" if isinstance(label, str) else "labels", {}).get(str(label))
    return None if not stored else interval_of(stored, ml)


def interval_of(stored: Mapping[str, Any], ml: float) -> tuple[float, float] | None:
    """Return the interval in mL around a volume in mL by one label's entry in a record; None where it has none."""
    if ml <= 0:
        most = stored.get("not_found", {}).get("up_to_ml")
        return None if most is None else (0.0, float(most))
    least, most = stored["predicted_ml"]
    if not least / BEYOND <= ml <= most * BEYOND:
        return None
    low, high = stored["factors"]
    return ml * low, ml * high


def measured_intervals(
    predicted_ml: Mapping[int, Sequence[float]],
    reference_ml: Mapping[int, Sequence[float]],
    names: Mapping[int, str],
    regions_ml: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
) -> dict[str, Any] | None:
    """Return what a bundle records as ``intervals``; None where no label, and no region, has enough cases.

    Parameters
    ----------
    predicted_ml, reference_ml
        Label value -> a volume for each held-back case, 0 where the label is not there.
    names
        Label value -> name.
    regions_ml
        Name of a region -> predicted and true volumes (cases,).
    """
    found = _each({str(label): (predicted_ml[label], reference_ml[label]) for label in predicted_ml})
    regions = _each(regions_ml or {})
    if not found and not regions:
        return None
    told = {str(label): name for label, name in names.items() if str(label) in found}
    how = "split conformal, log ratio of reference to predicted volume"
    return {"method": how, "names": told, "labels": found, **({"regions": regions} if regions else {})}


def _each(volumes: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> dict[str, dict[str, Any]]:
    """Return the entries of those labels or regions that have enough cases."""
    found = {
        name: measured_interval(np.asarray(predicted, float), np.asarray(reference, float))
        for name, (predicted, reference) in volumes.items()
    }
    return {name: interval for name, interval in found.items() if interval is not None}


def measured_interval(predicted: Array, reference: Array, level: float = LEVEL) -> dict[str, Any] | None:
    """Return one label's entry from its predicted and true volumes in mL, both (cases,); None with too few cases."""
    there = predicted > 0
    n = int(there.sum())
    if n < FEWEST_CASES:
        return None
    with np.errstate(divide="ignore"):  # a label that is not there has an error of −∞, and the factor 0
        errors = np.sort(np.log(reference[there] / predicted[there]))
    first, last, holds = _ranks(n, level)
    return {
        "cases": n,
        "level": round(holds, 4),
        "bias": _short(math.exp(float(np.median(errors)))),
        "factors": [_short(math.exp(errors[first - 1])), _short(math.exp(errors[last - 1]))],
        "predicted_ml": [_short(predicted[there].min()), _short(predicted[there].max())],
        **_not_found(reference[~there], level),
    }


def _ranks(n: int, level: float) -> tuple[int, int, float]:
    """Return the ranks, from 1, of the errors that bound an interval, and the level that holds."""
    outside = math.floor((n + 1) * (1.0 - level) + 1e-9)
    if outside < 2:  # each side needs one
        return 1, n, (n - 1) / (n + 1)
    below = outside // 2
    return below, n + 1 - (outside - below), level


def _not_found(reference: Array, level: float) -> dict[str, Any]:
    """Return what is known of cases in which a label was not found, from its true volumes there."""
    n = len(reference)
    if not n:
        return {}
    found: dict[str, Any] = {"cases": n, "were_there": int((reference > 0).sum())}
    rank = math.ceil((n + 1) * level - 1e-9)
    if n >= FEWEST_CASES and rank <= n:
        found["up_to_ml"] = _short(np.sort(reference)[rank - 1])
    return {"not_found": found}


def _short(value: float) -> float:
    return float(f"{float(value):.{_DIGITS}g}")
