"""The promises that every registered method keeps, and that a method which breaks one is told so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from voxtrace.method import Batch, Method, Noise, Parts, Step, TrainState, option
from voxtrace.methods import METHODS
from voxtrace.methods.unet import UNet
from voxtrace.plan import Plan
from voxtrace.testing import PROMISES
from voxtrace.testing.__main__ import main

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("name", sorted(METHODS))
@pytest.mark.parametrize("promise", PROMISES)
def test_it_keeps_the_promise(promise: str, name: str) -> None:
    PROMISES[promise](name)


@dataclass(frozen=True)
class Faulty(UNet):
    """A method to be broken in one way after another."""

    key: ClassVar[str] = "faulty"


class Greedy(Faulty):
    def adapt(self, plan: Plan) -> Plan:
        return plan.model_copy(update={"iterations": plan.iterations + 1})


@dataclass(frozen=True)
class Fickle(Faulty):
    wide: bool = option(False, "Whether it is wide.", live=True)

    def build(self, plan: Plan) -> nn.Module:
        network = super().build(plan)
        network.add_module("more", nn.Conv3d(1, 1, 3 if self.wide else 1))
        return network


@dataclass(frozen=True)
class Terse(Faulty):
    speed: int = option(1, "speed", live=True)


class Leaving(Faulty):
    def describe(self, network: nn.Module) -> dict[str, Any]:
        raise SystemExit


class Talkative(Faulty):
    def describe(self, network: nn.Module) -> dict[str, Any]:
        return {"ways": (1, 2)}


class Chancy(Faulty):
    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        for step in super().infer(parts, images, rng):
            yield replace(step, logits=step.logits + torch.randn_like(step.logits))


class Sociable(Faulty):
    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        return super().infer(parts, images - images.mean(0), rng)


class Endless(Faulty):
    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        yield from super().infer(parts, images, rng)
        yield from super().infer(parts, images, rng)


class Undeclared(Faulty):
    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        for step in super().infer(parts, images, rng):
            yield replace(step, facts={**step.facts, "mood": torch.zeros(len(images))})


class Listed(Faulty):
    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        return iter([Step(torch.zeros(len(images), 2, 16, 16, 16))])


class Idle(Faulty):
    def loss(self, network: nn.Module, batch: Batch, state: TrainState) -> dict[str, Tensor]:
        return {"nothing": sum((0.0 * p.sum() for p in network.parameters()), torch.zeros(()))}


@pytest.mark.parametrize(
    ("kind", "promise", "told"),
    [
        (Greedy, "adapting_a_plan_twice_is_adapting_it_once", "adapted already"),
        (Fickle, "no_weight_depends_on_an_option_that_may_change_after_training", "wide is live"),
        (Terse, "every_option_is_described_in_a_sentence", "speed is described by 'speed'"),
        (Talkative, "what_the_weights_tell_is_json", "not the same after JSON"),
        (Chancy, "the_same_seed_gives_the_same_answer", "draw from rng alone"),
        (Chancy, "a_method_says_whether_it_draws_random_numbers", "two answers"),
        (Sociable, "windows_in_a_batch_do_not_see_each_other", "away from float64"),
        (Endless, "each_step_is_a_full_answer_with_the_facts_it_declares", "infer yields 2 steps; expected 1"),
        (Undeclared, "each_step_is_a_full_answer_with_the_facts_it_declares", "mood"),
        (Listed, "inference_can_be_abandoned_midway", "no generator"),
        (Idle, "each_phase_gives_gradients_to_what_it_names_and_to_nothing_else", "gives no gradient"),
    ],
)
def test_a_broken_promise_is_told(kind: type[Method], promise: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "faulty", kind)
    with pytest.raises(AssertionError, match=told):
        PROMISES[promise]("faulty")


def test_the_command_says_which_promises_are_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for promise in ("it_learns_a_ball", "weights_follow_channels_and_labels_that_change_places"):
        monkeypatch.setitem(PROMISES, promise, lambda name: None)
    monkeypatch.setitem(METHODS, "faulty", Terse)
    assert main(["faulty"]) == 1
    said = capsys.readouterr().out
    assert "BROKEN  every_option_is_described_in_a_sentence: AssertionError: speed is described by" in said
    assert said.count("kept    ") == len(PROMISES) - 1
    assert main(["unet"]) == 0
    assert main(["uent"]) == 2
    assert "there is no method 'uent'" in capsys.readouterr().out


def test_a_method_that_ends_the_program_breaks_a_promise_and_the_others_are_still_held(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = "every_option_is_described_in_a_sentence", "options_return_from_json"
    leaves = "what_the_weights_tell_is_json"
    monkeypatch.setattr(
        "voxtrace.testing.__main__.PROMISES", {name: PROMISES[name] for name in (before, leaves, after)}
    )
    monkeypatch.setitem(METHODS, "faulty", Leaving)
    assert main(["faulty"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"kept    {before}",
        f"BROKEN  {leaves}: SystemExit",
        f"kept    {after}",
        "2 of 3 promises kept",
    ]
