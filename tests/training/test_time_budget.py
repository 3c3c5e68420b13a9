"""Time for updates is shared out over the phases, and a run that time ends is finished like any other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from cases import ball, drain, small_plan
from made_methods import Schooled
from voxtrace.bundle import load
from voxtrace.errors import Cancelled
from voxtrace.method import Phase, TrainState
from voxtrace.methods import METHODS, method
from voxtrace.methods.e2enet import E2ENet, f_decay
from voxtrace.methods.unet import UNet
from voxtrace.training import TrainProgress, train, training_run
from voxtrace.training.events import read_events
from voxtrace.training.time_budget import TimeBudget


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def phases(*iterations: int) -> list[Phase]:
    return [Phase("one", each) for each in iterations]


def test_without_minutes_nothing_ends() -> None:
    clock = Clock()
    budget = TimeBudget(None, clock)
    budget.begin_phase(phases(10))
    clock.s = 1e9
    assert (budget.fraction, budget.spent, budget.validation_due()) == (0.0, False, False)


def test_each_phase_has_its_part_of_the_time_that_is_left() -> None:
    clock = Clock()
    budget = TimeBudget(1.0, clock)
    budget.begin_phase(phases(8, 12))  # 8 of 20 iterations: 24 of 60 s
    clock.s = 12
    assert (budget.fraction, budget.spent) == (0.5, False)
    clock.s = 30  # the phase overran by 6 s
    assert budget.spent
    budget.end_phase()
    budget.begin_phase(phases(12))  # all of the 30 s that are left
    clock.s = 45
    assert budget.fraction == 0.5


def test_a_phase_has_the_least_part_of_the_time_that_it_asks_for() -> None:
    clock = Clock()
    budget = TimeBudget(1.0, clock)
    bank, *decision = [Phase("bank", 5400), *[Phase("one", 300, least_time_fraction=0.15)] * 2]
    budget.begin_phase([bank, *decision])  # 42 of 60 s, not 54
    clock.s = 21.0
    assert budget.fraction == pytest.approx(0.5)
    clock.s = 46.0  # the phase overran by 4 s
    budget.end_phase()
    budget.begin_phase(decision)
    clock.s = 49.5  # 7 of the 14 s that are left, less than 9 for each
    assert budget.fraction == pytest.approx(0.5)
    clock.s = 53.0
    budget.end_phase()
    budget.begin_phase(decision[1:])
    clock.s = 56.5
    assert budget.fraction == pytest.approx(0.5)


def test_validation_is_due_once_in_each_quarter_of_a_phase() -> None:
    clock = Clock()
    budget = TimeBudget(1.0, clock)
    budget.begin_phase(phases(1))
    due = []
    for second in range(0, 61, 5):
        clock.s = second
        if budget.validation_due():
            due.append(second)
    assert due == [15, 30, 45, 60]


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "schooled", Schooled)


def schooled(out: Path, **about: Any) -> Any:
    return train(
        Schooled(cycles=1), small_plan(), [ball(0), ball(1)], out=out, validate=[ball(2)], device="cpu", **about
    )


def test_time_ends_each_phase_and_the_bundle_says_how_far_it_came(tmp_path: Path) -> None:
    bundle = drain(schooled(tmp_path / "short", minutes=1e-9))
    provenance = bundle.card["provenance"]
    assert provenance["iterations"] == 2  # one update in each phase
    assert (provenance["planned_iterations"], provenance["minutes"]) == (5, 1e-9)


def test_a_run_in_time_ends_as_one_without_a_limit(tmp_path: Path) -> None:
    bundle = drain(schooled(tmp_path / "long", minutes=60.0))
    assert bundle.card["provenance"]["iterations"] == 5


def test_stopping_counts_over_all_phases(tmp_path: Path) -> None:
    answers = iter([False] * (2 + 4) + [True])  # after each of two cases that are prepared, and before each update
    run = schooled(tmp_path / "stopped", cancel=lambda: next(answers))
    with pytest.raises(Cancelled, match=r"stopped at iteration 4 of 5; resume"):
        drain(run)


def test_fine_tuning_says_what_it_gained_on_the_same_cases(tmp_path: Path) -> None:
    first = drain(schooled(tmp_path / "first"))
    again = drain(schooled(tmp_path / "second", initial=first, validate_every=1))
    gain = again.card["metrics"]["fine_tuning"]
    assert gain["cases"] == 1
    assert gain["dice_before"] == pytest.approx(first.card["metrics"]["validation"]["dice"]["mean"], abs=2e-3)
    assert gain["dice_after"] == again.card["metrics"]["validation"]["dice"]["mean"]


def test_a_validation_shows_the_same_case_each_time(tmp_path: Path) -> None:
    shown = [p.preview for p in schooled(tmp_path / "shown", validate_every=1) if p.preview is not None]
    assert len(shown) == 5
    assert {(p.name, p.geometry.shape) for p in shown} == {(ball(2).name, ball(2).labels.geometry.shape)}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every run in this test."""
    made = Clock()
    monkeypatch.setattr(training_run, "TimeBudget", lambda minutes: TimeBudget(minutes, made))
    return made


def timed(
    out: Path,
    clock: Clock,
    name: str,
    iterations: int,
    minutes: float,
    updates: list[TrainProgress] | None = None,
    **about: Any,
) -> list[TrainProgress]:
    """Train with a second for each update; return the report of each, which is also added to ``updates``."""
    updates = [] if updates is None else updates
    plan = small_plan(iterations=iterations)
    given = {"device": "cpu", "precision": "float32", "half": False, **about}
    for report in train(method(name), plan, [ball(0), ball(1)], out=out, minutes=minutes, **given):
        if report.loss:
            clock.s += 1.0
            updates.append(report)
    return updates


