"""What bundles that are averaged may use of what each measured: a cross-validation's own, and nothing of strangers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import made
from voxtrace.batch import PredictJob
from voxtrace.batch.cases import find_cases
from voxtrace.bundle import annotate, card, load
from voxtrace.fit import interval_ml
from voxtrace.inference import predict
from voxtrace.inference.fold_folder import SUMMARY, joint_record, left_out, load_members
from voxtrace.plugin.models.bundles import describe
from voxtrace.plugin.models.trust import record_of

BINS = [[0, 0.0, 0.0]] * 15


def measured(factor: float, rule: str, temperature: float) -> dict[str, Any]:
    """Entries of a card, as training writes them."""
    interval = {"cases": 20, "level": 0.9, "bias": 1.0, "factors": [0.5, factor], "predicted_ml": [0.001, 100.0]}
    tried = {"label1": {word: {"n": 9, "dice": 0.8, "nsd": 0.8} for word in ("none", rule)}}
    calibration = {"temperature": temperature, "cases": 9, "voxels": 9, "ece_before": 0.1, "ece_after": 0.1}
    return {
        "intervals": {"method": "m", "names": {"1": "label1"}, "labels": {"1": interval}},
        "post_processing": {"labels": {"label1": rule}, "tried": tried},
        "calibration": {**calibration, "reliability_before": BINS, "reliability_after": BINS},
    }


@pytest.fixture
def folds(tmp_path: Path) -> Path:
    """Two bundles that measured different things, in a folder of folds without a summary."""
    for number, about in enumerate((measured(2.0, "largest", 1.5), measured(3.0, "100", 2.5))):
        folder = made.bundle_folder(tmp_path / "ours" / f"fold_{number}")
        names = dict(load(folder).plan.labels)
        text = json.dumps(about).replace("label1", names[1])
        annotate(folder, json.loads(text))
    return tmp_path / "ours"


def summarised(folder: Path, factor: float = 4.0, rule: str = "30") -> Path:
    """Write the summary of a cross-validation beside its folds."""
    paths = [folder / f"fold_{number}" for number in range(2)]
    name = load(paths[0]).plan.labels[1]
    about = json.loads(json.dumps(measured(factor, rule, 1.0)).replace("label1", name))
    del about["calibration"]
    per_fold = [{"fold": number, "digest": card(path)["digest"]} for number, path in enumerate(paths)]
    record = {"folds": 2, "dice": {}, "dice_per_label": {}, "per_fold": per_fold, **about}
    (folder / SUMMARY).write_text(json.dumps(record))
    return folder


def rules_of(bundles: Any) -> list[Any]:
    return [list((bundle.card.get("post_processing") or {"labels": {}})["labels"].values()) for bundle in bundles]


def test_folds_of_a_cross_validation_use_what_it_worked_out_of_all(folds: Path) -> None:
    loaded = load_members([summarised(folds)])
    assert rules_of(loaded) == [["30"], ["30"]]
    assert interval_ml(joint_record(loaded), 1, 1.0) == (0.5, 4.0)
    assert left_out(loaded) == ""
    result = predict(loaded, made.volume(), device="cpu", precision="float32")
    assert result.facts["temperatures"] == [1.5, 2.5]  # each of its own probabilities
    assert "left_out" not in result.facts
    one_by_one = load_members([folds / "fold_1", folds / ".." / "ours" / "fold_0"])
    assert [bundle.pooled for bundle in one_by_one] == [loaded[0].pooled] * 2


def test_bundles_that_do_not_belong_together_use_nothing_of_what_each_measured(folds: Path) -> None:
    loaded = load_members([folds])
    assert rules_of(loaded) == [[], []]
    assert interval_ml(joint_record(loaded), 1, 1.0) is None
    told = left_out(loaded)
    assert "volume intervals, post-processing, temperature" in told
    assert "fold_0, fold_1 are combined, and no cross_validation.json is of these very bundles" in told
    result = predict(loaded, made.volume(), device="cpu", precision="float32")
    assert (result.facts["temperatures"], result.facts["left_out"]) == ([1.0, 1.0], told)
    alone = load_members([folds / "fold_0"])
    assert interval_ml(joint_record(alone), 1, 1.0) == (0.5, 2.0)
    assert rules_of(alone) == [["largest"]]
    voting = load_members([folds], votes=True)  # each answers by itself
    assert [bundle.card["calibration"]["temperature"] for bundle in voting] == [1.5, 2.5]
    assert "(volume intervals, post-processing) is left out" in left_out(voting)
    voted = predict(voting, made.volume(), members=True, device="cpu", precision="float32")
    assert (voted.facts["temperatures"], voted.facts["left_out"]) == ([1.5, 2.5], left_out(voting))


def test_a_fold_that_was_made_anew_is_none_of_the_cross_validation(folds: Path) -> None:
    summarised(folds)
    annotate(folds / "fold_1", {"intended_use": "another"})
    assert "is left out" in left_out(load_members([folds]))


def test_a_part_of_the_folds_is_not_the_cross_validation(folds: Path, tmp_path: Path) -> None:
    stranger = made.bundle_folder(tmp_path / "stranger")
    assert left_out(load_members([summarised(folds), stranger]))
    assert interval_ml(joint_record(load_members([folds / "fold_0", folds / "fold_0"])), 1, 1.0) == (0.5, 2.0)


def test_what_all_cards_say_alike_is_used(tmp_path: Path) -> None:
    for number in range(2):
        made.bundle_folder(tmp_path / "twins" / f"fold_{number}")
        annotate(tmp_path / "twins" / f"fold_{number}", measured(2.0, "largest", 1.5))
    loaded = load_members([tmp_path / "twins"])
    assert left_out(loaded) == ""
    assert rules_of(loaded) == [["largest"], ["largest"]]


def test_another_pooled_rule_is_another_model_for_a_prediction_that_is_resumed(folds: Path, tmp_path: Path) -> None:
    scan = made.scan(tmp_path / "case.nii.gz")

    def digest() -> str:
        return PredictJob(load_members([folds]), find_cases([scan]), tmp_path / "out").entry().bundle_digest

    alone = digest()
    assert alone == "+".join(card(folds / f"fold_{number}")["digest"] for number in range(2))
    summarised(folds)
    first = digest()
    summarised(folds, rule="1000")
    second = digest()
    summarised(folds, factor=5.0)
    assert len({alone, first, second, digest()}) == 4
    summarised(folds)
    assert digest() == first


def test_the_window_knows_a_folder_of_folds_by_what_holds_for_all(folds: Path) -> None:
    stranger = describe(folds)
    assert "intervals" not in stranger.record
    assert "no cross_validation.json is of these very bundles" in stranger.about
    known = describe(summarised(folds))
    assert interval_ml(known.record, 1, 1.0) == (0.5, 4.0)
    assert "left out" not in known.about
    result = predict(load_members([folds]), made.volume(), device="cpu", precision="float32")
    assert known.predicts_as == "fold_0 + fold_1"
    fitting = record_of([known], result.trace)
    assert fitting in ({}, known.record)
    assert (fitting == {}) == result.trace.provenance.fit.startswith("does not fit")
