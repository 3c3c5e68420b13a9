"""The cards of what comes with the package: whole by CLAIM, written by today's program, and true to what runs."""

from __future__ import annotations

import pytest

from voxtrace import bundle
from voxtrace.fit import claim_items
from voxtrace.fit.cost import CHOICES, RUN, RUN_WINDOWS

NAMES = sorted(bundle.shipped())
WHOLE = 0.9  # of the items of CLAIM that apply


@pytest.mark.parametrize("name", NAMES)
def test_its_card_tells_nine_tenths_of_the_items_that_apply(name: str) -> None:
    items = claim_items(bundle.card(name))
    told, apply = sum(bool(item.where) for item in items), sum(item.applies for item in items)
    left_out = [f"{item.number} {item.name}: {item.why}" for item in items if item.applies and not item.where]
    assert told >= WHOLE * apply, left_out


@pytest.mark.parametrize("name", NAMES)
def test_its_card_is_what_the_program_writes_now(name: str) -> None:
    model = bundle.load(name)
    written = (bundle.shipped()[name] / bundle.CARD).read_text(encoding="utf-8")
    assert written == bundle.readable_card(model, bundle.card(name)["files"][bundle.WEIGHTS]), "run bundle.annotate"


@pytest.mark.parametrize("name", NAMES)
def test_its_data_have_a_licence(name: str) -> None:
    text = (bundle.shipped()[name] / bundle.CARD).read_text(encoding="utf-8")
    assert "licence of the data: not stated" not in text


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("-meddanet")])
def test_where_networks_are_chosen_between_the_cost_is_of_what_runs(name: str) -> None:
    cost = bundle.card(name)["cost"]
    dearest = max(cost[CHOICES].values())
    decides = cost["gflop_per_window"] - sum(cost[CHOICES].values())
    assert cost[RUN_WINDOWS] > 0
    assert decides < cost[RUN] < decides + dearest
    assert cost[RUN] < cost["gflop_per_window"]
