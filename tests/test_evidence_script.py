"""The sums behind the tables of docs/evidence.md: verdicts, errors held by places, order of cases."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from voxtrace.batch.paired import paired

SCRIPT = Path(__file__).parents[1] / "scripts" / "evidence.py"


@pytest.fixture(scope="module")
def evidence() -> ModuleType:
    if not SCRIPT.is_file():
        pytest.skip("the scripts do not lie beside the tests, as in an installed package")
    spec = importlib.util.spec_from_file_location("evidence_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a method is read by the names of its module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("differences", "margin", "words"),
    [
        ([0.02, 0.03, 0.02, 0.04, 0.03, 0.02], 0.0, "seen"),
        ([-0.02, -0.03, -0.02, -0.04, -0.03, -0.02], 0.0, "not seen: the opposite"),
        ([-0.02, 0.03, -0.02, 0.02, 0.03, -0.03], 0.0, "not seen: the interval holds both"),
        ([-0.001] * 6, 0.002, "seen"),
        ([-0.001] * 6, 0.0, "not seen: the opposite"),
        ([0.1] * 5, 0.0, "not testable here: 5 cases"),
    ],
)
def test_the_verdict_follows_from_the_interval(
    evidence: ModuleType, differences: list[float], margin: float, words: str
) -> None:
    found = paired([0.8 + d for d in differences], [0.8] * len(differences))
    assert evidence.verdict(found, margin) == words


def test_the_cases_of_a_subject_are_one_value_of_a_test(evidence: ModuleType) -> None:
    """Three hearts of two frames each: six cases, but too few subjects to test."""
    hearts = ["a", "b", "a", "b", "c", "c"]

    found = evidence.told("better", [0.9, 0.8, 0.7, 0.8, 0.6, 0.8], [0.6, 0.7, 0.6, 0.7, 0.6, 0.6], subjects=hearts)

    assert evidence.averaged([1.0, 2.0, 3.0, 4.0, 5.0, 7.0], hearts) == [2.0, 3.0, 6.0]
    assert (found["count"], found["verdict"]) == (3, "not testable here: 3 cases")
    assert found["difference"] == pytest.approx(0.4 / 3)


def test_routing_is_compared_with_the_network_that_is_best_on_every_slice(evidence: ModuleType) -> None:
    dice = {
        "router": [0.7] * 6,
        "expert1": [0.1] * 6,
        "expert2": [0.6] * 6,
        "expert3": [0.705] * 6,
        "expert4": [0.7] * 6,
    }
    found = evidence._within(dice, ", mirrored")
    assert found["claim"] == "routed within 0.01 of the best network (expert3), mirrored"
    assert (found["verdict"], round(found["difference"], 3)) == ("seen", -0.005)


def test_choices_are_judged_on_the_slices_of_the_scan(evidence: ModuleType) -> None:
    """Two planes of the network over four slices: the label in slice 2 lies under the second plane."""
    reference = np.zeros((4, 2, 2), np.uint8)
    reference[2] = 1
    case = SimpleNamespace(labels=SimpleNamespace(data=reference))
    made = {who: np.zeros_like(reference) for who in evidence.SHOWN} | {"expert4": reference}
    boxes = np.array([[-0.5, -0.5, -0.5, 1.5, 1.5, 1.5], [1.5, -0.5, -0.5, 3.5, 1.5, 1.5]])

    chosen, there, table = evidence._slices(case, made, np.array([0, 4]), boxes)

    assert chosen.tolist() == [0, 0, 4, 4]
    assert there.tolist() == [False, False, True, False]
    assert table[2].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_each_other_bundle_is_compared_and_a_missing_u_net_is_said(
    evidence: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    last = [0.8, 0.81, 0.82, 0.83, 0.84, 0.85]
    worse = [one - 0.01 for one in last]
    found = list(evidence.arm_claims({"the U-Net": worse, "static": last}, last))
    assert [one["claim"] for one in found] == ["better than the U-Net", "better than static"]
    assert [one["verdict"] for one in found] == ["seen", "not seen: the interval holds both"]
    assert "not testable here" not in capsys.readouterr().out
    assert list(evidence.arm_claims({}, last)) == []
    assert "give one with --against" in capsys.readouterr().out


def test_places_hold_what_they_hold(evidence: ModuleType) -> None:
    """Of 8 voxels 4 are wrong; a mask of 2, in an organ of 10, has 1 of them."""
    mask, wrong = np.zeros(8, bool), np.array([1, 1, 1, 1, 0, 0, 0, 0], bool)
    mask[[3, 4]] = True
    assert evidence.caught(mask, wrong, 10) == (0.2, 0.5, 0.25)


def test_a_number_that_falls_with_the_dice_finds_the_worst(evidence: ModuleType) -> None:
    dice = np.linspace(0.7, 0.9, 20)
    found: dict[str, Any] = evidence._quality("doubt", (1 - dice).tolist(), dice.tolist())
    assert found["rank_correlation"] == pytest.approx(-1.0)
    assert found["auroc"] == 1.0
    assert found["surer_half"] == pytest.approx(dice[10:].mean())
    assert evidence._quality("few", [0.1] * 3, [0.9] * 3) == {}


def test_changes_of_recycled_features_are_counted_within_a_window(evidence: ModuleType) -> None:
    """norm(r) of a pattern and of its double are alike, up to ε; its negative lies twice its length away."""
    method = evidence.Listening(norm="window")
    pattern = torch.arange(24, dtype=torch.float32).reshape(1, 2, 2, 2, 3) - 11.5
    for _ in range(2):  # two windows
        for r in (torch.zeros_like(pattern), pattern, 2 * pattern, -pattern):
            method.normalised(r)
    assert evidence.Listening.changes[0] == evidence.Listening.changes[1] == pytest.approx([0, 2], abs=1e-4)
    evidence.Listening.changes.clear()
