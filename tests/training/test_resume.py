"""What --resume goes on with, what it refuses, and what it says of a bundle that is finished."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cases import ball_dataset, drain, small_plan
from voxtrace.bundle import card, load
from voxtrace.errors import Cancelled, InputError
from voxtrace.io import read_labels, write
from voxtrace.training import TrainProgress, TrainRequest, set_up, setup
from voxtrace.training.chunked import ChunkedArray


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A request for four iterations on four of five balls."""

    def small(dataset: Any, found: Any, **about: Any) -> Any:
        return small_plan(iterations=4, labels=dataset.labels, channels=dataset.channels)

    monkeypatch.setattr(setup, "plan_dataset", small)
    folder = ball_dataset(tmp_path / "balls")
    wanted = {"method": "unet", "fold": 0, "device": "cpu", "precision": "float32", "out": tmp_path / "b"}
    return {"dataset": folder, **wanted}


def trained(asked: dict[str, Any], **changes: Any) -> list[TrainProgress]:
    request = TrainRequest(**{**asked, **changes})
    return list(drain(set_up(request, lambda: False)).train(lambda: False))


def stopped(asked: dict[str, Any], after: int = 6) -> None:
    """Stop a run; by default between its updates, at a checkpoint."""
    count = itertools.count()
    with pytest.raises(Cancelled):
        drain(drain(set_up(TrainRequest(**asked), lambda: False)).train(lambda: next(count) >= after))
    assert (asked["out"].parent / "b.work" / "run.json").is_file()


def correct(folder: Path, name: str = "ball_000") -> None:
    file = folder / "labelsTr" / f"{name}.nii.gz"
    labels = read_labels(file)
    data = labels.data.copy()
    data[:2] = 1
    write(replace(labels, data=data), file)


def said(events: list[TrainProgress]) -> list[str]:
    return [event.message for event in events if event.message]


def _swap(folder: Path) -> None:
    """Give the same names to other images."""
    shutil.rmtree(folder)
    ball_dataset(folder, 8)
    for kind, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        for n in range(3):
            (folder / kind / f"ball_00{n + 5}{ending}").replace(folder / kind / f"ball_00{n}{ending}")
        for n in (3, 4):
            shutil.copy(folder / kind / f"ball_00{n - 3}{ending}", folder / kind / f"ball_00{n}{ending}")


def _rename_label(folder: Path) -> None:
    record = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**record, "labels": {"background": 0, "box": 1}}))


@pytest.mark.parametrize(
    ("change", "more", "told"),
    [
        (None, {"fold": 1}, r"another fold \(0, now 1\)"),
        (None, {"fold": None}, r"another fold \(0, now none\)"),
        (None, {"seed": 1}, r"another seed \(0, now 1\)"),
        (None, {"average": 0.9}, r"another average \(0\.0, now 0\.9\)"),
        (None, {"iterations": 9}, r"another iterations \(4, now 9\)"),
        (None, {"batch_size": 1}, r"another batch size \(2, now 1\)"),
        (None, {"method": "recyclenet"}, r"another method \(unet, now recyclenet\)"),
        (_rename_label, {}, r"another labels"),
        (_swap, {}, "training images are others"),
    ],
    ids=["fold", "all cases", "seed", "average", "iterations", "batch", "method", "labels", "images"],
)
def test_a_run_of_something_else_is_refused(
    asked: dict[str, Any], change: Callable[[Path], None] | None, more: dict[str, Any], told: str
) -> None:
    stopped(asked)
    if change:
        change(asked["dataset"])
    with pytest.raises(InputError, match=told):
        trained(asked, resume=True, **more)
    assert not asked["out"].exists()


