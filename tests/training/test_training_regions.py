"""Training for regions that overlap: dataset, plan, list of faults, sampling, validation, fine-tuning, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cases import ball_dataset, drain
from chance import drawn
from made_regions import LABELS, NAMES, REGIONS, nested, nested_dataset, region_plan
from voxtrace.bundle import Bundle, load
from voxtrace.errors import DatasetError, InputError, MethodError
from voxtrace.fit import interval_ml
from voxtrace.io import read_labels, write
from voxtrace.methods import method
from voxtrace.plan import Plan
from voxtrace.plan.regions import parse_regions
from voxtrace.training import TrainRequest, fold, open_dataset, set_up, train, validation
from voxtrace.training.cross_validation import set_up_folds
from voxtrace.training.dataset_plan import DatasetPlan
from voxtrace.training.doctor import Examination, examine, mend
from voxtrace.training.finetune import finetune_plan, match_outputs
from voxtrace.training.gain import check_drawn
from voxtrace.training.planning import combine, measure_case, plan_dataset
from voxtrace.training.pooled_scores import pooled_scores
from voxtrace.training.preprocessed import preprocess_cases
from voxtrace.training.sampling import _centre
from voxtrace.training.takeover import take_over
from voxtrace.training.validation import quick_dice, validate_cases
from voxtrace.volume import LabelMap, Volume

CASES = [nested(seed) for seed in range(3)]


def never() -> bool:
    return False


def planned(folder: Path) -> Plan:
    dataset = open_dataset(folder)
    cases = dataset.cases([files.name for files in dataset.files])
    return plan_dataset(dataset, combine([measure_case(case, ignored=dataset.ignored) for case in cases]))


def describe(folder: Path, **changes: Any) -> None:
    file = folder / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def revalue(folder: Path, table: dict[int, int]) -> None:
    for file in (folder / "labelsTr").iterdir():
        labels = read_labels(file)
        data = labels.data.copy()
        for old, new in table.items():
            data[labels.data == old] = new
        write(replace(labels, data=data), file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return nested_dataset(tmp_path / "nested")


# Dataset, plan, faults


def test_a_dataset_has_its_regions_and_names_of_its_values(folder: Path) -> None:
    dataset = open_dataset(folder)
    assert dataset.regions == REGIONS
    assert dataset.labels == {0: "background", **NAMES}
    plan = planned(folder)
    assert (plan.regions, plan.labels, plan.ignore, plan.n_outputs) == (REGIONS, dataset.labels, False, 3)


def test_regions_and_an_ignore_label_go_together(tmp_path: Path) -> None:
    folder = nested_dataset(tmp_path / "nested", labels={**LABELS, "ignore": 4})
    plan = planned(folder)
    assert (plan.n_outputs, plan.n_labels, plan.ignored) == (3, 4, 4)


def test_a_table_takes_the_regions_of_the_dataset_json_beside_it(folder: Path) -> None:
    names = sorted(file.name.removesuffix(".nii.gz") for file in (folder / "labelsTr").iterdir())
    rows = [f"images/{name}.nii.gz,labelsTr/{name}.nii.gz" for name in names]
    (folder / "imagesTr").rename(folder / "images")
    for name in names:
        (folder / "images" / f"{name}_0000.nii.gz").rename(folder / "images" / f"{name}.nii.gz")
    (folder / "cases.csv").write_text("\n".join(["image,label", *rows]))
    assert open_dataset(folder / "cases.csv").regions == REGIONS


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"regions_class_order": None}, r"dataset.json: labels are regions, and regions_class_order is None"),
        ({"regions_class_order": [1, 2]}, "has 2 values for 3 regions"),
        ({"regions_class_order": [2, 1, 3]}, "'tumour core' is painted with 1, which is none of its values"),
        (
            {"labels": {"background": 0, "enhancing": 3, "whole tumour": [1, 2, 3]}, "regions_class_order": [3, 1]},
            "'enhancing' lies in 'whole tumour', which is painted over it; name the larger region first",
        ),
        ({"labels": {**LABELS, "ignore": 3}}, "the ignore label has the value 3; expected 4"),
        ({"labels": {**LABELS, "whole tumour": [1, 2, 3, 5]}}, r"label values \[0, 1, 2, 3, 5\] are not 0, 1, 2"),
        ({"labels": {"whole tumour": [1, 2, 3], "core": 3}, "regions_class_order": [1, 3]}, "names no background"),
    ],
)
def test_regions_that_cannot_be_learned_as_they_are_meant_are_refused(
    folder: Path, changes: dict[str, Any], said: str
) -> None:
    describe(folder, **changes)
    with pytest.raises(DatasetError, match=said):
        open_dataset(folder)


def look(folder: Path) -> Examination:
    return drain(examine(folder))


def test_nothing_is_wrong_with_a_sound_dataset_of_regions(folder: Path) -> None:
    examined = look(folder)
    assert [fault for fault in examined.faults if fault.level == "fault"] == []
    assert examined.dataset().regions == REGIONS


def test_brats_values_are_renumbered_in_files_and_regions(folder: Path, tmp_path: Path) -> None:
    """Edema 2 around necrosis 1 and enhancing 4, as BraTS numbers them."""
    revalue(folder, {1: 2, 2: 1, 3: 4})
    labels = {"background": 0, "whole": [1, 2, 4], "core": [1, 4], "enhancing": 4}
    describe(folder, labels=labels, regions_class_order=[2, 1, 4])
    examined = look(folder)
    assert [fault.kind for fault in examined.bad] == ["numbering"]
    assert mend(examined, tmp_path / "mended") == ()
    record = json.loads((tmp_path / "mended" / "dataset.json").read_text())
    assert record["labels"] == {"background": 0, "whole": [1, 2, 3], "core": [1, 3], "enhancing": [3]}
    assert record["regions_class_order"] == [2, 1, 3]
    again = look(tmp_path / "mended")
    assert again.bad == ()
    before = [read_labels(folder / "labelsTr" / f"nested_{n:03d}.nii.gz").data for n in range(5)]
    after = [case.load().labels.data for case in open_dataset(tmp_path / "mended").files]
    for old, new in zip(before, after, strict=True):
        assert np.array_equal(new, np.array([0, 1, 2, 0, 3], np.uint8)[old])


def test_a_region_that_nobody_drew_and_an_order_that_loses_one_are_listed(folder: Path) -> None:
    revalue(folder, {3: 2})
    labels = {"background": 0, "tumour core": [2, 3], "whole tumour": [1, 2, 3], "enhancing": 3}
    describe(folder, labels=labels, regions_class_order=[2, 1, 3])
    told = {fault.kind: fault.what for fault in look(folder).bad}
    assert told["drawn nowhere"] == "the region 'enhancing' (3) is drawn in no case."
    assert "'tumour core' lies in 'whole tumour', which is painted over it" in told["regions"]


# Sampling


@pytest.mark.parametrize("ignore", [False, True])
def test_forced_windows_are_centred_on_every_region_alike(tmp_path: Path, ignore: bool) -> None:
    folder = nested_dataset(tmp_path / "nested", labels={**LABELS, **({"ignore": 4} if ignore else {})})
    if ignore:
        for file in (folder / "labelsTr").iterdir():
            labels = read_labels(file)
            data = labels.data.copy()
            data[:4] = 4
            write(replace(labels, data=data), file)
    dataset, plan = open_dataset(folder), planned(folder)
    (case,) = preprocess_cases(dataset.cases(["nested_001"]), plan, tmp_path / "cases", 0)
    assert set(case.foreground[:, 0]) == ({0, 1, 2, 3} if ignore else {1, 2, 3})
    shown = np.asarray(case.labels)
    for number, region in enumerate(REGIONS, 1):
        rows = case.foreground[case.foreground[:, 0] == number, 1:]
        assert set(np.unique(shown[tuple(rows.T)])) == set(region.values)
    rng = np.random.default_rng(0)
    values = [int(shown[tuple(_centre(case, True, rng))]) for _ in range(600)]  # type: ignore[arg-type]
    shares = np.bincount(values, minlength=5) / len(values)
    assert shares[[0, 4]].sum() == 0
    # a third of the windows for the smallest region, and its part of the others
    assert shares[3] > 1 / 3


# Training and validation


@pytest.mark.parametrize("key", ["unet", "recyclenet", "e2enet", "cdlunet"])
def test_every_method_that_says_so_learns_regions(key: str, tmp_path: Path) -> None:
    chosen, plan = method(key), region_plan(iterations=3, ignore=key == "unet")
    drain(train(chosen, chosen.adapt(plan), CASES[:2], out=tmp_path / "b", validate=CASES[2:], device="cpu"))
    bundle = load(tmp_path / "b")
    assert bundle.plan.regions == REGIONS
    told = bundle.card["metrics"]["validation"]
    assert list(told["dice_per_label"]) == ["whole tumour", "tumour core", "enhancing"]
    assert set(told["per_case"][0]["reference_ml"]) == {"whole tumour", "tumour core", *NAMES.values()}
    assert list(pooled_scores({0: tmp_path / "b"})["dice_per_label"]) == list(told["dice_per_label"])
    volumes = told["per_case"][0]["reference_ml"]
    assert volumes["whole tumour"] == pytest.approx(sum(volumes[name] for name in NAMES.values()), abs=1e-3)


def test_a_network_learns_its_regions(tmp_path: Path) -> None:
    chosen, plan = method("unet"), region_plan(iterations=60, batch_size=2)
    drain(train(chosen, plan, CASES, out=tmp_path / "b", validate=CASES[:1], device="cpu", seed=1))
    dice = load(tmp_path / "b").card["metrics"]["validation"]["dice_per_label"]
    assert dice["whole tumour"]["mean"] > 0.7
    assert dice["tumour core"]["mean"] > 0.5


def answered(monkeypatch: pytest.MonkeyPatch, answer: np.ndarray) -> Bundle:
    """A bundle whose answer is given; the step before it is empty."""

    def predict(_bundle: Bundle, volume: Volume, **_: Any) -> Any:
        trace = SimpleNamespace(labels=np.stack([np.zeros_like(answer), answer]), facts={}, units={})
        return SimpleNamespace(trace=trace, seconds=0.5, facts={"device": "cpu"})

    monkeypatch.setattr(validation, "predict", predict)
    monkeypatch.setattr(validation, "case_features", lambda trace: {})
    return Bundle(method("unet"), region_plan(ignore=True), torch.nn.Identity())


def test_validation_scores_regions_and_counts_volumes_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = np.zeros((4, 4, 4), np.uint8)
    truth[0], truth[1], truth[2] = 1, 2, 4  # 16 voxels each: edema, core, and what nobody annotated
    answer = np.zeros_like(truth)
    answer[0], answer[1, :2], answer[2] = 2, 2, 3
    geometry = replace(CASES[0].volume.geometry, shape=(4, 4, 4))
    case = replace(
        CASES[0], volume=Volume(np.zeros((1, 4, 4, 4), np.float32), geometry), labels=LabelMap(truth, geometry)
    )
    bundle = answered(monkeypatch, answer)
    found = drain(validate_cases(bundle, [case], "cpu", never))
    assert found is not None
    told = found.to_json()["per_case"][0]
    # whole: 24 of 32 true; core: 24 found, 16 true, 8 both; enhancing only where nobody annotated
    assert told["dice"] == {
        "whole tumour": pytest.approx(2 * 24 / 56, abs=1e-4),
        "tumour core": pytest.approx(2 * 8 / 40, abs=1e-4),
        "enhancing": None,
    }
    assert told["predicted_ml"]["whole tumour"] == pytest.approx(0.024)
    assert told["reference_ml"]["whole tumour"] == pytest.approx(0.032)
    assert told["reference_ml"][NAMES[1]] == pytest.approx(0.016)
    assert set(told["measures"]) == {"whole tumour", "tumour core"}
    quick = quick_dice(bundle, [case], "cpu")
    assert quick.dice == pytest.approx((2 * 24 / 56 + 2 * 8 / 40) / 2)
    intervals = replace(found, cases=found.cases * 10).measured()["intervals"]
    assert list(intervals["regions"]) == ["whole tumour", "tumour core"]  # of no case is enhancing found
    assert intervals["regions"]["whole tumour"]["factors"] == pytest.approx([32 / 24, 32 / 24], rel=1e-5)
    assert interval_ml({"intervals": intervals}, "whole tumour", 0.024) == pytest.approx((0.032, 0.032), rel=1e-5)


# Fine-tuning


@drawn()
def untrained(plan: Plan) -> Bundle:
    chosen = method("unet")
    return Bundle(chosen, plan, chosen.build(plan).eval(), {"name": "start"})


def test_rows_of_regions_are_matched_by_name() -> None:
    renamed = tuple(r.model_copy(update={"name": n}) for r, n in zip(REGIONS, ("WT", "Tumour_Core", "x"), strict=True))
    now = region_plan(regions=(renamed[0], renamed[2], renamed[1]))
    assert match_outputs(region_plan(), now) == {2: 1}
    plain = region_plan().model_copy(update={"regions": ()})
    assert match_outputs(plain, region_plan()) == {2: 3}  # "enhancing" is a label, too
    assert match_outputs(region_plan(), plain) == {3: 2}
    assert match_outputs(plain, plain) == {0: 0, 1: 1, 2: 2, 3: 3}


def test_fine_tuning_takes_over_the_rows_of_regions_that_both_have(folder: Path) -> None:
    initial = untrained(region_plan())
    dataset = open_dataset(folder)
    plan = finetune_plan(initial, replace(dataset, channels=initial.plan.channels))
    assert plan.regions == REGIONS
    labels = {"background": 0, "everything": [1, 2, 3], "enhancing": 3}
    describe(folder, labels=labels, regions_class_order=[1, 3])
    other = open_dataset(folder)
    plan = finetune_plan(initial, replace(other, channels=initial.plan.channels))
    with drawn(5):
        network = initial.method.build(plan)
    taken = take_over(initial.method, plan, network, initial)
    old, new = initial.network.decide.heads[0].weight, network.decide.heads[0].weight
    assert torch.equal(new[1], old[2])
    assert not torch.equal(new[0], old[0])
    told = taken.to_json(plan)
    assert (told["labels"], told["labels_anew"]) == ({"enhancing": "enhancing"}, ["everything"])
    assert told["labels_dropped"] == ["whole tumour", "tumour core"]


# Refusals, and what goes on


@pytest.mark.parametrize("key", ["diffusion", "meddanet"])
@pytest.mark.parametrize("begin", [set_up, set_up_folds])
def test_a_method_without_regions_is_refused_before_any_image_is_read(
    folder: Path, tmp_path: Path, key: str, begin: Callable[..., Any]
) -> None:
    for file in (folder / "imagesTr").iterdir():
        file.write_bytes(b"no image")
    with pytest.raises(MethodError, match=f"{key} cannot learn regions that overlap"):
        drain(begin(TrainRequest(folder, method=key, out=tmp_path / "out"), never))
    assert not (tmp_path / "out").exists()


def test_a_plan_of_other_regions_is_not_the_datasets(folder: Path) -> None:
    dataset = open_dataset(folder)
    found = combine([measure_case(files.load()) for files in dataset.files])
    stored = DatasetPlan.of(dataset, "cpu", found, plan_dataset(dataset, found))
    assert stored.misfit(dataset) == ""
    swapped = (REGIONS[0].model_copy(update={"paints": 2}), *REGIONS[1:])
    assert "its regions" in stored.misfit(replace(dataset, regions=swapped))
    assert "its regions" in stored.misfit(replace(dataset, regions=()))


def test_going_on_with_other_regions_is_refused(folder: Path, tmp_path: Path) -> None:
    plan = region_plan(iterations=2)
    drain(train(method("unet"), plan, CASES[:1], out=tmp_path / "b", device="cpu"))
    changed = Plan.model_validate(
        plan.model_dump()
        | {
            "regions": [REGIONS[0].model_copy(update={"paints": 2}).model_dump()]
            + [r.model_dump() for r in REGIONS[1:]]
        }
    )
    with pytest.raises(InputError):
        drain(train(method("unet"), changed, CASES[:1], out=tmp_path / "b", device="cpu", resume=True))


def test_a_dataset_without_regions_is_as_before(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls")
    dataset = open_dataset(folder)
    assert dataset.regions == ()
    assert planned(folder).n_outputs == 2
    assert len(fold(dataset, 0)[1]) == 1


def test_a_known_region_that_no_case_draws_is_refused_by_its_place_not_by_its_values(tmp_path: Path) -> None:
    """The core has the value 1, which is also the number of the whole tumour."""
    regions = parse_regions({"background": 0, "whole tumour": [1, 2, 3], "tumour core": [1, 3], "other": 3}, [2, 1, 3])
    edema = replace(CASES[0], labels=replace(CASES[0].labels, data=2 * (CASES[0].labels.data > 0).astype(np.uint8)))
    plan = region_plan(regions)
    cases = list(preprocess_cases([edema], plan, tmp_path, seed=0))
    known: Any = SimpleNamespace(labels={0: 0, 1: 1}, initial=SimpleNamespace(name="start"))
    with pytest.raises(DatasetError, match=r"^tumour core of start would be unlearned"):
        check_drawn(cases, plan, known)
    known.labels = {0: 0}
    assert [told.split(" is ")[0] for told in check_drawn(cases, plan, known)] == ["tumour core", "other"]
