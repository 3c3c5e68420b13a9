"""Med-DANet's decision network is trained anew for candidates that stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cases import ball, drain, small_plan
from voxtrace.bundle import Bundle
from voxtrace.errors import MethodError, PlanError
from voxtrace.methods import method
from voxtrace.plan import Plan
from voxtrace.training import train
from voxtrace.training.events import read_events

CASES = [ball(number) for number in range(6)]


def _train(out: Path, plan: Plan | None = None, initial: Bundle | None = None, **options: Any) -> Bundle:
    made = method("meddanet", scale=0.25, **options)
    bundle: Bundle = drain(train(made, plan or small_plan(iterations=4), CASES, out=out, initial=initial))
    return bundle


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return _train(tmp_path_factory.mktemp("bank") / "bundle")


def test_only_the_decision_network_is_trained_and_from_the_beginning(bank: Bundle, tmp_path: Path) -> None:
    made = _train(tmp_path / "b", initial=bank, bank="keep", alpha=0.02)
    before, now = bank.network.state_dict(), made.network.state_dict()
    changed = {name.partition(".")[0] for name, tensor in now.items() if not torch.equal(tensor, before[name])}
    assert changed == {"router"}
    assert made.card["provenance"]["iterations"] == 4
    told = made.card["provenance"]["initial"]["told"]
    assert "begins anew, as asked: router" in told
    assert not any("do not fit" in sentence for sentence in told)
    updates = [event for event in read_events(tmp_path / "b" / "events.jsonl") if event["event"] == "update"]
    assert [event["phase"] for event in updates] == ["presence", "presence", "router", "router"]
    phases = made.method.phases(made.plan)
    rates = [phase.optimiser.rate * phase.optimiser.schedule(0, phase.iterations) for phase in phases]
    assert [updates[0]["rate"], updates[2]["rate"]] == pytest.approx(rates)  # a phase's own, not a tenth


def test_a_kept_bank_is_examined_before_a_decision_network_is_trained_for_it(bank: Bundle, tmp_path: Path) -> None:
    """On the cases that it has not learned; the card has its verdict beside that on the choices."""
    made = _train(tmp_path / "b", initial=bank, bank="keep", alpha=0.02)
    found = made.card["metrics"]["examined"]
    assert list(found) == ["bank", "router"]
    assert found["bank"]["slices"] > 0
    assert found["bank"] == bank.card["metrics"]["examined"]["bank"], "the same bank on the same cases"
    events = [event["event"] for event in read_events(tmp_path / "b" / "events.jsonl")]
    assert events.index("examined") < events.index("update")


def test_a_bank_is_examined_on_the_validation_cases_where_there_are_any(bank: Bundle, tmp_path: Path) -> None:
    made = method("meddanet", scale=0.25, bank="keep", held_out=0.0)
    task = train(made, small_plan(iterations=2), CASES[:2], out=tmp_path / "b", initial=bank, validate=[ball(7)])
    found = drain(task).card["metrics"]["examined"]
    assert list(found) == ["bank", "router"]
    assert "skill" in found["router"]


def test_a_bank_that_is_not_there_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="keeps the candidates of a bundle of meddanet; give one with --from"):
        _train(tmp_path / "b", bank="keep")
    assert not list(tmp_path.iterdir())


def test_a_bank_that_does_not_know_a_label_is_not_kept(bank: Bundle, tmp_path: Path) -> None:
    plan = small_plan(labels={0: "background", 1: "ball", 2: "cube"}, n_labels=3)
    with pytest.raises(PlanError, match=r"that meddanet keeps as they are, e\.g\. expert1"):
        _train(tmp_path / "b", plan=plan, initial=bank, bank="keep")


def test_fine_tuning_trains_a_bank_that_was_kept_before() -> None:
    assert method("meddanet", bank="keep").fine_tuned() == method("meddanet")
