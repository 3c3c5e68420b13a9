"""From a request to a training: method, plan, cases, starting weights, provenance."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cases import ball_dataset, drain, small_plan
from made import bundle_folder
from voxtrace.errors import Cancelled, DatasetError, MethodError
from voxtrace.methods import DEFAULT_METHOD
from voxtrace.plan import Plan
from voxtrace.training import TrainProgress, TrainRequest, TrainSetup, set_up, setup
from voxtrace.training.setup import method_key


def never() -> bool:
    return False


@pytest.fixture
def balls(tmp_path: Path) -> Path:
    """Five balls, with a licence."""
    folder = ball_dataset(tmp_path / "balls")
    file = folder / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "name": "Balls/1", "licence": "CC0"}))
    return folder


def made(request: TrainRequest) -> TrainSetup:
    return drain(set_up(request, never))


def test_a_request_loads_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from voxtrace.training import TrainRequest; TrainRequest('d'); "
        "print(*[name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == ""


def test_every_public_name_of_training_is_there() -> None:
    from voxtrace import training

    assert all(getattr(training, name) is not None for name in training.__all__)
    with pytest.raises(AttributeError, match="no attribute 'recipe_book'"):
        _ = training.recipe_book


def test_what_is_not_said_has_a_default(balls: Path) -> None:
    ready = made(TrainRequest(balls))
    assert ready.method.key == "recyclenet"
    assert ready.out == Path("Balls_1-recyclenet")
    assert (len(ready.cases), len(ready.validate)) == (5, 0)
    assert ready.initial is None
    assert ready.about == {
        "provenance": {"dataset": "Balls/1", "fold": None, "dataset_licence": "CC0"},
        "licence": "CC0 (the training data's)",
    }


def test_what_is_said_is_taken(balls: Path, tmp_path: Path) -> None:
    ready = made(
        TrainRequest(
            balls,
            method="e2enet",
            options={"sparsity": 0.5},
            fold=1,
            out=tmp_path / "x",
            name="x y",
            iterations=7,
            batch_size=3,
        )
    )
    assert ready.method.to_json()["options"]["sparsity"] == 0.5
    assert (len(ready.cases), len(ready.validate)) == (4, 1)
    assert (ready.plan.iterations, ready.plan.batch_size) == (7, 3)
    assert (ready.out, ready.about["name"], ready.about["provenance"]["fold"]) == (tmp_path / "x", "x y", 1)


def test_planning_reports_each_case_and_can_be_stopped(balls: Path) -> None:
    with pytest.raises(Cancelled, match="nothing was written"):
        drain(set_up(TrainRequest(balls), lambda: True))
    events = list(set_up(TrainRequest(balls, fold=0), never))
    assert events == [TrainProgress("plan", n, 5) for n in (1, 2, 3, 4, 5)]  # the one held back, too


def test_every_fold_and_method_has_one_plan_which_is_made_once(balls: Path) -> None:
    first = made(TrainRequest(balls, fold=0))
    events = list(set_up(TrainRequest(balls, fold=1, method="unet"), never))
    assert events == []
    assert made(TrainRequest(balls, fold=1, method="unet")).plan == first.plan


@pytest.mark.parametrize("method", [None, "recyclenet", "unet"])
def test_fine_tuning_takes_the_bundles_plan_and_where_it_can_its_method(
    balls: Path, tmp_path: Path, method: str | None
) -> None:
    start = bundle_folder(tmp_path / "tiny", cycles=2)
    events: list[TrainProgress] = []
    ready = drain(_recorded(TrainRequest(balls, method=method, initial=start, iterations=5), events))
    assert ready.initial is not None
    assert ready.plan.window == ready.initial.plan.window
    assert ready.plan.labels == {0: "background", 1: "ball"}
    assert ready.plan.iterations == 5
    assert ready.method.key == (method or "recyclenet")
    assert ready.method.steps == (1 if method == "unet" else 2)
    assert events == []  # nothing is planned, so no case is read


def _recorded(request: TrainRequest, events: list[TrainProgress]) -> Any:
    task = set_up(request, never)
    while True:
        try:
            events.append(next(task))
        except StopIteration as end:
            return end.value
        yield


def test_the_method_is_known_before_anything_is_loaded(tmp_path: Path) -> None:
    start = bundle_folder(tmp_path / "tiny")
    assert method_key(None, None) == DEFAULT_METHOD
    assert method_key("unet", start) == "unet"
    assert method_key(None, start) == "recyclenet"


def test_what_cannot_be_trained_is_refused_before_anything_is_read(balls: Path) -> None:
    with pytest.raises(MethodError, match="no method 'alchemy'"):
        next(set_up(TrainRequest(balls, method="alchemy"), never))
    with pytest.raises(DatasetError, match="fold 9 was asked for"):
        next(set_up(TrainRequest(balls, fold=9), never))


def test_seed_rate_precision_and_workers_reach_the_trainer(
    balls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("voxtrace.training.trainer.train", lambda *positional, **named: given.update(named))
    wanted = {"device": "cpu", "precision": "float32", "seed": 3, "rate": 0.5, "workers": 1, "resume": True}
    made(TrainRequest(balls, out=tmp_path / "b", **wanted)).train(never)  # type: ignore[arg-type]
    assert {name: given[name] for name in wanted} == wanted


def test_the_phases_are_those_that_will_be_trained(balls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan: Plan = small_plan(iterations=20)
    monkeypatch.setattr(setup, "plan_dataset", lambda dataset, found, **about: plan)
    ready = made(TrainRequest(balls, method="cdlunet"))
    assert [phase.name for phase in ready.phases] == [p.name for p in ready.method.phases(ready.method.adapt(plan))]
    assert sum(phase.iterations for phase in ready.phases) == 20
