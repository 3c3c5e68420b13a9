"""Volumes of held-back cases are matched by offsets of the last bias, and the card says what that is worth."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import fakes
from cases import ball, ball_dataset, drain, small_plan
from voxtrace.bundle import Bundle, annotate, card, load, save
from voxtrace.errors import DatasetError, UsageError
from voxtrace.method import Step
from voxtrace.methods import method
from voxtrace.training import measuring, train
from voxtrace.training.dataset import case_subjects, fold, open_dataset
from voxtrace.training.match_volumes import check_matchable, match_volumes
from voxtrace.training.measuring import measure_on
from voxtrace.training.request import TrainRequest
from voxtrace.training.setup import set_up
from voxtrace.training.validation import Validation, validate_cases
from voxtrace.volume import Case, Geometry, LabelMap, Volume

GEOMETRY = Geometry.from_spacing((8, 16, 16), (1.0, 1.0, 1.0))
TOO_MUCH = 0.6  # of the logit of label 1
NAME = fakes.plan().labels[1]


class Biased(nn.Module):
    """Logits 0 and 4·(x − ½) + bias, so that label 1 is found where the intensity is above one half, if bias is 0."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([0.0, TOO_MUCH]))

    def forward(self, images: Tensor) -> Tensor:
        logits = 4.0 * (images[:, :1] - 0.5)
        return torch.cat([torch.zeros_like(logits), logits], 1) + self.bias.view(1, -1, 1, 1, 1)


class BiasedNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decide = Biased()


@dataclass(frozen=True)
class Thresholding(fakes.Nearest):
    """One logit with a bias."""

    key: ClassVar[str] = "thresholding"
    facts: ClassVar[dict[str, str]] = {}
    last_bias: ClassVar[str] = "decide.bias"

    def build(self, plan: Any) -> nn.Module:
        return BiasedNetwork()

    def infer(self, parts: Any, images: Tensor, rng: Any) -> Iterator[Step]:
        yield Step(parts["decide"](images))


def _case(number: int) -> Case:
    """A box whose edges are dim: the intensity falls evenly over four voxels, and is one half at the true edge."""
    at = np.indices(GEOMETRY.shape)
    inside = np.minimum(*(5.5 + 0.1 * (number % 3) - np.abs(at[axis] - 7.5) for axis in (1, 2)))
    noise = np.random.default_rng(number).normal(0.0, 0.02, GEOMETRY.shape)
    image = np.clip(0.5 + inside / 4, 0, 1) + noise
    return Case(
        f"case_{number}",
        Volume(image[None].astype(np.float32), GEOMETRY),
        LabelMap((inside > 0).astype(np.uint8), GEOMETRY),
    )


CASES = [_case(number) for number in range(12)]


def _matched(seed: int = 0) -> tuple[Bundle, Validation, Validation]:
    made = fakes.bundle(Thresholding())
    before = drain(validate_cases(made, CASES, "cpu", lambda: False, margins=True))
    assert before is not None
    return made, before, drain(match_volumes(made, before, CASES, "cpu", lambda: False, seed))


def _total(found: Validation) -> float:
    predicted, reference = (sum(getattr(c, part)[1] for c in found.cases) for part in ("predicted_ml", "reference_ml"))
    return float(predicted / reference - 1)


def test_the_total_volume_is_that_of_the_references() -> None:
    made, before, after = _matched()
    assert _total(before) > 0.05
    assert abs(_total(after)) < 0.01
    told = after.volumes_matched["labels"][NAME]
    bias = made.network.get_parameter("decide.bias").tolist()
    assert bias == pytest.approx([0.0, TOO_MUCH + told["offset"]], abs=1e-5)
    assert told["before"]["mean"] == pytest.approx(_total(before), abs=1e-4)


def test_each_half_is_judged_with_the_offsets_of_the_other() -> None:
    made, _, after = _matched(seed=5)
    drawn = np.random.default_rng(5).permutation(12)
    first, second = (sorted(half) for half in np.array_split(drawn, 2))
    told = after.volumes_matched["labels"][NAME]["halves"]
    network = made.network.get_parameter("decide.bias")
    for half, judged in zip(told, (second, first), strict=True):
        assert half["cases"] == 6
        with torch.no_grad():
            network[1] = TOO_MUCH + half["offset"]
        found = drain(validate_cases(made, [CASES[n] for n in judged], "cpu", lambda: False))
        assert found is not None
        assert half["mean"] == pytest.approx(_total(found), abs=1e-4)