def test_a_corrected_label_is_prepared_anew_and_told(asked: dict[str, Any]) -> None:
    stopped(asked)
    work = asked["out"].parent / "b.work"
    name = json.loads((work / "run.json").read_text())["known"]["training"][0]["name"]
    correct(asked["dataset"], name)
    setup = drain(set_up(TrainRequest(**asked, resume=True), lambda: False))
    events, prepared = [], None
    for event in setup.train(lambda: False):
        events.append(event)
        if event.message.startswith("changed"):
            prepared = int((ChunkedArray(work / "cases" / "00000" / "labels.zarr")[:2] == 1).sum())
    assert prepared == 2 * 16 * 16
    (sentence,) = [text for text in said(events) if text.startswith("changed since")]
    assert f"labels of {name}; prepared anew, training goes on with them from iteration" in sentence
    (row,) = card(asked["out"])["provenance"]["changed_during_training"]
    assert (row["name"], row["what"]) == (name, ["labels"])
    assert row["after_iterations"] > 0


def test_the_plan_and_options_of_a_run_need_not_be_said_again(asked: dict[str, Any]) -> None:
    words = {**asked, "method": "recyclenet", "options": {"train_cycles": 2}, "iterations": 5}
    stopped(words)
    trained({**asked, "method": "recyclenet"}, resume=True)
    made = load(asked["out"])
    assert (made.plan.iterations, made.method.to_json()["options"]["train_cycles"]) == (5, 2)


def test_a_finished_bundle_says_so_and_stays_as_it_is(asked: dict[str, Any]) -> None:
    trained(asked)
    before = load(asked["out"])
    assert said(trained(asked, resume=True)) == [f"{asked['out']} is finished with 4 iterations; nothing done"]
    after = load(asked["out"])
    assert after.digest == before.digest
    assert all(
        torch.equal(value, after.network.state_dict()[name]) for name, value in before.network.state_dict().items()
    )


def test_a_finished_bundle_of_something_else_is_refused(asked: dict[str, Any]) -> None:
    trained(asked)
    with pytest.raises(InputError, match=r"is finished, and had another fold \(0, now 1\); .*choose another --out"):
        trained(asked, resume=True, fold=1)
    with pytest.raises(InputError, match=r"finished with 4 iterations, and 10 .* --from .* --iterations 6"):
        trained(asked, resume=True, iterations=10)
    with pytest.raises(InputError, match=r"another iterations \(4, now 2\)"):
        trained(asked, resume=True, iterations=2)
    held_back = card(asked["out"])["provenance"]["held_back"][0]["name"]
    correct(asked["dataset"], held_back)
    with pytest.raises(InputError, match=f"these changed since: labels of {held_back}; train again"):
        trained(asked, resume=True)


def test_the_card_says_what_was_trained_on_and_how(asked: dict[str, Any]) -> None:
    trained(asked)
    provenance = card(asked["out"])["provenance"]
    names = [case["name"] for part in ("training", "held_back") for case in provenance[part]]
    assert sorted(names) == [f"ball_00{n}" for n in range(5)]
    assert (provenance["cases"], len(provenance["held_back"]), provenance["fold"]) == (4, 1, 0)
    for case in (*provenance["training"], *provenance["held_back"]):
        assert [len(digest) for digest in (*case["images"], case["labels"])] == [64, 64]
    assert {"voxtrace", "torch", "numpy", "python"} == set(provenance["versions"])
    assert (provenance["precision"], provenance["seconds"] > 0) == ("float32", True)
    told = (asked["out"] / "card.md").read_text(encoding="utf-8")
    trained_on, held_back = (", ".join(case["name"] for case in provenance[p]) for p in ("training", "held_back"))
    assert f"- trained on, 4: {trained_on}\n- held back, 1: {held_back}\n" in told


def test_anonymous_names_do_not_reach_the_card_and_are_compared_by_hash(asked: dict[str, Any]) -> None:
    trained(asked, anonymous_names=True)
    for file in ("bundle.json", "card.md"):
        assert "ball_0" not in (asked["out"] / file).read_text(encoding="utf-8")
    assert "nothing done" in said(trained(asked, resume=True, anonymous_names=True))[0]
    correct(asked["dataset"])
    with pytest.raises(InputError, match="labels of ball_000"):
        trained(asked, resume=True, anonymous_names=True)


def test_the_time_of_all_starts_is_counted(asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from voxtrace.training.training_run import TrainingRun

    monkeypatch.setattr(TrainingRun, "seconds", property(lambda run: 100.0))
    stopped(asked)
    trained(asked, resume=True)
    assert card(asked["out"])["provenance"]["seconds"] == 200.0
