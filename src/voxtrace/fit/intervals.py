"""The range of a label's true volume, given the predicted one: split conformal prediction on held-back cases.

For a held-back case with predicted volume v and reference volume w the error is log(w / v). With the median error m
taken out as bias, the half-width q is the ⌈(n + 1)·0.95⌉-th smallest of |log(w / v) − m| over the n cases, and the
interval of a new volume v is v·exp(m ± q). Where n is too small for 95 % (below 19), the largest is taken, and the
level that holds then, n / (n + 1), is recorded. Below 10 cases no interval is given.

References
----------
Lei, G'Sell, Rinaldo, Tibshirani, Wasserman. Distribution-Free Predictive Inference for Regression. JASA 2018,
algorithm 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

FEWEST_CASES = 10
LEVEL = 0.95
BEYOND = 1.5  # times the largest, or a part of the smallest, validated volume; nothing is known further out


def interval_ml(record: Mapping[str, Any], label: int, ml: float) -> tuple[float, float] | None:
    """Return the interval in mL that holds a label's true volume in 95 of 100 cases like those of validation.

    None where the bundle has no interval for the label, or where nothing was validated near this volume: 0 mL, or more
    than 1.5 times beyond the validated ones. ``record["intervals"]`` states the level and the number of cases.
    """
    stored = record.get("intervals", {}).get("labels", {}).get(str(label))
    if not stored or ml <= 0:
        return None
    least, most = stored["predicted_ml"]
    if not least / BEYOND <= ml <= most * BEYOND:
        return None
    low, high = stored["factors"]
    return ml * low, ml * high


def measured_intervals(
    predicted_ml: Mapping[int, Sequence[float]], reference_ml: Mapping[int, Sequence[float]], names: Mapping[int, str]
) -> dict[str, Any] | None:
    """Return what a bundle records as ``intervals``; None where no label has enough cases.

    Parameters
    ----------
    predicted_ml, reference_ml
        Label value -> a volume for each held-back case. Cases in which either is 0 do not count.
    names
        Label value -> name.
    """
    found = {
        str(label): interval
        for label in predicted_ml
        if (interval := _interval(np.asarray(predicted_ml[label]), np.asarray(reference_ml[label]))) is not None
    }
    if not found:
        return None
    told = {str(label): name for label, name in names.items() if str(label) in found}
    return {"method": "split conformal, log ratio of reference to predicted volume", "names": told, "labels": found}


def _interval(predicted: Any, reference: Any) -> dict[str, Any] | None:
    there = (predicted > 0) & (reference > 0)
    n = int(there.sum())
    if n < FEWEST_CASES:
        return None
    errors = np.log(reference[there] / predicted[there])
    bias = float(np.median(errors))
    rank = math.ceil((n + 1) * LEVEL)
    half = float(np.sort(np.abs(errors - bias))[min(rank, n) - 1])
    return {
        "cases": n,
        "level": LEVEL if rank <= n else round(n / (n + 1), 4),
        "bias": round(math.exp(bias), 4),
        "factors": [round(math.exp(bias - half), 4), round(math.exp(bias + half), 4)],
        "predicted_ml": [round(float(predicted[there].min()), 4), round(float(predicted[there].max()), 4)],
    }
