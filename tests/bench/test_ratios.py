from __future__ import annotations

from voxtrace.bench.ratios import Ratio, ratio


def test_a_ratio_is_one_of_medians_with_the_extremes_of_the_rounds() -> None:
    # medians 10 and 2; rounds 6/2 = 3, 10/1 = 10, 20/4 = 5
    assert ratio([6.0, 10.0, 20.0], [2.0, 1.0, 4.0]) == Ratio(5.0, 3.0, 10.0)


def test_one_round_has_no_spread() -> None:
    assert ratio([9.0], [3.0]) == Ratio(3.0, 3.0, 3.0)
