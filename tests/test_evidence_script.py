"""The sums behind the tables of docs/evidence.md: verdicts, errors held by places, order of cases."""

from __future__ import annotations

import importlib.util
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from made import bundle_folder, volume
from voxtrace.batch.paired import paired
from voxtrace.bundle import load
from voxtrace.inference import predict
from voxtrace.inference.second_choice import MARGIN

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
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))  # for the modules beside it
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def measures(evidence: ModuleType) -> ModuleType:
    return sys.modules["stepping_measures"]


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


def _look(measures: ModuleType, answer: Any, wrong: Any, dice: float = 0.5, **orders: Any) -> Any:
    return measures.Look(np.asarray(answer), np.asarray(wrong, bool), orders, {}, {}, dice, {})


def test_places_hold_what_they_hold(measures: ModuleType) -> None:
    """Of 8 voxels 4 are wrong; a mask of 2, in an organ of 5, has 1 of them."""
    mask = np.zeros(8, bool)
    mask[[3, 4]] = True
    one = _look(measures, [1, 1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0])
    assert measures.caught_by(mask, one) == (0.4, 0.5, 0.25)


def test_an_order_is_cut_at_eleven_percent_of_the_organ(measures: ModuleType) -> None:
    """An organ of 100 voxels: 11 are looked at, of which the order puts 8 of the 20 errors first."""
    answer = np.zeros((1, 20, 20), np.uint8)
    answer[0, 5:15, 5:15] = 1
    wrong, order = np.zeros(answer.shape, bool), np.zeros(answer.shape)
    wrong[0, 7:9, 5:15] = True
    order[0, 7, 5:13] = 2.0
    order[0, 12, 7:10] = 1.0
    one = _look(measures, answer, wrong)
    assert measures.caught(one, order) == pytest.approx((8 / 20, 8 / 11))
    assert measures.best(one) == pytest.approx((11 / 20, 0.2))
    none = _look(measures, answer, np.zeros(answer.shape))
    assert np.isnan(measures.caught(none, order)[0])


def test_equal_voxels_are_taken_from_the_surface(measures: ModuleType) -> None:
    surface = np.array([0, 1, 0, 1, 0, 0], bool)
    assert set(measures.first_of(np.zeros(6), surface, 2)) == {1, 3}
    assert measures.first_of(np.array([0.0, 0, 0, 0, 0, 9]), surface, 3).tolist()[0] == 5


def test_the_surface_lies_on_both_sides_of_a_border(measures: ModuleType) -> None:
    labels = np.array([[[0, 0, 1, 1, 1, 2, 2, 2]]])
    assert measures.border(labels).astype(int).tolist() == [[[0, 1, 1, 0, 1, 1, 0, 0]]]


def test_a_number_that_falls_with_the_dice_finds_the_worst(measures: ModuleType) -> None:
    dice = np.linspace(0.7, 0.9, 20)
    found = measures.ordered(1 - dice, dice)
    assert found["rank_correlation"][0] == pytest.approx(-1.0)
    assert found["auroc"] == (1.0, 1.0, 1.0)
    assert found["kept"] == pytest.approx([dice.mean(), dice[2:].mean(), dice[5:].mean(), dice[10:].mean()])
    assert found["area"] == measures.area(-dice, dice) < np.mean(1 - dice) < measures.area(dice, dice)
    assert measures.auroc(np.zeros(4), np.array([1, 0, 0, 0], bool)) == 0.5


def test_the_area_is_the_mean_loss_of_every_number_of_surest_cases(measures: ModuleType) -> None:
    """Surest first 0.1, 0.3 and 0.5 lost: means of 0.1, 0.2 and 0.3."""
    assert measures.area(np.array([3.0, 1.0, 2.0]), np.array([0.5, 0.9, 0.7])) == pytest.approx(0.2)


def test_few_cases_are_not_ordered(measures: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert measures.case_table([_look(measures, [1], [0])] * 4) == {}
    assert "not testable here, 4 cases" in capsys.readouterr().out


def test_a_case_far_out_is_set_apart_by_the_others(measures: ModuleType) -> None:
    """Of 20 cases from 1 to 20 the one of 100; its Dice is less than the mean."""
    looks = [_look(measures, [1], [0], 0.9) for _ in range(20)]
    for value, one in enumerate(looks, start=1):
        one.features = {"volume_ml": float(value)}
    looks[-1].features, looks[-1].dice = {"volume_ml": 100.0}, 0.5
    assert measures.set_apart(looks) == {"volume_ml": [0.5]}


def test_probabilities_expect_a_dice(measures: ModuleType) -> None:
    """Two voxels with the label, of which it is probable by 1 and 0.5, and 0.5 elsewhere: 2 · 1.5 / (2 + 2)."""
    answer, p = np.array([[[1, 1, 0]]]), np.array([[[[0.0, 0.5, 0.5]], [[1.0, 0.5, 0.5]]]])
    assert measures.expected(answer, p) == pytest.approx(0.75)
    assert measures.agreement(answer, [answer, np.array([[[1, 0, 0]]])]) == pytest.approx((1 + 2 / 3) / 2)


def test_margins_are_those_of_the_places_in_doubt(measures: ModuleType, tmp_path: Path) -> None:
    """What is kept beside the second choice does not change it, and is at most the margin where there is doubt."""
    model, scan = load(bundle_folder(tmp_path / "model")), volume()
    plain = predict(model, scan, keep="labels").trace
    case = Namespace(volume=scan)
    trace, margin, probabilities = measures.run(model, case)
    answer, second = np.asarray(trace.labels[-1]), np.asarray(trace.second[:])
    assert np.array_equal(second, plain.second[:])
    assert np.array_equal(answer, plain.labels[-1])
    assert np.array_equal(probabilities.argmax(1), answer)
    assert margin[second != answer].max() <= MARGIN + 1e-5
    # between two planes of the network's grid the answer may be the second choice of the nearer one
    assert np.mean((margin <= MARGIN) == (second != answer)) > 0.75


def test_changes_of_recycled_features_are_counted_within_a_window(evidence: ModuleType) -> None:
    """norm(r) of a pattern and of its double are alike, up to ε; its negative lies twice its length away."""
    method = evidence.Listening(norm="window")
    pattern = torch.arange(24, dtype=torch.float32).reshape(1, 2, 2, 2, 3) - 11.5
    for _ in range(2):  # two windows
        for r in (torch.zeros_like(pattern), pattern, 2 * pattern, -pattern):
            method.normalised(r)
    assert evidence.Listening.changes[0] == evidence.Listening.changes[1] == pytest.approx([0, 2], abs=1e-4)
    evidence.Listening.changes.clear()
