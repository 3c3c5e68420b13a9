"""Paired statistics: whether one of two methods is better on the same cases.

The interval is the 95 % percentile bootstrap over cases (:func:`voxtrace.metrics.mean_interval`, seeded), the test
Wilcoxon's signed-rank test, two-sided. Up to 200 cases its p is exact, equal differences included: every choice of
signs of the ranks is counted. Beyond, it is the normal approximation with the correction for equal ranks.

References
----------
Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1945 (differences of 0 are left out).
Pratt and Gibbons, Concepts of Nonparametric Theory, 1981 (exact distribution with equal ranks).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are loaded where they are used

from voxtrace.metrics import mean_interval
from voxtrace.volume import Array

MOST_EXACT = 200  # differences whose signs are counted
_DECIMALS = 12  # differences that are equal but for rounding have equal ranks


@dataclass(frozen=True)
class Paired:
    """Two methods on the same cases; differences are the first minus the other.

    Attributes
    ----------
    one, other
        Means over the cases in which both are finite.
    difference, low, high
        Mean difference, and its 95 % bootstrap interval over cases.
    p
        Of Wilcoxon's signed-rank test, two-sided; 1 where all are equal, NaN without cases.
    count
        Cases in which both are finite; the others are left out.
    """

    one: float
    other: float
    difference: float
    low: float
    high: float
    p: float
    count: int


def paired(one: Sequence[float], other: Sequence[float], seed: int = 0) -> Paired:
    """Return how two measures of the same cases, in the same order, differ; all NaN where no pair is finite.

    Raises
    ------
    ValueError
        The two are of different length.
    """
    pairs = np.asarray(list(zip(one, other, strict=True)), dtype=np.float64).reshape(-1, 2)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    differences = pairs[:, 0] - pairs[:, 1]
    interval = mean_interval(differences.tolist(), seed)
    first, second = pairs.mean(axis=0).tolist() if len(pairs) else (math.nan, math.nan)
    p = signed_rank_p(differences.tolist()) if len(pairs) else math.nan
    return Paired(first, second, interval.mean, interval.low, interval.high, p, interval.count)


def signed_rank_p(differences: Sequence[float]) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test: that the differences lie symmetrically around 0.

    Differences of 0 are left out; where no other is, p is 1.
    """
    values = np.asarray(differences, dtype=np.float64).round(_DECIMALS)
    values = values[values != 0]
    if not values.size:
        return 1.0
    ranks = scipy.stats.rankdata(np.abs(values))
    above = float(ranks[values > 0].sum())
    return _exact_p(ranks, above) if values.size <= MOST_EXACT else _normal_p(ranks, above)


def worse(found: Paired, limit: float) -> bool:
    """Return whether the other is worse than the first: lower by more than ``limit``, and surely lower.

    Surely: the 95 % interval of the difference lies above 0. Without a case that both have, nothing shows that the
    other is no worse, and it counts as worse.
    """
    return found.count == 0 or (found.difference > limit and found.low > 0)


def _exact_p(ranks: Array, above: float) -> float:
    """Return p from the distribution of the sum of the positive ranks when each sign is a toss of a coin."""
    doubled = np.rint(2 * ranks).astype(int)  # ranks of equal differences end in a half
    chance = np.zeros(int(doubled.sum()) + 1)
    chance[0] = 1.0
    for rank in doubled.tolist():
        moved = np.zeros_like(chance)
        moved[rank:] = chance[:-rank]
        chance = (chance + moved) / 2
    least = round(2 * min(above, float(ranks.sum()) - above))
    return min(1.0, 2.0 * float(chance[: least + 1].sum()))


def _normal_p(ranks: Array, above: float) -> float:
    deviation = math.sqrt(float((ranks**2).sum()) / 4)  # of a sum of ranks with random signs
    return math.erfc(abs(above - float(ranks.sum()) / 2) / deviation / math.sqrt(2))
