"""Optimisers as phases ask for them."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import nn

from voxtrace.errors import MethodError
from voxtrace.method import Optimiser, poly
from voxtrace.training.optimiser import make_optimiser


def weight() -> nn.Parameter:
    return nn.Parameter(torch.ones(1))


def test_the_default_is_nnu_nets_sgd() -> None:
    made = make_optimiser([weight()], Optimiser())
    group = made.param_groups[0]
    assert isinstance(made, torch.optim.SGD)
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (0.01, 0.99, True, 3e-5)


def test_sgd_without_momentum_is_not_nesterovs() -> None:
    assert not make_optimiser([weight()], Optimiser(momentum=0.0)).param_groups[0]["nesterov"]


def test_adam_decays_through_the_gradient_and_adamw_apart_from_it() -> None:
    """With gradient 0, Adam's L2 is a gradient like any other: one step of lr; AdamW shrinks by lr · decay."""
    after = {}
    for kind in ("adam", "adamw"):
        w = weight()
        made = make_optimiser([w], Optimiser(kind=kind, rate=0.1, weight_decay=0.5))  # type: ignore[arg-type]
        w.grad = torch.zeros(1)
        made.step()
        after[kind] = w.item()
    assert after["adam"] == pytest.approx(1 - 0.1, abs=1e-5)
    assert after["adamw"] == pytest.approx(1 - 0.1 * 0.5, abs=1e-5)


def test_amsgrad_and_betas_are_passed_on() -> None:
    group = make_optimiser([weight()], Optimiser(kind="adam", amsgrad=True, betas=(0.8, 0.9))).param_groups[0]
    assert group["amsgrad"]
    assert group["betas"] == (0.8, 0.9)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(MethodError, match="use sgd, adam, adamw"):
        make_optimiser([weight()], Optimiser(kind=cast(Any, "rmsprop")))


def test_poly_begins_at_one_and_falls_to_the_published_shares() -> None:
    assert [round(poly(e, 1000), 7) for e in (0, 250, 500, 750)] == [1.0, 0.7718895, 0.5358867, 0.2871746]
