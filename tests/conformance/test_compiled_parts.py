"""Every registered method gives the same answers with compiled parts as with torch modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import nn

from chance import chance, drawn
from tolerance import Counted, InFloat64, distance
from voxtrace.method import Method, Step
from voxtrace.methods import METHODS, method
from voxtrace.noise import GridNoise
from voxtrace.plan import Plan, Shape
from voxtrace.windows import Window

pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")

from voxtrace.runtime.openvino import open_openvino
from voxtrace.runtime.openvino.convert import Inputs
from voxtrace.runtime.openvino.key import key
from voxtrace.runtime.openvino.structure import flatten
from voxtrace.runtime.winograd import open_winograd

pytestmark = pytest.mark.numeric


NAMES = sorted(METHODS)


@drawn()
def _built(m: Method, window: Shape = (16, 16, 16), base_width: int = 4) -> tuple[Plan, nn.Module]:
    plan = m.adapt(Plan.example(labels=3, window=window, base_width=base_width))
    return plan, m.build(plan).eval()


def _infer(m: Method, parts: Any, plan: Plan, window: Shape, batch: int) -> Iterator[Step]:
    images = torch.randn(batch, plan.n_channels, *window, generator=chance(1))
    noise = GridNoise(7, [Window(0, 0, 8 * b) for b in range(batch)], window, (), "cpu")
    return iter(m.infer(cast(Any, parts), images, noise))


def _steps(m: Method, parts: Any, plan: Plan, window: Shape, batch: int) -> list[Step]:
    with torch.inference_mode():
        return list(_infer(m, parts, plan, window, batch))


def _exact(m: Method, network: nn.Module, plan: Plan, window: Shape, batch: int) -> list[tuple[Step, float]]:
    """Return the steps in float64, each with how far it may be from float32: by all layers that ran up to it."""
    with torch.inference_mode(), InFloat64(), Counted(network) as done:
        return [(s, done.rounding()) for s in _infer(m, dict(network.named_children()), plan, window, batch)]


def _agree(m: Method, compiled: list[Step], eager: list[Step], exact: list[tuple[Step, float]]) -> None:
    """Check that both are as close to float64 as float32 allows, in logits, labels, facts and extras."""
    assert len(compiled) == len(eager) == len(exact)
    for ours, theirs, (truth, allowed) in zip(compiled, eager, exact, strict=True):
        logits = truth.logits.double()
        top = logits.topk(2, dim=1).values
        # Two ways may choose other labels where the best two are closer than both ways are from float64.
        tied = top[:, 0] - top[:, 1] <= 2 * allowed * logits.abs().amax((1, 2, 3, 4), keepdim=True)[:, 0]
        assert tied.double().mean() < 0.1
        for found in (ours, theirs):
            assert found.facts.keys() == truth.facts.keys()
            assert found.extras.keys() == truth.extras.keys()
            assert not ((found.logits.argmax(1) != logits.argmax(1)) & ~tied).any()
            for b in range(len(logits)):
                assert distance(found.logits[b], logits[b]) <= allowed
                for name, scores in truth.extras.items():
                    assert distance(found.extras[name][b], scores[b].double()) <= allowed, name
            for name, values in truth.facts.items():
                # A number of voxels changes with each that is tied.
                voxels = tied.flatten(1).sum(1) if m.facts[name] == "voxel" else 0
                away = (found.facts[name].double() - values.double()).abs()
                assert (away <= allowed * values.double().abs() + voxels).all(), name


@pytest.mark.parametrize("name", NAMES)
def test_compiled_parts_agree_with_torch(name: str) -> None:
    m = method(name)
    plan, network = _built(m)
    compiled = open_openvino(network, "cpu", "float32").parts
    for batch in (2, 1):
        eager = _steps(m, dict(network.named_children()), plan, plan.window, batch)
        exact = _exact(m, network, plan, plan.window, batch)
        _agree(m, _steps(m, compiled, plan, plan.window, batch), eager, exact)


@pytest.mark.parametrize("name", NAMES)
def test_winograd_agrees_with_torch(name: str) -> None:
    m = method(name)
    plan, network = _built(m, base_width=8)
    fast = open_winograd(network, "cpu", "float32").parts
    for batch in (2, 1):
        eager = _steps(m, dict(network.named_children()), plan, plan.window, batch)
        exact = _exact(m, network, plan, plan.window, batch)
        _agree(m, _steps(m, fast, plan, plan.window, batch), eager, exact)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_compiled_parts_agree_whatever_the_window_and_the_live_options(name: str) -> None:
    m = method(name)
    plan, network = _built(m)
    compiled, eager = open_openvino(network, "cpu", "float32").parts, dict(network.named_children())
    z, y, x = plan.window
    for other in _with_every_choice(m):
        for window in ((z, y, x), (2 * z if z > 1 else z, y, 2 * x)):
            try:
                expected = _steps(other, eager, plan, window, 2)
            except RuntimeError:
                assert window != plan.window  # some networks know the size of their window
                continue
            exact = _exact(other, network, plan, window, 2)
            _agree(other, _steps(other, compiled, plan, window, 2), expected, exact)


def _with_every_choice(m: Method) -> list[Method]:
    """Return the method with each choice of its live options."""
    live = (info for info in m.options() if info.live)
    return [m, *(replace(m, **{info.name: choice}) for info in live for choice in info.choices or ())]


@pytest.mark.parametrize("name", NAMES)
def test_every_part_has_a_lasting_name(name: str) -> None:
    _, network = _built(method(name))
    inputs = Inputs(flatten(((), {}), []), ())
    weighted = [child for child in network.children() if any(True for _ in child.parameters())]
    names = [key(child, inputs) for child in weighted]
    assert weighted
    assert None not in names
    assert len(set(names)) == len(names)
