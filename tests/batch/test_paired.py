"""Paired statistics against hand-computed values, every choice of signs, and scipy."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from voxtrace.batch.paired import MOST_EXACT, Paired, paired, signed_rank_p, worse


def by_every_sign(differences: list[float]) -> float:
    """The share of all choices of signs whose sum of ranks is as far from its mean as that found."""
    values = np.asarray([d for d in differences if d])
    ranks = scipy.stats.rankdata(np.abs(values))
    sums = np.asarray(
        [sum(r for r, up in zip(ranks, s, strict=True) if up) for s in product((0, 1), repeat=len(ranks))]
    )
    found, middle = ranks[values > 0].sum(), ranks.sum() / 2
    return float(np.mean(np.abs(sums - middle) >= abs(found - middle) - 1e-9))


def test_p_of_differences_of_one_sign_is_that_of_as_many_coins() -> None:
    """Of 2⁵ choices of signs two are as one-sided: all above, all below."""
    assert signed_rank_p([0.1, 0.2, 0.3, 0.4, 0.5]) == pytest.approx(2 / 32)


def test_p_by_hand() -> None:
    """Ranks 1 to 4, that of 1 below: sums of 0 and 1 have a chance of 1/16 each, on both sides."""
    assert signed_rank_p([-1.0, 2.0, 3.0, 4.0]) == pytest.approx(4 / 16)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9).filter(any))
def test_p_counts_every_choice_of_signs_equal_differences_included(differences: list[int]) -> None:
    assert signed_rank_p(differences) == pytest.approx(by_every_sign([float(d) for d in differences]), abs=1e-12)


@pytest.mark.parametrize("n", [6, 25, MOST_EXACT // 4])
def test_p_is_that_of_scipy(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.3, 1.0, n)
    assert signed_rank_p(differences.tolist()) == pytest.approx(
        scipy.stats.wilcoxon(differences, method="exact").pvalue
    )


def test_p_of_many_cases_is_that_of_the_normal_approximation() -> None:
    differences = np.random.default_rng(0).integers(-4, 6, 2 * MOST_EXACT).astype(float)
    expected = scipy.stats.wilcoxon(differences, method="asymptotic").pvalue
    assert signed_rank_p(differences.tolist()) == pytest.approx(expected)


def test_exact_and_approximate_p_meet() -> None:
    differences = np.random.default_rng(1).normal(0.1, 1.0, MOST_EXACT + 1)
    exact, approximate = signed_rank_p(differences[1:].tolist()), signed_rank_p(differences.tolist())
    assert exact == pytest.approx(scipy.stats.wilcoxon(differences[1:], method="asymptotic").pvalue, abs=2e-3)
    assert approximate == pytest.approx(scipy.stats.wilcoxon(differences, method="asymptotic").pvalue)


def test_equal_cases_show_no_difference() -> None:
    found = paired([0.8, 0.9], [0.8, 0.9])
    assert (found.difference, found.low, found.high, found.p, found.count) == (0.0, 0.0, 0.0, 1.0, 2)
    assert not worse(found, 0.0)


def test_differences_that_differ_by_rounding_alone_have_equal_ranks() -> None:
    assert signed_rank_p([0.3 - 0.2, -(0.2 - 0.1), 0.2]) == signed_rank_p([1.0, -1.0, 2.0])
    assert signed_rank_p([0.1 + 0.2 - 0.3]) == 1.0


def test_means_and_interval_are_of_the_pairs_that_are_known() -> None:
    found = paired([0.5, 0.7, math.nan, math.inf], [0.25, 0.5, 0.5, 0.5])
    assert (found.one, found.other) == (pytest.approx(0.6), pytest.approx(0.375))
    assert found.difference == pytest.approx(0.225)
    assert (found.low, found.high) == (pytest.approx(0.2), pytest.approx(0.25))  # two cases: each twice, or both
    assert found.count == 2


def test_the_interval_is_that_of_a_bootstrap_of_the_differences() -> None:
    rng = np.random.default_rng(5)
    one, other = rng.normal(0.9, 0.05, 60), rng.normal(0.85, 0.05, 60)
    found = paired(one.tolist(), other.tolist())
    deviation = (one - other).std() / math.sqrt(60)
    assert found.low == pytest.approx((one - other).mean() - 1.96 * deviation, abs=0.15 * deviation)
    assert found.high == pytest.approx((one - other).mean() + 1.96 * deviation, abs=0.15 * deviation)
    assert found == paired(one.tolist(), other.tolist())
    assert found != paired(one.tolist(), other.tolist(), seed=1)


def test_without_a_known_pair_nothing_is_known() -> None:
    found = paired([math.nan], [0.5])
    assert math.isnan(found.difference)
    assert math.isnan(found.p)
    assert found.count == 0


def test_lists_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired([0.1, 0.2], [0.1])


@pytest.mark.parametrize(
    ("fall", "low", "count", "expected"),
    [
        (0.02, 0.005, 9, True),
        (0.02, -0.001, 9, False),  # may be chance
        (0.005, 0.001, 9, False),  # sure, and within the limit
        (-0.2, -0.3, 9, False),
        (math.nan, math.nan, 0, True),  # nothing shows that it is not worse
    ],
)
def test_worse_is_lower_by_more_than_the_limit_and_surely_lower(
    fall: float, low: float, count: int, expected: bool
) -> None:
    assert worse(Paired(0.9, 0.9 - fall, fall, low, fall + 0.01, 0.01, count), 0.01) is expected
