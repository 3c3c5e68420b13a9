"""Every fold by one command, and the folder of folds as a bundle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import made
from made import Run
from voxtrace import io
from voxtrace.bundle import Bundle, annotate, card, load, save
from voxtrace.cli.inspect_folds import fold_facts
from voxtrace.errors import BundleError, Cancelled
from voxtrace.inference import check_compatible
from voxtrace.inference.fold_folder import fold_paths, is_fold_folder, load_members, member_paths
from voxtrace.methods import method
from voxtrace.plan import Plan
from voxtrace.training import set_up
from voxtrace.training.cross_validation import set_up_folds
from voxtrace.training.pooled_scores import pooled_scores
from voxtrace.training.request import TrainRequest

SMALL = ("--iterations", 3, "--batch-size", 1, "--device", "cpu", "--precision", "float32", "--window", "8x16x16")
HOW = ("--method", "unet", *SMALL)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four made-up cases in two folds."""
    folder = tmp_path_factory.mktemp("cv") / "Dataset001_Blocks"
    for number in range(4):
        made.scan(folder / "imagesTr" / f"block_{number}_0000.nii.gz", seed=number)
        made.labels(folder / "labelsTr" / f"block_{number}.nii.gz", block=3 + number)
    record = {"name": "Blocks", "channel_names": {"0": "MRI"}, "labels": {"background": 0, "one": 1, "two": 2}}
    (folder / "dataset.json").write_text(json.dumps({**record, "file_ending": ".nii.gz", "numTraining": 4}))
    names = [f"block_{number}" for number in range(4)]
    splits = [{"train": names[:2], "val": names[2:]}, {"train": names[2:], "val": names[:2]}]
    (folder / "splits_final.json").write_text(json.dumps(splits))
    return folder


