"""What ``voxtrace methods`` says of a method whose numbers can be checked by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from made import Outcome, Run
from voxtrace.cli.method_costs import window_size
from voxtrace.errors import PlanError, UsageError
from voxtrace.method import Batch, Figure, Method, Noise, Parts, Step, TrainState, option
from voxtrace.methods import METHODS
from voxtrace.plan import Plan


@dataclass(frozen=True)
class Pointwise(Method):
    """One 1×1×1 convolution, and a part without weights; refuses flat windows."""

    key: ClassVar[str] = "pointwise"
    title: ClassVar[str] = "Pointwise"
    source: ClassVar[str] = "nobody, 2026"
    facts: ClassVar[Mapping[str, str]] = {"load": "GFLOP"}
    slice_facts: ClassVar[Mapping[str, str]] = {"surest": "fraction"}
    maps: ClassVar[Mapping[str, str]] = {"attention": "fraction"}

    gain: float = option(1.0, "What logits are multiplied by.", low=0.0, high=9.0, live=True)

    def adapt(self, plan: Plan) -> Plan:
        if plan.window[0] < 2:
            raise PlanError(f"window {plan.window} has 1 voxel along Z; use 2.")
        return plan

    def build(self, plan: Plan) -> nn.Module:
        return nn.Sequential(nn.Identity(), nn.Conv3d(plan.n_channels, plan.n_labels, 1))

    def loss(self, network: nn.Module, batch: Batch, state: TrainState) -> dict[str, Tensor]:
        raise NotImplementedError

    def infer(self, parts: Parts, images: Tensor, rng: Noise) -> Iterator[Step]:
        yield Step(self.gain * parts["1"](images), {"load": torch.zeros(len(images))})

    @classmethod
    def figures(cls) -> tuple[Figure, ...]:
        return (
            Figure("cost of a head", 0.5, "GMAC", 0.01, "Table 1", lambda: 0.51, "thop"),
            Figure("parameters of a head", 3, "parameters", 0, "Table 2", lambda: 4, differs="a bias is counted"),
        )


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "pointwise", Pointwise)


@pytest.fixture
def document(run: Run) -> Any:
    words = ("--size", "10x20x50", "--channels", 3, "--labels", 4, "--json")
    (listed,) = run("methods", "--method", "pointwise", *words).json["methods"]
    return listed


def test_what_steps_report_is_listed_with_units(document: Any) -> None:
    assert document["facts"] == {"load": "GFLOP"}
    assert document["slice_facts"] == {"surest": "fraction"}
    assert document["maps"] == {"attention": "fraction"}


def test_parameters_and_cost_are_those_of_the_window_that_was_asked_for(document: Any) -> None:
    """3 × 4 weights and 4 biases; 3 × 4 multiply-adds at each of 10,000 voxels."""
    assert document["window"] == [10, 20, 50]
    assert document["parameters"] == 16
    assert document["cost"] == {
        "true": {"value": pytest.approx(240e-6), "unit": "GFLOP"},
        "e2e": {"value": pytest.approx(240e-6), "unit": "GFLOP"},
        "thop": {"value": pytest.approx(120e-6), "unit": "GMAC"},
        "fvcore-old": {"value": pytest.approx(120e-6), "unit": "GMAC"},
    }


def test_each_part_has_parameters_and_cost_of_its_own(document: Any) -> None:
    assert list(document["parts"]) == ["0", "1"]
    assert document["parts"]["0"]["parameters"] == 0
    assert document["parts"]["0"]["cost"]["true"]["value"] == 0
    assert document["parts"]["1"] == {"parameters": 16, "cost": document["cost"]}


def test_published_figures_stand_beside_ours_with_the_difference(document: Any) -> None:
    cost, parameters = document["figures"]
    assert cost == {
        "what": "cost of a head",
        "published": 0.5,
        "unit": "GMAC",
        "ours": 0.51,
        "difference": pytest.approx(0.01),
        "tolerance": 0.01,
        "within": True,  # a difference of exactly the tolerance, which rounding makes a little more
        "source": "Table 1",
        "convention": "thop",
        "differs": "",
    }
    assert (parameters["ours"], parameters["difference"], parameters["within"]) == (4, 1, False)


def test_the_table_tells_the_same(run: Run) -> None:
    printed = run("methods", "--method", "pointwise", "--size", "100").out
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "--gain float 0.0 to 9.0 (default 1.0, also in prediction)" in lines
    assert "one window of 100×100×100 voxels, channels: 1, labels: 2" in lines
    assert "all 4 0.004 0.004 0.002 0.002" in lines  # 2 multiply-adds at each of 10⁶ voxels
    assert "cost of a head 0.5 0.51 0.01 GMAC thop ±0.01: yes Table 1" in lines
    assert "parameters of a head 3 4 1 parameters – ±0: NO Table 2" in lines
    assert "parameters of a head: a bias is counted." in lines


def test_figures_can_be_left_out(run: Run) -> None:
    (listed,) = run("methods", "--method", "pointwise", "--no-figures", "--json").json["methods"]
    assert listed["figures"] == []


def test_a_method_that_cannot_take_the_window_says_so_and_the_others_are_counted(run: Run) -> None:
    words = ("methods", "--method", "pointwise", "--method", "unet", "--size", "1x16x16", "--no-figures")
    refused, counted = run(*words, "--json").json["methods"]
    assert refused["refused"] == "window (1, 16, 16) has 1 voxel along Z; use 2."
    assert (refused["parameters"], refused["cost"], refused["parts"]) == (None, {}, {})
    assert counted["refused"] is None
    assert counted["parameters"] > 0
    assert "not counted: window (1, 16, 16) has 1 voxel along Z; use 2." in run(*words).out


def _refused(outcome: Outcome) -> str:
    assert outcome.code == 2
    assert outcome.out == ""
    return outcome.err


@pytest.mark.parametrize(
    "size", ["", "16x16", "16x16x16x16", "0x16x16", "-4", "4097", "a lot", "1e2", "16.5", "9" * 40]
)
def test_a_size_that_is_no_window_is_refused(size: str) -> None:
    with pytest.raises(UsageError, match="expected voxels ZxYxX"):
        window_size(size)


def test_bad_words_are_refused_in_a_sentence(run: Run) -> None:
    assert "size '16x16' is not a window" in _refused(run("methods", "--size", "16x16"))
    assert "'alchemy'" in _refused(run("methods", "--method", "alchemy"))


@pytest.mark.parametrize("words", [("--labels", 0), ("--labels", 1), ("--labels", 1025), ("--channels", 0)])
def test_numbers_out_of_range_are_refused(words: tuple[str, int], run: Run) -> None:
    assert words[0] in _refused(run("methods", *words))


@pytest.mark.parametrize(
    ("text", "expected"), [("32x128x192", (32, 128, 192)), ("64", (64, 64, 64)), (" 1 × 2 X 3 ", (1, 2, 3))]
)
def test_a_size_is_three_numbers_or_one(text: str, expected: tuple[int, int, int]) -> None:
    assert window_size(text) == expected
