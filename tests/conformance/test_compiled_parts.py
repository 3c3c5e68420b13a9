"""Every registered method gives the same answers with compiled parts as with torch modules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import nn

from chance import drawn
from tolerance import InFloat64
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
CLOSE = 1000 * torch.finfo(torch.float32).eps  # of a probability: a thousand roundings, one after another
TIED = CLOSE / 10  # two labels this close in probability may change places


@drawn()
def _built(m: Method, window: Shape = (16, 16, 16), base_width: int = 4) -> tuple[Plan, nn.Module]:
    plan = m.adapt(Plan.example(labels=3, window=window, base_width=base_width))
    return plan, m.build(plan).eval()


def _steps(m: Method, parts: Any, plan: Plan, window: Shape, batch: int) -> list[Step]:
    images = torch.randn(batch, plan.n_channels, *window, generator=torch.Generator().manual_seed(1))
    noise = GridNoise(7, [Window(0, 0, 8 * b) for b in range(batch)], window, (), "cpu")
    with torch.inference_mode():
        return list(m.infer(cast(Any, parts), images, noise))


def _exact(m: Method, network: nn.Module, plan: Plan, window: Shape, batch: int) -> list[Step]:
    """Return the steps in float64."""
    with InFloat64():
        return _steps(m, dict(network.named_children()), plan, window, batch)


def _agree(compiled: list[Step], eager: list[Step], exact: list[Step]) -> None:
    """Check that both are close to float64, and to each other in labels, facts and extras."""
    assert len(compiled) == len(eager) == len(exact)
    for ours, theirs, truth in zip(compiled, eager, exact, strict=True):
        probabilities = theirs.logits.softmax(1)
        for found in (ours, theirs):
            assert (found.logits.double().softmax(1) - truth.logits.double().softmax(1)).abs().max() <= CLOSE
        best = probabilities.topk(2, dim=1).values
        tied = best[:, 0] - best[:, 1] < TIED
        differ = ours.logits.argmax(1) != theirs.logits.argmax(1)
        assert tied.float().mean() < 0.01
        assert (differ & ~tied).float().mean() <= 1e-4
        assert ours.facts.keys() == theirs.facts.keys()
        for name, values in ours.facts.items():
            assert torch.allclose(values, theirs.facts[name], rtol=1e-3), name
        for name, scores in ours.extras.items():
            assert torch.allclose(scores, theirs.extras[name], atol=10 * CLOSE), name


@pytest.mark.parametrize("name", NAMES)
def test_compiled_parts_agree_with_torch(name: str) -> None:
    m = method(name)
    plan, network = _built(m)
    compiled = open_openvino(network, "cpu", "float32").parts
    for batch in (2, 1):
        eager = _steps(m, dict(network.named_children()), plan, plan.window, batch)
        exact = _exact(m, network, plan, plan.window, batch)
        _agree(_steps(m, compiled, plan, plan.window, batch), eager, exact)


@pytest.mark.parametrize("name", NAMES)
def test_winograd_agrees_with_torch(name: str) -> None:
    m = method(name)
    plan, network = _built(m, base_width=8)
    fast = open_winograd(network, "cpu", "float32").parts
    for batch in (2, 1):
        eager = _steps(m, dict(network.named_children()), plan, plan.window, batch)
        exact = _exact(m, network, plan, plan.window, batch)
        _agree(_steps(m, fast, plan, plan.window, batch), eager, exact)


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
            _agree(_steps(other, compiled, plan, window, 2), expected, exact)


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