def test_a_subject_is_never_in_both_halves() -> None:
    named = [replace(_case(n), name=f"patient{max(0, n - 6):03d}_frame{n:02d}") for n in range(16)]
    made = fakes.bundle(Thresholding())
    before = drain(validate_cases(made, named, "cpu", lambda: False, margins=True))
    assert before is not None
    told = drain(match_volumes(made, before, named, "cpu", lambda: False)).volumes_matched
    # ten patients, of 7 cases and of one each, five in each half
    assert sorted(half["cases"] for half in told["labels"][NAME]["halves"]) == [5, 11]


@pytest.mark.parametrize("layout", ["nnU-Net", "CSV"])
def test_stated_subjects_are_never_in_both_halves(tmp_path: Path, layout: str) -> None:
    """Names tell of sixteen subjects; the dataset says that they are ten, of 7 scans and of one each."""
    folder, said = ball_dataset(tmp_path / "balls", 16), {f"ball_{n:03d}": f"p{max(0, n - 6)}" for n in range(16)}
    if layout == "CSV":
        rows = [f"imagesTr/{n}_0000.nii.gz,labelsTr/{n}.nii.gz,{n},{one},0" for n, one in said.items()]
        (folder / "dataset.json").unlink()
        (folder / "cases.csv").write_text("\n".join(["image,label,case,subject,fold", *rows]))
    else:
        record = json.loads((folder / "dataset.json").read_text())
        (folder / "dataset.json").write_text(json.dumps({**record, "subjects": said}))
        splits = [{"train": [], "val": list(said)}]
        (folder / "splits_final.json").write_text(json.dumps(splits))
    _, held = fold(open_dataset(folder / "cases.csv" if layout == "CSV" else folder), 0)
    found = fakes.bundle(Thresholding())
    before = drain(validate_cases(found, held, "cpu", lambda: False, margins=True))
    assert before is not None
    told = drain(match_volumes(found, before, held, "cpu", lambda: False)).volumes_matched
    (row,) = told["labels"].values()
    assert sorted(half["cases"] for half in row["halves"]) == [5, 11]


@pytest.mark.parametrize("stated", [True, False])
def test_scans_of_one_subject_count_once(stated: bool, tmp_path: Path) -> None:
    """Twelve scans of nine subjects are refused, as are twelve of which nine have the label."""
    folder = ball_dataset(tmp_path / "balls", 12)
    said = {f"ball_{n:03d}": f"p{max(0, n - 3)}" for n in range(12)}
    record = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**record, **({"subjects": said} if stated else {})}))
    held = open_dataset(folder).cases(list(said))
    if not stated:
        check_matchable(method("unet"), (), held)
        return
    with pytest.raises(UsageError, match=r"9 held-back subjects \(12 cases\)"):
        check_matchable(method("unet"), (), held)
    found = fakes.bundle(Thresholding())
    before = drain(validate_cases(found, held, "cpu", lambda: False, margins=True))
    assert before is not None
    with pytest.raises(DatasetError, match="no label is in 10 of the 9 held-back subjects"):
        drain(match_volumes(found, before, held, "cpu", lambda: False))


def test_the_subjects_of_a_dataset_reach_what_is_held_back_of_it(tmp_path: Path) -> None:
    folder = ball_dataset(tmp_path / "balls", 12)
    record = json.loads((folder / "dataset.json").read_text())
    said = {f"ball_{n:03d}": f"p{n // 2}" for n in range(12)}
    (folder / "dataset.json").write_text(json.dumps({**record, "subjects": said}))
    ready = drain(set_up(TrainRequest(folder, method="unet", fold=0), lambda: False))
    names = [case.name for case in ready.validate]
    assert names
    assert case_subjects(ready.validate, names) == [said[name] for name in names]
    assert case_subjects(ready.validate[1:], names[1:]) == [said[name] for name in names[1:]]


def test_the_bias_on_these_cases_is_not_told() -> None:
    _, before, after = _matched()
    assert "volume_bias_ml" in before.to_json()["measures"]
    assert "volume_bias_ml" not in str(after.to_json())
    assert "bias" in before.measured()["intervals"]["labels"]["1"]
    assert "bias" not in after.measured()["intervals"]["labels"]["1"]


