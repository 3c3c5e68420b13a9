"""An option that is refused beside another does nothing there, and one that does nothing is not offered unnoticed.

What a method does is compared: its network, phases and their losses, gradients and updates, its answers, and where it
looks. What it reports of itself beside, e.g. of choices that are not made, is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from voxtrace.errors import MethodError
from voxtrace.method import Batch, Method, OptionInfo, Phase, TrainState
from voxtrace.methods import METHODS, method
from voxtrace.noise import GridNoise
from voxtrace.plan import Plan
from voxtrace.testing.promises import _idle_settings
from voxtrace.training.optimiser import make_optimiser
from voxtrace.training.phase_loop import freeze
from voxtrace.windows import Decision, Window

pytestmark = pytest.mark.numeric

PLAN = Plan.example(labels=4, window=(16, 16, 16), base_width=4).model_copy(update={"iterations": 1000})
UPDATES = (0, 4, 499)  # of a phase; E2ENet exchanges connections after every fifth
SCORES = [
    {"difficulty": d, "difficulty_min": d - 0.07, "place": place, "cases": 10.0} for d in (0.5, 0.85, 0.95)
    for place in (0.1, 0.9)
]  # fmt: skip
Setting = tuple[tuple[str, Any], ...]


def _idle() -> list[Any]:
    return [
        pytest.param(name, info, switches, other, id=f"{name}-{info.name}-{'-'.join(map(str, switches.values()))}")
        for name in sorted(METHODS)
        for info in METHODS[name].options()
        for switches, other in _idle_settings(info)
    ]


@pytest.mark.parametrize(("name", "info", "switches", "other"), _idle())
def test_what_is_refused_does_nothing(name: str, info: OptionInfo, switches: dict[str, Any], other: Any) -> None:
    without = deeds(name, tuple(switches.items()))
    assert deeds(name, (*switches.items(), (info.name, other))) == without


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cdlunet", {"empty_below": 500}),
        ("cdlunet", {"empty_below": 500, "tube_labels": "1"}),
        ("meddanet", {"force": "expert2", "decide": "skip_first"}),
        ("meddanet", {"force": "expert2", "decide": "skip_first", "skip_above": 0.97}),
        ("meddanet", {"bank": "keep", "variation": "turned"}),
        ("meddanet", {"alpha": 0.0, "choice_cost": "own"}),
        ("meddanet", {"alpha": 0.0, "softmax_on_cost": False}),
        ("meddanet", {"alpha": 1, "softmax_on_dice": True}),
        ("e2enet", {"sparsity": 0.0, "grow": "code"}),
        ("e2enet", {"sparsity": 0.0, "update_every": 600}),
        ("e2enet", {"sparsity": 0.0, "gradient": "active"}),
        ("e2enet", {"sparsity": 0, "dynamic": False}),
        ("e2enet", {"sparsity": 0.0, "level0_density": 1.0}),
        ("e2enet", {"sparsity": 0.0, "level0_density": 1.0, "grow": "code"}),
    ],
)
def test_what_does_nothing_is_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(MethodError, match=f"^{name}: .* does nothing, as .*; leave .* out, or change "):
        method(name, **options)


@pytest.mark.parametrize(
    ("name", "switches", "option"),
    [
        ("cdlunet", {}, {"empty_below": 0}),
        ("cdlunet", {"rule": "code"}, {"empty_below": 500}),
        ("meddanet", {"bank": "keep"}, {"variation": "strong"}),
        ("e2enet", {"sparsity": 0.0}, {"level0_density": 0.5}),
        ("e2enet", {"sparsity": 0.0, "level0_density": 0.5}, {"dynamic": False}),
        ("e2enet", {"sparsity": 0.0, "level0_density": 0.5}, {"grow": "code"}),
        ("e2enet", {"sparsity": 0.0, "level0_density": 0.5}, {"gradient": "active"}),
        ("e2enet", {"level0_density": 1.0}, {"dynamic": False}),
        ("meddanet", {"decide": "skip_first"}, {"skip_above": 0.1}),
    ],
)
def test_what_does_something_stays_accepted(name: str, switches: dict[str, Any], option: dict[str, Any]) -> None:
    method(name, **switches, **option)
    assert deeds(name, tuple(switches.items())) != deeds(name, (*switches.items(), *option.items()))


@cache
def deeds(name: str, options: Setting) -> dict[str, Any]:
    """Return what a method with these options does, as values that can be compared."""
    m = METHODS[name](**dict(options))
    plan = m.adapt(PLAN)
    torch.manual_seed(0)
    network = m.build(plan)
    done: dict[str, Any] = {"plan": plan, "built": _digest(network)}
    for phase in m.phases(plan):
        done[phase.name] = (_recipe(phase), *_learned(m, network, phase, _batch(plan)))
    done["answers"] = _answers(m, network.eval(), plan)
    done["windows"] = [_windows(m, plan, shape, n) for shape in ((40, 40, 40), (90, 40, 40)) for n in (0, 1, 4, 4000)]
    return done


def _batch(plan: Plan) -> Batch:
    draw = torch.Generator().manual_seed(1)
    shape = (4, *plan.window)
    labels = torch.randint(0, plan.n_labels, shape, generator=draw)
    labels[0] = 0
    return Batch(torch.randn(4, plan.n_channels, *plan.window, generator=draw) + labels[:, None], labels)


def _digest(network: nn.Module) -> dict[str, float]:
    state = network.state_dict().items()
    return {key: float((v.double() * torch.arange(1, v.numel() + 1).view(v.shape)).sum()) for key, v in state}


def _recipe(phase: Phase) -> Any:
    made = phase.optimiser
    rates = [made.rate * made.schedule(i, phase.iterations) for i in UPDATES if i < phase.iterations]
    drawn = [phase.case_weight(scores, at) for scores in SCORES for at in (0.0, 0.5, 1.0)]
    return (phase.name, phase.iterations, phase.trains, rates, drawn, phase.augmentation, made.kind, phase.batch_size)


def _learned(m: Method, network: nn.Module, phase: Phase, batch: Batch) -> Iterator[Any]:
    """Yield losses and gradients of some updates, and the weights after them."""
    optimizer = make_optimiser(freeze(network, phase.trains), phase.optimiser)
    for iteration in (i for i in UPDATES if i < phase.iterations):
        state = TrainState(phase, iteration, torch.Generator().manual_seed(iteration))
        torch.manual_seed(iteration)
        optimizer.zero_grad()
        terms = m.loss(network, batch, state)
        torch.stack(list(terms.values())).sum().backward()
        yield {key: float(term.detach()) for key, term in terms.items()}
        yield [float(p.grad.double().abs().sum()) for p in network.parameters() if p.grad is not None]
        optimizer.step()
        m.after_update(network, optimizer, TrainState(phase, iteration, torch.Generator().manual_seed(iteration)))
    yield _digest(network)


def _answers(m: Method, network: nn.Module, plan: Plan) -> list[Any]:
    noise = GridNoise(0, [Window(0, 0, 0)] * 4, plan.window, (), "cpu")
    with torch.no_grad():
        steps = list(m.infer(cast(Any, dict(network.named_children())), _batch(plan).images, noise))
    return [(float(s.logits.double().abs().sum()), {k: v.tolist() for k, v in s.facts.items()}) for s in steps]


def _windows(m: Method, plan: Plan, shape: tuple[int, int, int], foreground: int) -> list[Any]:
    """Return the windows that run where each shows so many voxels of label 1, and which of them are kept."""
    windowing = m.windowing(plan)
    labels = np.zeros(plan.window, np.uint8)
    labels.reshape(-1)[-foreground or labels.size :] = 1
    task, rows, answers = windowing.schedule(shape, plan.window, plan.overlap), [], None
    try:
        while True:
            row = next(task) if answers is None else task.send(answers)
            answers = [Decision(window, {}, labels) for window in row]
            rows.append([(tuple(d.window), windowing.keeps(d)) for d in answers])
    except StopIteration:
        return rows
