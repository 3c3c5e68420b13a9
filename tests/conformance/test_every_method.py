"""The promises that every registered method keeps (one test each, run over METHODS)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from cases import ball, drain
from chance import chance, drawn
from tolerance import Counted, InFloat64, distance
from voxtrace.bundle import Bundle
from voxtrace.errors import MethodError
from voxtrace.inference.step_check import check_step
from voxtrace.method import Batch, Method, OptionInfo, TrainState
from voxtrace.methods import METHODS, method
from voxtrace.noise import GridNoise
from voxtrace.plan import Plan
from voxtrace.training import train
from voxtrace.training.takeover import take_over
from voxtrace.windows import Decision, Window

pytestmark = [pytest.mark.numeric, pytest.mark.parametrize("name", sorted(METHODS))]

BATCH = 2


def _plan(name: str, **changes: Any) -> Plan:
    plan = Plan.example(labels=2, window=(16, 16, 16), base_width=4)
    return method(name).adapt(plan.model_copy(update={"batch_size": BATCH, **changes}))


@drawn()
def _built(name: str) -> tuple[Method, Plan, nn.Module]:
    m, plan = method(name), _plan(name)
    return m, plan, m.build(plan)


def _steps(m: Method, plan: Plan, network: nn.Module, seed: int = 0) -> list[Any]:
    images = torch.randn(BATCH, plan.n_channels, *plan.window, generator=chance(1))
    noise = GridNoise(seed, [Window(0, 0, 0)] * BATCH, plan.window, (), "cpu")
    with torch.no_grad():
        return list(m.infer(cast(Any, dict(network.eval().named_children())), images, noise))


def _batch(plan: Plan) -> Batch:
    rng = chance(3)
    labels = torch.randint(0, plan.n_labels, (BATCH, *plan.window), generator=rng)
    return Batch(torch.randn(BATCH, plan.n_channels, *plan.window, generator=rng), labels)


def test_adapting_a_plan_twice_is_adapting_it_once(name: str) -> None:
    plan = _plan(name)
    assert method(name).adapt(plan) == plan


def test_no_weight_depends_on_an_option_that_may_change_after_training(name: str) -> None:
    m, plan, network = _built(name)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    for info in (info for info in m.options() if info.live):
        for value in _other_values(info):
            changed = replace(m, **{info.name: value})
            assert changed.adapt(plan) == plan
            assert {key: v.shape for key, v in changed.build(plan).state_dict().items()} == shapes


def _other_values(info: OptionInfo) -> list[Any]:
    if info.choices:
        return list(info.choices)
    if info.kind is bool:
        return [True, False]
    return [value for value in (info.low, info.high) if value is not None]


def test_what_the_weights_tell_is_json(name: str) -> None:
    m, _, network = _built(name)
    told = m.describe(network)
    assert json.loads(json.dumps(told)) == told


def test_a_method_says_whether_it_draws_random_numbers(name: str) -> None:
    m, plan, network = _built(name)
    first, other = (_steps(m, plan, network, seed) for seed in (0, 1))
    same = all(torch.equal(a.logits, b.logits) for a, b in zip(first, other, strict=True))
    assert same is not m.random


def test_values_that_have_names_have_a_cost_each_or_none(name: str) -> None:
    m, plan, network = _built(name)
    costs = m.value_costs(plan)
    assert costs.keys() <= m.value_names.keys()
    assert all(len(of_values) == len(m.value_names[fact]) for fact, of_values in costs.items())
    for step in _steps(m, plan, network):
        for fact, names in m.value_names.items():
            values = (step.facts if fact in m.facts else step.slice_facts)[fact]
            assert ((values >= 0) & (values < len(names))).all()


def test_windows_cover_every_voxel_of_a_small_volume(name: str) -> None:
    m, plan = method(name), _plan(name)
    how = m.windowing(plan)
    blend = how.blend(plan.window)
    assert blend.shape == plan.window
    assert (blend > 0).all()
    shape = tuple(n + n // 2 for n in plan.window)
    seen = np.zeros(shape, bool)
    labels = np.ones(plan.window, np.uint8)  # every window is full of label 1
    rows = how.schedule(cast(Any, shape), plan.window, plan.overlap)
    row, lowest = next(rows, None), 0
    while row is not None:
        assert row[0].z >= lowest
        assert all(row[0].z <= w.z < row[0].z + how.slices for w in row)
        lowest = row[0].z
        for w in row:
            seen[tuple(slice(a, a + n) for a, n in zip(w, plan.window, strict=True))] = True
        try:
            facts = dict.fromkeys(m.facts, 0.0)
            row = rows.send([Decision(w, facts, labels) for w in row])
        except StopIteration:
            break
    assert seen.all()


def test_options_return_from_json(name: str) -> None:
    record = json.loads(json.dumps(method(name).to_json()))
    assert method(record["name"], **record["options"]) == method(name)


def test_every_option_is_described_in_a_sentence(name: str) -> None:
    assert all(info.help.endswith(".") for info in METHODS[name].options())


def test_an_unknown_option_is_refused_by_name(name: str) -> None:
    with pytest.raises(MethodError, match="no option 'depht'"):
        method(name, depht=3)


def test_each_step_is_a_full_answer_with_the_facts_it_declares(name: str) -> None:
    m, plan, network = _built(name)
    steps = _steps(m, plan, network)
    assert len(steps) == m.steps
    for step in steps:
        assert step.logits.shape == (BATCH, plan.n_labels, *plan.window)
        assert torch.isfinite(step.logits).all()
        assert set(step.facts) == set(m.facts)
        assert set(step.extras) == set(m.extras)
        assert all(scores.shape == step.logits.shape for scores in step.extras.values())
        assert all(values.shape == (BATCH,) for values in step.facts.values())
        check_step(m, 0, step)


def test_the_same_seed_gives_the_same_answer(name: str) -> None:
    m, plan, network = _built(name)
    first, second = _steps(m, plan, network, seed=5), _steps(m, plan, network, seed=5)
    assert all(torch.equal(a.logits, b.logits) for a, b in zip(first, second, strict=True))


def test_windows_in_a_batch_do_not_see_each_other(name: str) -> None:
    m, plan, network = _built(name)
    images, parts = _batch(plan).images, cast(Any, dict(network.eval().named_children()))

    def steps(n: int) -> Iterator[Any]:
        noise = GridNoise(0, [Window(0, 0, 0)] * n, plan.window, (), "cpu")
        return iter(m.infer(parts, images[:n], noise))

    with torch.no_grad():
        together, alone = list(steps(BATCH)), list(steps(1))
        with InFloat64(), Counted(network) as done:
            exact = [(step.logits.double(), done.rounding()) for step in steps(1)]
    for both, one, (logits, allowed) in zip(together, alone, exact, strict=True):
        assert distance(both.logits[:1], logits) <= allowed
        assert distance(one.logits, logits) <= allowed


@drawn()
def test_weights_follow_channels_and_labels_that_change_places(name: str) -> None:
    """Labels only where no noise is drawn for them: it would stay where it is."""
    m, first = method(name), Plan.example(channels=2, labels=3, window=(16, 16, 16), base_width=4)
    swapped, rows = {0: "background", 1: "label 2", 2: "label 1"}, [0, 1, 2] if m.random else [0, 2, 1]
    others = first.model_copy(
        update={"channels": first.channels[::-1], "labels": first.labels if m.random else swapped}
    )
    old, new = m.adapt(first), m.adapt(others)
    start = Bundle(m, old, m.build(old).eval())
    network = m.build(new)
    assert take_over(m, new, network, start).complete
    images = torch.randn(BATCH, 2, *old.window, generator=chance(1))
    noise = GridNoise(0, [Window(0, 0, 0)] * BATCH, old.window, (), "cpu")
    with torch.no_grad(), InFloat64():
        before = list(m.infer(cast(Any, dict(start.network.named_children())), images, noise))
        after = list(m.infer(cast(Any, dict(network.eval().named_children())), images.flip(1), noise))
    for was, now in zip(before, after, strict=True):
        torch.testing.assert_close(now.logits, was.logits[:, rows], rtol=1e-6, atol=1e-6)


def test_inference_can_be_abandoned_midway(name: str) -> None:
    m, plan, network = _built(name)
    noise = GridNoise(0, [Window(0, 0, 0)] * BATCH, plan.window, (), "cpu")
    task = m.infer(cast(Any, dict(network.eval().named_children())), _batch(plan).images, noise)
    with torch.no_grad():
        next(task)
    task.close()  # type: ignore[attr-defined]


def test_each_phase_gives_gradients_to_what_it_names_and_to_nothing_else(name: str) -> None:
    from voxtrace.training.phase_loop import freeze

    m, plan, network = _built(name)
    for phase in m.phases(plan):
        trained = freeze(network, phase.trains)
        terms = m.loss(network, _batch(plan), TrainState(phase, 0, chance()))
        assert all(term.ndim == 0 for term in terms.values())
        torch.stack(list(terms.values())).sum().backward()
        assert trained
        for parameter_name, parameter in network.named_parameters():
            assert (parameter.grad is not None) <= parameter_name.startswith(phase.trains)
        assert any(p.grad is not None and p.grad.any() for p in trained)


def test_it_learns_a_ball(name: str, tmp_path: Path) -> None:
    from voxtrace.inference import predict
    from voxtrace.metrics import dice

    plan = _plan(name, iterations=160, mirror_axes=())
    task = train(
        method(name), plan, [ball(s) for s in range(8)], out=tmp_path / "ball", precision="float32", device="cpu"
    )
    bundle = drain(task)
    unseen = ball(99)
    assert dice(predict(bundle, unseen.volume, precision="float32").labels, unseen.labels, 1) > 0.8
