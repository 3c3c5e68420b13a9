"""What fine-tuning changed: corrections that the new model makes itself, and old cases that got worse."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cases import ball_dataset, drain
from voxtrace.bundle import Bundle
from voxtrace.errors import Cancelled, DatasetError, PlanError
from voxtrace.io import read_labels
from voxtrace.methods import method
from voxtrace.plan import Plan
from voxtrace.plan.regions import LabelRegion
from voxtrace.training import receipt
from voxtrace.training.dataset import Dataset, open_dataset
from voxtrace.training.identity import identify
from voxtrace.training.receipt import FineTuningChange, OldCase, changed_by_fine_tuning, changed_on_old_cases
from voxtrace.volume import LabelMap, Volume

Answer = Callable[[Volume], Any]


def a_bundle(labels: dict[int, str], held_back: tuple[str, ...] = (), channels: tuple[str, ...] = ("MR",)) -> Bundle:
    """A bundle whose answers a test states: its name is that of its labels."""
    plan = Plan.example(labels=len(labels), window=(16, 16, 16), base_width=4, channels=len(channels))
    plan = plan.model_copy(update={"labels": labels, "channels": channels})
    made = method("unet")
    card = {"name": "/".join(labels.values()), "provenance": {"held_back": [{"name": name} for name in held_back]}}
    return Bundle(made, plan, made.build(plan), card)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Four balls, of which ball_000 was corrected."""
    folder = ball_dataset(tmp_path / "balls", 4)
    (folder / "provenance").mkdir()
    (folder / "provenance" / "ball_000.json").write_text(json.dumps({"edits": []}))
    return open_dataset(folder)


def answers(monkeypatch: pytest.MonkeyPatch, **given: Answer) -> None:
    """Let models answer what a test states, by the name of their last label."""

    def segment(bundle: Bundle, volume: Volume, options: Any, cancel: Any) -> Generator[None, None, Any]:
        yield None
        data = given[bundle.name.split("/")[-1]](volume)
        return SimpleNamespace(labels=LabelMap(np.asarray(data, np.uint8), volume.geometry))

    monkeypatch.setattr(receipt, "segment", segment)