@pytest.fixture
def trained(run: Run, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a finished cross-validation, which is trained once."""
    whole = dataset.parent / "whole"
    if not whole.exists():
        assert run("train", dataset, "--cv", "-o", whole, *HOW).code == 0
    return Path(shutil.copytree(whole, tmp_path_factory.mktemp("copy") / "whole"))


def finish(task: Generator[Any, None, Any]) -> Any:
    while True:
        try:
            next(task)
        except StopIteration as end:
            return end.value


def test_the_folds_share_a_plan_and_their_scores_are_pooled(trained: Path) -> None:
    first, second = (card(trained / f"fold_{number}") for number in range(2))
    assert first["plan"] == second["plan"]
    assert [one["provenance"]["fold"] for one in (first, second)] == [0, 1]
    assert (first["name"], second["name"]) == ("whole-fold-0", "whole-fold-1")
    assert not (trained / "prepared").exists()
    summary = json.loads((trained / "cross_validation.json").read_text())
    assert (summary["folds"], summary["finished"], summary["cases"]) == (2, [0, 1], 4)
    assert {row["name"] for row in summary["per_case"]} == {f"block_{number}" for number in range(4)}
    for label in ("one", "two"):
        rows = [case["dice"][label] for one in (first, second) for case in one["metrics"]["validation"]["per_case"]]
        assert summary["dice_per_label"][label]["mean"] == pytest.approx(np.mean(rows), abs=1e-4)
        assert summary["dice_per_label"][label]["n"] == 4
        measured = [
            case["measures"][label]["volume_bias_ml"]
            for one in (first, second)
            for case in one["metrics"]["validation"]["per_case"]
        ]
        pooled = summary["measures_per_label"][label]["volume_bias_ml"]
        assert (pooled["n"], pooled["mean"]) == (4, pytest.approx(np.mean(measured), abs=1e-4))


def test_the_table_has_a_line_a_label(run: Run, dataset: Path, trained: Path) -> None:
    before = {path: path.read_bytes() for path in trained.glob("fold_*/*")}
    outcome = run("train", dataset, "--cv", "--resume", "-o", trained, *HOW)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0].split()[:3] == ["label", "n", "Dice"]
    assert [line.split()[0] for line in lines[1:4]] == ["one", "two", "mean"]
    assert outcome.err.count("nothing done") == 2
    assert {path: path.read_bytes() for path in trained.glob("fold_*/*")} == before


def test_a_fold_that_was_interrupted_goes_on_and_a_finished_one_is_left(
    run: Run, dataset: Path, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cv"
    asked = TrainRequest(
        dataset, "unet", out=out, iterations=3, batch_size=1, device="cpu", precision="float32", window=(8, 16, 16)
    )
    folds = finish(set_up_folds(asked, lambda: False))
    finish(finish(set_up(folds.requests[0], lambda: False)).train(lambda: False))
    first = (out / "fold_0" / "bundle.json").read_bytes()
    prepared = {path.name for path in (out / "prepared").iterdir()}
    assert len(prepared) == 2
    running = finish(set_up(folds.requests[1], lambda: False)).train(_after_an_update(out / "fold_1.work"))
    with pytest.raises(Cancelled):
        finish(running)
    assert (out / "fold_1.work" / "checkpoint.pt").is_file()
    shown = run("inspect", out, "--json").json
    assert (shown["unfinished"], [one["folder"] for one in shown["members"]]) == (["fold_1"], ["fold_0"])
    with pytest.raises(BundleError, match=r"not whole: fold_1 .*--resume"):
        fold_paths(out)
    assert run("train", dataset, "--cv", "--resume", "-o", out, *HOW).code == 0
    assert (out / "fold_0" / "bundle.json").read_bytes() == first
    begins = [json.loads(line) for line in (out / "fold_1" / "events.jsonl").read_text().splitlines()]
    assert [line["resumed"] for line in begins if line["event"] == "begin"][-1]
    undisturbed, resumed = (load(folder / "fold_1").network.state_dict() for folder in (trained, out))
    assert all((undisturbed[name] == resumed[name]).all() for name in undisturbed)


def test_every_fold_is_fine_tuned_from_one_bundle_with_its_plan(dataset: Path, tmp_path: Path) -> None:
    start = made.bundle_folder(tmp_path / "start")
    asked = TrainRequest(dataset, initial=start, out=tmp_path / "cv", device="cpu", prepared=tmp_path / "mine")
    folds = finish(set_up_folds(asked, lambda: False))
    assert [(one.fold, one.plan, one.initial, one.prepared) for one in folds.requests] == [
        (number, None, start, tmp_path / "mine") for number in range(2)
    ]
    assert not folds.own_cases
    assert json.loads((tmp_path / "cv" / "cross_validation.json").read_text())["finished"] == []


def _after_an_update(work: Path) -> Any:
    def cancel() -> bool:
        file = work / "events.jsonl"
        return file.is_file() and '"update"' in file.read_text()

    return cancel


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--fold", 0), "--fold does not go with --cv"),
        (("--devices", 2), "--cv trains on one device"),
        (("--fork", "somewhere.work"), "--fork does not go with --cv"),
        (("--from", "hippocampus-unet"), "--window does not go with --from"),
    ],
)
def test_options_of_a_single_training_are_refused(
    run: Run, dataset: Path, tmp_path: Path, words: tuple[Any, ...], sentence: str
) -> None:
    outcome = run("train", dataset, "--cv", "-o", tmp_path / "cv", *HOW, *words)
    assert outcome.code == 2
    assert sentence in outcome.sentence
    assert not (tmp_path / "cv").exists()


def test_another_window_does_not_go_on(run: Run, dataset: Path, trained: Path) -> None:
    outcome = run("train", dataset, "--cv", "--resume", "-o", trained, *HOW[:-1], "8x8x16")
    assert outcome.code == 2
    assert "was begun with the window (8, 16, 16)" in outcome.sentence
    outcome = run("train", dataset, "--cv", "-o", trained, *HOW)
    assert "add --resume to go on" in outcome.sentence


def test_a_folder_of_folds_is_averaged_as_its_members(run: Run, trained: Path, tmp_path: Path) -> None:
    scan = made.scan(tmp_path / "case.nii.gz", seed=9)
    how = ("--device", "cpu", "--precision", "float32")
    together = run("predict", scan, "-m", trained, "-o", tmp_path / "a", "--json", *how)
    each = ("-m", trained / "fold_0", "-m", trained / "fold_1")
    apart = run("predict", scan, *each, "-o", tmp_path / "b", "--json", *how)
    assert together.code == apart.code == 0
    first, second = (io.read_labels(tmp_path / name / "case.nii.gz") for name in "ab")
    assert (first.data == second.data).all()
    assert together.json["bundle"] == apart.json["bundle"] == "whole-fold-0 + whole-fold-1"
    voted = run("predict", scan, "-m", trained, "-o", tmp_path / "c", "--members", *how)
    assert voted.code == 0


def test_inspect_says_what_a_folder_of_folds_holds(run: Run, trained: Path) -> None:
    document = run("inspect", trained, "--json").json
    assert document["kind"] == "ensemble"
    assert [one["name"] for one in document["members"]] == ["whole-fold-0", "whole-fold-1"]
    assert document["labels"] == {"0": "background", "1": "one", "2": "two"}
    assert document["pooled"]["dice"]["n"] == 4
    assert "95 % interval" in run("inspect", trained).out


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_folder_of_folds_is_called_as_it_was_given(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(trained)
    assert fold_facts(trained)["name"] == "whole"
    assert fold_facts(tmp_path / "mine")["name"] == "mine"


def test_a_command_that_takes_one_bundle_says_how_to_give_one(run: Run, trained: Path, tmp_path: Path) -> None:
    outcome = run("models", "verify", trained)
    assert outcome.code != 0
    assert f"a folder of folds; give one of them, e.g. {trained / 'fold_0'}" in outcome.sentence


def test_folds_of_other_labels_are_refused_by_name(run: Run, trained: Path, tmp_path: Path) -> None:
    other = load(trained / "fold_1")
    shutil.rmtree(trained / "fold_1")
    plan = other.plan.model_copy(update={"labels": {0: "background", 1: "one", 2: "three"}})
    save(replace(other, plan=plan), trained / "fold_1")
    scan = made.scan(tmp_path / "case.nii.gz")
    outcome = run("predict", scan, "-m", trained, "-o", tmp_path / "out")
    assert outcome.code != 0
    assert "fold_0 has labels" in outcome.sentence
    assert "fold_1" in outcome.sentence


def test_folds_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        made.bundle_folder(tmp_path / "many" / f"fold_{number}")
    assert [path.name for path in fold_paths(tmp_path / "many")] == ["fold_0", "fold_2", "fold_10"]
    assert member_paths(["hippocampus-unet", tmp_path / "many"])[0] == "hippocampus-unet"
    assert len(load_members([tmp_path / "many"])) == 3
    assert not is_fold_folder(tmp_path / "many" / "fold_0")


def test_a_case_that_two_folds_hold_back_counts_once(trained: Path) -> None:
    record = card(trained / "fold_0")
    held = record["provenance"]["held_back"]
    metrics = record["metrics"]
    rows = [{**row, "dice": {"one": 0.5, "two": None}} for row in metrics["validation"]["per_case"]]
    for number in (0, 1):
        changed = {**metrics, "validation": {**metrics["validation"], "per_case": rows}}
        provenance = {**card(trained / f"fold_{number}")["provenance"], "held_back": held}
        annotate(trained / f"fold_{number}", {"metrics": changed, "provenance": provenance})
    pooled = pooled_scores({number: trained / f"fold_{number}" for number in (0, 1)})
    assert (pooled["cases"], len(pooled["per_case"])) == (2, 4)
    assert pooled["dice_per_label"]["one"] == {"n": 2, "mean": 0.5, "ci95": [0.5, 0.5]}
    assert pooled["dice_per_label"]["two"] == {"n": 0, "mean": None, "ci95": [None, None]}


def test_folds_whose_windows_were_chosen_after_training_get_those_that_suit_all(tmp_path: Path) -> None:
    asked = method("cdlunet")
    plan = asked.adapt(Plan.example(labels=3, window=(16, 32, 32), base_width=4))
    for number, least in enumerate((1.0, 0.9)):
        made_by = asked.covering(least)
        about: dict[str, Any] = {
            "name": f"fold {number}",
            "coverage": {"labels": {"liver": least}, "least": least, "cases": 1},
        }
        if made_by != asked:
            about["provenance"] = {"chosen_after_training": {"windows": "adaptive"}}
        save(Bundle(made_by, plan, made_by.build(plan).eval(), about), tmp_path / "light" / f"fold_{number}")
    loaded = load_members([tmp_path / "light"])
    assert [one.method.to_json()["options"]["windows"] for one in loaded] == ["regular", "regular"]
    assert check_compatible(loaded)
    per_fold = [{"fold": number, "digest": one.digest} for number, one in enumerate(loaded)]
    summary = {"folds": 2, "dice": {}, "dice_per_label": {}, "per_fold": per_fold}
    (tmp_path / "light" / "cross_validation.json").write_text(json.dumps(summary))
    one_by_one = load_members([one.path for one in loaded if one.path is not None])
    assert [one.method for one in check_compatible(one_by_one)] == [one.method for one in loaded]


@pytest.mark.parametrize("content", ["not JSON", "[]", "{}", '{"folds": 1e9, "dice": {}, "dice_per_label": {}}'])
def test_a_damaged_summary_is_named(run: Run, tmp_path: Path, content: str) -> None:
    made.bundle_folder(tmp_path / "folds" / "fold_0")
    (tmp_path / "folds" / "cross_validation.json").write_text(content)
    outcome = run("predict", made.scan(tmp_path / "a.nii.gz"), "-m", tmp_path / "folds", "-o", tmp_path / "out")
    assert outcome.code != 0
    assert "cross_validation.json" in outcome.sentence
    assert "copy it again" in outcome.sentence