def test_what_cannot_be_matched_is_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="cdlunet cannot be matched"):
        check_matchable(method("cdlunet"), (), CASES)
    with pytest.raises(UsageError, match="regions"):
        check_matchable(method("unet"), ("tumour",), CASES)
    with pytest.raises(UsageError, match=r"9 held-back subjects \(9 cases\)"):
        check_matchable(method("unet"), (), CASES[:9])
    check_matchable(method("recyclenet"), (), CASES[:10])
    with pytest.raises(UsageError, match="0 held-back subjects"):
        drain(train(method("unet"), small_plan(), [ball(0)], out="nowhere", match_volumes=True))
    assert not Path("nowhere").exists()
    assert not Path("nowhere.work").exists()


@pytest.mark.parametrize(("key", "told"), [("cdlunet", "no one bias per label"), ("unet", "on 0 held-back subjects")])
def test_a_training_is_refused_before_its_dataset_is_read(key: str, told: str, tmp_path: Path) -> None:
    request = TrainRequest(ball_dataset(tmp_path / "balls", n=2), method=key, match_volumes=True)
    task = set_up(request, lambda: False)
    with pytest.raises(UsageError, match=told):
        next(task)  # would tell of the first case that was read


def test_a_label_in_too_few_cases_is_not_matched() -> None:
    empty = [
        replace(case, labels=LabelMap(np.zeros(GEOMETRY.shape, np.uint8), GEOMETRY)) if n > 8 else case
        for n, case in enumerate(CASES)
    ]
    made = fakes.bundle(Thresholding())
    before = drain(validate_cases(made, empty, "cpu", lambda: False, margins=True))
    assert before is not None
    with pytest.raises(DatasetError, match="no label is in 10 of the 12"):
        drain(match_volumes(made, before, empty, "cpu", lambda: False))


def test_a_measured_bundle_has_the_offsets_and_is_not_matched_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, unet = small_plan(), method("unet")
    torch.manual_seed(0)
    save(Bundle(unet, plan, unet.build(plan).eval(), {"name": "made"}), tmp_path / "made", half=True)
    held = [ball(number) for number in range(10)]
    monkeypatch.setattr(measuring, "open_dataset", lambda *_: _Listed())
    monkeypatch.setattr(measuring, "fold_of", lambda *_: ([ball(20)], held))

    def measured(match: bool) -> Any:
        return drain(measure_on(str(tmp_path / "made"), "", 0, "", "cpu", lambda: False, match=match))

    before = copy.deepcopy(load(tmp_path / "made").network.state_dict())
    found = measured(match=True)
    annotate(tmp_path / "made", found.entries, None, found.method, found.network)
    told = card(tmp_path / "made")["provenance"]["volumes_matched"]
    now = load(tmp_path / "made").network.state_dict()
    assert [name for name in now if not torch.equal(now[name], before[name])] == [unet.last_bias]
    offset = told["labels"][plan.labels[1]]["offset"]
    moved = now[unet.last_bias] - before[unet.last_bias]
    assert moved.tolist() == pytest.approx([0.0, offset], abs=1e-5)
    assert "## Matched volumes" in (tmp_path / "made" / "card.md").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="matched already"):
        measured(match=True)
    again = measured(match=False)
    assert again.network is None
    assert again.entries["provenance"]["volumes_matched"] == told
    assert "volume_bias_ml" not in str(again.entries["metrics"])


class _Listed:
    """A dataset of no files; what is read of it is put in place by the test."""

    files = ()

    def cases(self, names: list[str]) -> list[Case]:
        return []


def test_a_trained_bundle_is_matched_where_asked_for(tmp_path: Path) -> None:
    held = [ball(number) for number in range(1, 11)]
    plan = small_plan(iterations=2)
    made = [
        drain(train(method("unet"), plan, [ball(0)], validate=held, out=tmp_path / name, match_volumes=match))
        for name, match in (("plain", False), ("matched", True))
    ]
    told = made[1].card["provenance"]["volumes_matched"]
    assert "volumes_matched" not in made[0].card["provenance"]
    bias = [one.network.get_parameter("decide.heads.0.bias") for one in made]
    offset = told["labels"][plan.labels[1]]["offset"]
    assert (bias[1] - bias[0]).tolist() == pytest.approx([0.0, offset], abs=2e-3)
