"""What adaptive windows reach of the labels that were trained on, and what follows for the bundle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import fakes
from cases import ball, drain, small_plan
from voxtrace.bundle import load
from voxtrace.inference import predict
from voxtrace.methods import method
from voxtrace.plan import Normalisation, Plan
from voxtrace.training import TrainRequest, open_dataset, set_up, train
from voxtrace.training import coverage as module
from voxtrace.training.add_case import NewCase, add_case
from voxtrace.training.begun import begun_run
from voxtrace.training.coverage import covering, label_coverage
from voxtrace.training.preprocessed import preprocess_cases
from voxtrace.volume import Case, Geometry, LabelMap, Volume
from voxtrace.windows import Adaptive, Windowing

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
    chosen, followed = covering(adaptive, found)
    assert chosen.to_json()["options"]["windows"] == "regular"
    assert followed == {"windows": "regular"}


def test_windows_that_reach_everything_stay(tmp_path: Path) -> None:
    plan, adaptive = _plan(), method("cdlunet")
    (prepared,) = preprocess_cases([ball(0)], plan, tmp_path, 0)
    found = label_coverage(adaptive, plan, [prepared])
    assert found == {"labels": {"label 1": 1.0}, "least": 1.0, "cases": 1}
    assert covering(adaptive, found) == (adaptive, {})


def test_windows_that_miss_few_voxels_miss_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, adaptive = _plan(), method("cdlunet")
    (prepared,) = preprocess_cases([ball(0)], plan, tmp_path, 0)
    monkeypatch.setattr(module, "coverage", lambda *_: {1: 0.99996})
    chosen, _ = covering(adaptive, label_coverage(adaptive, plan, [prepared]))
    assert chosen.to_json()["options"]["windows"] == "regular"


HU = Normalisation(scheme="ct", lower=-1000.0, upper=1000.0, mean=0.0, std=1000.0)  # air −1, water 0, bone 1


@dataclass(frozen=True)
class _AdaptiveNearest(fakes.Nearest):
    """The label nearest to the intensity, in adaptive windows."""

    key: ClassVar[str] = "adaptive_nearest"

    def windowing(self, plan: Plan) -> Windowing:
        schedule = Adaptive()
        return Windowing(schedule, keeps=schedule.keeps)


def _beside_the_middle(spacing: float = 1.0) -> Case:
    """A CT whose patient lies left of the middle; a bone reaches the middle of the plane, but not that of the body."""
    geometry = Geometry.from_spacing((8, 128, 128), (1.0, spacing, spacing))
    data = np.full((1, 8, 128, 128), -1000, np.int16)
    data[0, :, 20:108, 2:74] = 40
    bone = np.zeros(geometry.shape, np.uint8)
    bone[:, 60:68, 60:72] = 1
    data[0][bone > 0] = 1000
    return Case("beside", Volume(data, geometry, modality="CT"), LabelMap(bone, geometry))


@pytest.mark.parametrize(
    ("spacing", "width", "expected"), [(1.0, 32, 0.0), (1.0, 48, 1.0), (0.75, 32, 1.0), (0.75, 16, 0.0)]
)
def test_coverage_is_what_a_prediction_reaches_of_a_ct(
    tmp_path: Path, spacing: float, width: int, expected: float
) -> None:
    """Prepared for one window and used for any; at 0.75 mm the plane is resampled to 96 voxels."""
    case = _beside_the_middle(spacing)
    bundle = fakes.bundle(_AdaptiveNearest(), window=(8, width, width), normalisation=(HU,))
    (prepared,) = preprocess_cases([case], fakes.plan(normalisation=(HU,)), tmp_path, 0)
    found = label_coverage(bundle.method, bundle.plan, [prepared])
    exact: dict[str, Any] = {"device": "cpu", "precision": "float32", "runtime": "torch"}
    answer, every = (predict(bundle, case.volume, region=region, **exact).labels.data for region in ("body", "all"))
    assert (every[case.labels.data > 0] > 0).mean() > 0.8  # by windows around the middle of the plane
    reached = (answer[case.labels.data > 0] > 0).mean()
    assert found is not None
    assert found["least"] == expected
    assert reached == pytest.approx(expected, abs=0.2 if spacing < 1 else 0.0)  # resampled labels have other borders


def test_labels_in_air_that_no_window_covers_are_not_reached(tmp_path: Path) -> None:
    case = _beside_the_middle()
    data = case.labels.data.copy()
    data[:, 60:68, 30:42], data[:, 60:68, 120:] = 1, 1  # the middle of the body, and far from it
    plan, adaptive = fakes.plan(window=(8, 32, 32), normalisation=(HU,)), _AdaptiveNearest()
    (prepared,) = preprocess_cases([replace(case, labels=replace(case.labels, data=data))], plan, tmp_path, 0)
    found = label_coverage(adaptive, plan, [prepared])
    assert found is not None
    assert found["least"] == pytest.approx((12 + 12) / (12 + 12 + 8))


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
    assert bundle.card["coverage"]["chosen"] == {"windows": "regular"}
    told = (tmp_path / "light" / "card.md").read_text("utf-8")
    assert "so that windows=regular was chosen; training was asked for windows=adaptive.\n" in told
    again = drain(train(method("cdlunet"), plan, cases, out=tmp_path / "light", resume=True))
    assert again.digest == bundle.digest


def test_labels_of_a_case_that_no_phase_learns_do_not_count(tmp_path: Path) -> None:
    """The even lattice would be chosen for the corner's sake, whose labels the curriculum drops as wrong."""
    cases = [replace(ball(0), scores={"difficulty": 0.95}), replace(_corner_case(), scores={"difficulty": 0.5})]
    made = drain(train(method("cdlunet"), _plan().model_copy(update={"iterations": 2}), cases, out=tmp_path / "light"))
    assert made.card["coverage"] == {"labels": {"label 1": 1.0}, "least": 1.0, "cases": 1}
    assert made.method == method("cdlunet")
    assert made.card["provenance"]["cases_left_out"] == 1
    told = (tmp_path / "light" / "card.md").read_text("utf-8")
    assert "of 1 training case (" in told
    assert "- label 1: 100.00 %" in told


def test_a_finished_run_and_a_fine_tuned_one_begin_with_the_windows_that_were_asked_for(tmp_path: Path) -> None:
    case, folder, out = _corner_case(), tmp_path / "corners", tmp_path / "light"
    labels = LabelMap(case.labels.data, case.labels.geometry, {1: "corner"})
    add_case(folder, NewCase("corner", (case.volume,), labels, channel_names=("MR",)))
    dataset = open_dataset(folder)
    plan = _plan().model_copy(update={"iterations": 2, "channels": dataset.channels, "labels": dataset.labels})
    finished = drain(train(method("cdlunet"), plan, dataset.cases(["corner"]), out=out, device="cpu"))
    assert finished.method.to_json()["options"]["windows"] == "regular"
    begun = begun_run(out, dataset)
    assert begun is not None
    assert begun.method == method("cdlunet")
    cases = dataset.cases(["corner"])
    again = drain(train(begun.method, begun.plan, cases, out=out, device="cpu", resume=True))
    assert again.digest == finished.digest
    tuned = drain(set_up(TrainRequest(folder, initial=out, device="cpu"), lambda: False))
    assert tuned.method.to_json()["options"]["windows"] == "adaptive"