def test_corrections_are_counted_by_hand(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    true = np.asarray(read_labels(dataset.files[0].labels).data)
    old, new = true.copy(), true.copy()
    inside, outside = np.argwhere(true == 1), np.argwhere(true == 0)
    for z, y, x in inside[:7]:
        old[z, y, x] = 0  # seven voxels that the old model misses
    for z, y, x in inside[:2]:
        new[z, y, x] = 0  # the new one still misses two of them
    for z, y, x in outside[:3]:
        new[z, y, x] = 1  # and three that were right are wrong now
    answers(monkeypatch, organ=lambda volume: old, ball=lambda volume: new)
    before = a_bundle({0: "background", 1: "organ"})
    before.plan.labels[1] = "ball"  # known by the new model, too
    found = drain(changed_by_fine_tuning(before, a_bundle({0: "background", 1: "ball"}), dataset))
    (one,) = found.corrections
    assert (one.name, one.held_back, one.corrected, one.learned, one.spoilt) == ("ball_000", False, 7, 5, 3)
    assert (found.corrected, found.learned, found.spoilt, found.old) == (7, 5, 3, ())


def test_a_label_that_the_old_model_did_not_know_is_a_correction(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = np.asarray(read_labels(dataset.files[0].labels).data)
    answers(monkeypatch, spleen=lambda volume: true, ball=lambda volume: true)  # value 1 of the old one is a spleen
    before, after = a_bundle({0: "background", 1: "spleen"}), a_bundle({0: "background", 1: "ball"})
    found = drain(changed_by_fine_tuning(before, after, dataset))
    assert found.corrected == found.learned == int(np.count_nonzero(true))


def test_old_cases_that_got_worse_come_worst_first(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(volume: Volume) -> Any:
        return next(np.asarray(c.labels.data) for c in dataset.cases(names) if same(c.volume, volume))

    def same(one: Volume, other: Volume) -> bool:
        return bool(np.array_equal(one.data, other.data))

    def damaged(volume: Volume) -> Any:
        labels = whole(volume).copy()
        name = next(c.name for c in dataset.cases(names) if same(c.volume, volume))
        labels[: {"ball_001": 0, "ball_002": 9, "ball_003": 6}[name]] = 0
        return labels

    names = ["ball_001", "ball_002", "ball_003"]
    answers(monkeypatch, organ=whole, ball=damaged)
    before, after = a_bundle({0: "background", 1: "organ"}), a_bundle({0: "background", 1: "ball"}, tuple(names))
    before.plan.labels[1] = "Ball"
    (dataset.path / "provenance" / "ball_000.json").unlink()
    found = drain(changed_by_fine_tuning(before, after, dataset))
    assert [one.name for one in found.old] == names
    assert [one.before for one in found.old] == [1.0, 1.0, 1.0]
    assert found.old[0].change == 0.0
    assert [one.name for one in found.worse] == ["ball_002", "ball_003"]
    assert found.worse[0].after < found.worse[1].after < 1.0
    assert found.mean_dice is not None
    assert found.mean_dice[0] == 1.0 > found.mean_dice[1]


def test_channels_in_another_order_reach_each_model_in_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from faulty_dataset import second_channel

    folder = ball_dataset(tmp_path / "balls", 2)
    second_channel(folder)  # T1, and T2 that is twice as bright
    seen: dict[str, list[float]] = {}

    def answer(name: str) -> Answer:
        def given(volume: Volume) -> Any:
            seen[name] = [float(np.abs(channel).mean()) for channel in volume.data]
            return np.zeros(volume.data.shape[1:])

        return given

    answers(monkeypatch, organ=answer("before"), ball=answer("after"))
    before = a_bundle({0: "background", 1: "organ"}, ("ball_001",), ("T2", "T1"))
    after = a_bundle({0: "background", 1: "ball"}, (), ("T1", "T2"))
    drain(changed_on_old_cases(before, after, open_dataset(folder)))
    assert seen["before"] == seen["after"][::-1]
    assert seen["after"][1] == pytest.approx(2 * seen["after"][0])
    with pytest.raises(PlanError, match="has 1 channel"):
        drain(changed_on_old_cases(before, a_bundle({0: "background", 1: "ball"}), open_dataset(folder)))


def test_old_cases_are_those_that_the_model_before_held_back(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, organ=lambda v: np.zeros(v.data.shape[1:]), ball=lambda v: np.zeros(v.data.shape[1:]))
    before = a_bundle({0: "background", 1: "organ"}, ("ball_002", "elsewhere"))
    after = a_bundle({0: "background", 1: "ball"})
    found = drain(changed_on_old_cases(before, after, dataset))
    assert [one.name for one in found.old] == ["ball_002"]
    assert found.mean_dice is None  # no label that both know
    strange = a_bundle({0: "background", 1: "organ"}, ("elsewhere",))
    with pytest.raises(DatasetError, match="none of the cases that the card of background/organ lists"):
        drain(changed_on_old_cases(strange, after, dataset))


def test_held_back_cases_without_names_are_known_by_their_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card calls the case of ball_003 case_0001, as another case of the dataset is called."""
    folder = ball_dataset(tmp_path / "balls", 4)
    for kind, ending in (("imagesTr", "_0000"), ("labelsTr", "")):
        (folder / kind / f"ball_000{ending}.nii.gz").rename(folder / kind / f"case_0001{ending}.nii.gz")
    dataset = open_dataset(folder)
    answers(monkeypatch, organ=lambda v: np.zeros(v.data.shape[1:]), ball=lambda v: np.zeros(v.data.shape[1:]))
    row = identify(next(files for files in dataset.files if files.name == "ball_003")).to_json()
    anonymous = {"anonymous_names": True, "held_back": [{**row, "name": "case_0001"}]}
    before, after = (a_bundle({0: "background", 1: last}) for last in ("organ", "ball"))
    before = replace(before, card={**before.card, "provenance": anonymous})
    assert [one.name for one in drain(changed_on_old_cases(before, after, dataset)).old] == ["ball_003"]
    (folder / "provenance").mkdir()
    (folder / "provenance" / "case_0001.json").write_text("{}")
    tuned = replace(after, card={**after.card, "provenance": anonymous})
    found = drain(changed_by_fine_tuning(before, tuned, dataset))
    assert [(one.name, one.held_back) for one in found.corrections] == [("case_0001", False)]
    assert [one.name for one in found.old] == ["ball_003"]
    for part in ("imagesTr/ball_003_0000", "labelsTr/ball_003"):
        (folder / f"{part}.nii.gz").unlink()
    with pytest.raises(DatasetError, match="none of the cases"):
        drain(changed_on_old_cases(before, after, open_dataset(folder)))


def test_models_of_regions_are_compared_by_region(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(plan: Plan) -> Plan:
        regions = (LabelRegion(name="whole", values=(1, 2), paints=1), LabelRegion(name="core", values=(2,), paints=2))
        return plan.model_copy(update={"regions": regions})

    labels = {0: "background", 1: "ball", 2: "core"}
    before, after = a_bundle(labels, ("ball_002",)), a_bundle({**labels, 2: "Core"})
    before, after = (replace(one, plan=of(one.plan)) for one in (before, after))
    true = np.asarray(dataset.cases(["ball_002"])[0].labels.data)
    answers(monkeypatch, core=lambda v: true, Core=lambda v: true * 2)  # all of the ball is called its core
    (one,) = drain(changed_on_old_cases(before, after, dataset)).old
    assert one.before == 1.0  # whole is right, and no core is there
    assert one.after == 0.5  # whole is right still, and the core wrong


def test_measuring_can_be_stopped(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch)
    model = a_bundle({0: "background", 1: "ball"})
    with pytest.raises(Cancelled, match="the new model is kept"):
        drain(changed_by_fine_tuning(model, model, dataset, cancel=lambda: True))


def test_a_model_itself_has_nothing_to_learn_from_its_own_answer(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = np.asarray(read_labels(dataset.files[0].labels).data)
    answers(monkeypatch, ball=lambda volume: true)
    model = a_bundle({0: "background", 1: "ball"})
    found = drain(changed_by_fine_tuning(model, model, dataset))
    assert (found.corrected, found.learned, found.spoilt) == (0, 0, 0)


def test_a_dice_within_a_hundredth_is_not_worse() -> None:
    nan = float("nan")
    found = FineTuningChange((), (OldCase("a", 0.9, 0.895), OldCase("b", 0.9, 0.88), OldCase("c", nan, nan)))
    assert [one.name for one in found.worse] == ["b"]
    assert found.mean_dice == pytest.approx((0.9, 0.8875))
