"""A bank at the published widths with the shipped decision network."""

from __future__ import annotations

import pytest
import torch

from voxtrace.bench.published_widths import meddanet_at_published_widths
from voxtrace.bench.scenarios.routing import BUNDLE
from voxtrace.bundle import Bundle, load
from voxtrace.nn.flops import flops


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return load(BUNDLE)


@pytest.fixture(scope="module")
def bank(shipped: Bundle) -> Bundle:
    return meddanet_at_published_widths(shipped, slice_mm=1.0)


def test_its_networks_cost_what_is_published(bank: Bundle) -> None:
    cost = flops(bank.network.get_submodule("expert4"), (4, *bank.plan.window), "fvcore-old")
    assert cost == pytest.approx(4.979, abs=1e-3)


def test_its_windows_lie_as_published_and_cover_what_the_decision_network_was_trained_to_see(
    shipped: Bundle, bank: Bundle
) -> None:
    assert bank.plan.window == (1, 128, 128)
    assert bank.plan.spacing_mm == (1.0, 1.25, 1.25)
    assert bank.plan.overlap == pytest.approx(2 / 3)
    assert 128 * 1.25 == shipped.plan.window[1] * shipped.plan.spacing_mm[1] == 160.0


def test_its_decisions_are_those_of_the_shipped_decision_network(shipped: Bundle, bank: Bundle) -> None:
    images = torch.randn(4, 4, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, theirs = (torch.as_tensor(b.network.get_submodule("router")(images)) for b in (bank, shipped))
    assert torch.equal(ours, theirs)


def test_making_it_draws_no_number_that_others_would_draw(shipped: Bundle) -> None:
    before = torch.get_rng_state()
    meddanet_at_published_widths(shipped, slice_mm=1.0, side=16, scale=0.25)
    assert torch.equal(torch.get_rng_state(), before)
