"""Published figures: each names its table, or says that it is not known, and none is worked out from other figures."""

from __future__ import annotations

import re

import pytest

from voxtrace.method import Figure
from voxtrace.methods import METHODS

LISTED = [(key, figure) for key, kind in METHODS.items() for figure in kind.figures()]
PLACE = re.compile(r"(Table|Figure|Fig\.|Eq\.|[Ss]ection) [0-9]+(\.[0-9]+)*")
# Where no table is known, and how many figures of a method say so in these words.
NOT_KNOWN = {
    ("cdlunet", "table not known here"): 2,
    ("meddanet", "table not known here, likely Table 3"): 8,
    ("recyclenet", "in words; table not known here"): 1,
}


@pytest.mark.parametrize(("key", "figure"), LISTED, ids=lambda value: getattr(value, "what", value))
def test_each_figure_names_where_it_is_printed_or_says_that_this_is_not_known(key: str, figure: Figure) -> None:
    assert PLACE.fullmatch(figure.source) or (key, figure.source) in NOT_KNOWN


def test_so_many_figures_have_no_known_table() -> None:
    without = [(key, figure.source) for key, figure in LISTED if not PLACE.fullmatch(figure.source)]
    assert {pair: without.count(pair) for pair in without} == NOT_KNOWN


@pytest.mark.parametrize(("key", "figure"), LISTED, ids=lambda value: getattr(value, "what", value))
def test_no_figure_is_a_quotient_of_others(key: str, figure: Figure) -> None:
    assert not re.search(r"[/÷]|total|divided|mean of", figure.source), figure.source
    assert figure.unit in ("M", "parameters", "GMAC", "GFLOP")  # counted on a network, no score made of other figures


def test_costs_of_the_bank_have_no_more_decimals_than_are_printed() -> None:
    bank = [figure.value for key, figure in LISTED if key == "meddanet" and re.match(r"cost of M[1-4]", figure.what)]
    assert bank == [0.61, 1.07, 2.36, 4.98, 2.13, 3.75, 8.88, 19.88]