def test_a_schedule_of_the_method_follows_the_time(tmp_path: Path, clock: Clock) -> None:
    updates = timed(tmp_path / "b", clock, "recyclenet", 100, 10 / 60)
    assert len(updates) == 10
    reports = [event["method"] for event in read_events(tmp_path / "b" / "events.jsonl") if event["event"] == "update"]
    assert [report["most_cycles"] for report in reports] == [1] * 3 + [2] * 2 + [3] * 5


def test_the_connections_change_less_as_time_passes() -> None:
    phase, rng = Phase("train", 1000), torch.Generator()
    network = E2ENet().build(E2ENet().adapt(small_plan()))
    shown = [E2ENet().training_report(network, TrainState(phase, 10, rng, spent=s))["f_decay"] for s in (0, 0.5, 1)]
    assert shown == pytest.approx([f_decay(11, 1000), f_decay(500, 1000), f_decay(1000, 1000)], abs=1e-3)


def test_connections_change_as_often_in_time_as_in_a_run_without_a_limit(tmp_path: Path, clock: Clock) -> None:
    timed(tmp_path / "b", clock, "e2enet", 1000, 10 / 60)  # ΔT is 5 of 1000 iterations, and each second passes 100
    assert load(tmp_path / "b").card["network"]["topology_updates"] == 9  # at every update but the first, at 0 s


def test_connections_change_once_where_an_interval_is_passed() -> None:
    phase, e2enet, rng = Phase("train", 1000), E2ENet(), torch.Generator()
    network: Any = e2enet.build(e2enet.adapt(small_plan()))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    times, changed = [0.0, 0.004, 0.0055, 0.0056, 0.9], []  # ΔT is 5 of 1000 iterations
    for iteration, (before, spent) in enumerate(zip([0.0, *times], times, strict=False)):
        for weight in network.parameters():
            weight.grad = torch.ones_like(weight)
        already = int(network.updates)
        e2enet.after_update(network, optimiser, TrainState(phase, iteration, rng, spent=spent, spent_before=before))
        changed.append(int(network.updates) - already)
    assert changed == [0, 1, 0, 0, 1]


def test_a_curriculum_follows_the_time(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def noted(scores: Mapping[str, float], progress: float) -> float:
        seen.append(progress)
        return 1.0

    monkeypatch.setattr(UNet, "phases", lambda self, plan: (Phase("train", plan.iterations, case_weight=noted),))
    timed(tmp_path / "b", clock, "unet", 100, 10 / 60)
    assert max(seen[:-2]) == pytest.approx(0.89)  # drawn when 9 of 10 s are over; the card asks twice, at 0


def test_a_resumed_phase_has_the_time_that_it_had_left() -> None:
    clock = Clock()
    budget = TimeBudget(1.0, clock)
    budget.restore(12.0)  # of the 24 s of a phase of 8 of 20 iterations
    budget.begin_phase(phases(8, 12), 0.5)
    assert (budget.fraction, budget.validation_due()) == (0.5, False)
    clock.s = 6.0
    assert budget.fraction == pytest.approx(0.75)
    assert budget.used_s == 18.0
    clock.s = 12.0
    budget.end_phase()
    budget.begin_phase(phases(12))
    clock.s = 30.0  # 36 s were left
    assert budget.fraction == pytest.approx(0.5)
    assert budget.used_s == 42.0


def test_time_goes_on_where_a_run_was_stopped(tmp_path: Path, clock: Clock) -> None:
    whole = timed(tmp_path / "whole", clock, "unet", 40, 12.5 / 60)
    answers = iter([False] * (2 + 5) + [True])
    first: list[TrainProgress] = []
    with pytest.raises(Cancelled):
        timed(tmp_path / "b", clock, "unet", 40, 12.5 / 60, cancel=lambda: next(answers), updates=first)
    second = timed(tmp_path / "b", clock, "unet", 40, 12.5 / 60, resume=True)
    assert len(first) == 5
    assert [report.rate for report in (*first, *second)] == pytest.approx([report.rate for report in whole])
    assert load(tmp_path / "b").card["provenance"]["iterations"] == 13
    updates = [event["done"] for event in read_events(tmp_path / "b" / "events.jsonl") if event["event"] == "update"]
    assert updates == list(range(1, 14))


def test_a_run_that_time_ended_is_finished_and_made_longer_from_where_its_rate_fell(
    tmp_path: Path, clock: Clock
) -> None:
    constant = {"rate_schedule": "constant"}
    assert len(timed(tmp_path / "b", clock, "unet", 20, 10 / 60, **constant)) == 10
    digest = load(tmp_path / "b").digest
    assert timed(tmp_path / "b", clock, "unet", 20, 10 / 60, resume=True, **constant) == []
    assert load(tmp_path / "b").digest == digest
    kept = torch.load(tmp_path / "b" / "continue.pt", weights_only=True)
    assert kept["done"] == kept["iteration"] == 9  # int(0.9 · 19) = 17; at 8 it is 15, before the fall at 16
    longer = timed(tmp_path / "b", clock, "unet", 30, 30 / 60, resume=True, **constant)
    assert longer[0].rate == pytest.approx(0.01)
    assert longer[0].iteration == 10
    assert load(tmp_path / "b").card["provenance"]["iterations"] == 9 + len(longer)
