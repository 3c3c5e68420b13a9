"""What adaptive windows reach of the labels that were trained on, and what follows for the bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cases import ball, drain, small_plan
from voxtrace.bundle import load
from voxtrace.methods import method
from voxtrace.plan import Plan
from voxtrace.training import train
from voxtrace.training.coverage import covering, label_coverage
from voxtrace.training.preprocessed import preprocess_cases
from voxtrace.volume import Case, LabelMap

pytestmark = pytest.mark.numeric


def _corner_case() -> Case:
    """A ball's scan with its label drawn in one corner alone, where every centre window is empty."""
    case = ball(0, 32)
    data = np.zeros_like(case.labels.data)
    data[:2, :2, :2] = 1
    return Case("corner", case.volume, LabelMap(data, case.labels.geometry, case.labels.names))


def _plan() -> Plan:
    plan = small_plan(window=(8, 16, 16))
    return method("cdlunet").adapt(plan)


def test_windows_that_miss_a_label_give_way_to_the_even_lattice(tmp_path: Path) -> None:
    plan, adaptive = _plan(), method("cdlunet")
    (prepared,) = preprocess_cases([_corner_case()], plan, tmp_path, 0)
    found = label_coverage(adaptive, plan, [prepared])
    assert found is not None
    assert found["least"] < 1
    chosen, asked = covering(adaptive, found)
    assert chosen.to_json()["options"]["windows"] == "regular"
    assert asked == {"windows": "adaptive"}


def test_windows_that_reach_everything_stay(tmp_path: Path) -> None:
    plan, adaptive = _plan(), method("cdlunet")
    (prepared,) = preprocess_cases([ball(0)], plan, tmp_path, 0)
    found = label_coverage(adaptive, plan, [prepared])
    assert found == {"labels": {"label 1": 1.0}, "least": 1.0, "cases": 1}
    assert covering(adaptive, found) == (adaptive, {})


def test_an_even_lattice_is_not_measured(tmp_path: Path) -> None:
    plan = _plan()
    (prepared,) = preprocess_cases([ball(0)], plan, tmp_path, 0)
    assert label_coverage(method("cdlunet", windows="regular"), plan, [prepared]) is None
    assert label_coverage(method("unet"), plan, [prepared]) is None


def test_the_bundle_says_what_was_chosen_and_is_resumed_as_it_was_asked_for(tmp_path: Path) -> None:
    cases, plan = [_corner_case()], _plan().model_copy(update={"iterations": 2})
    drain(train(method("cdlunet"), plan, cases, out=tmp_path / "light"))
    bundle = load(tmp_path / "light")
    assert bundle.method.to_json()["options"]["windows"] == "regular"
    assert bundle.card["provenance"]["chosen_after_training"] == {"windows": "adaptive"}
    assert bundle.card["coverage"]["least"] < 1
    again = drain(train(method("cdlunet"), plan, cases, out=tmp_path / "light", resume=True))
    assert again.digest == bundle.digest
