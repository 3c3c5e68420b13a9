"""Trainers are compared on one plan, by the time of their updates without the first ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from voxtrace.bench.measure import Measured
from voxtrace.bench.runner import Competitor, run_rounds
from voxtrace.bench.scenarios.training import AHEAD, DEFAULT, FLOAT32, PEER, pace_of_events, run
from voxtrace.bench.settings import BenchSettings
from voxtrace.bench.training_inputs import QUICK, TrainingPlan, make_inputs
from voxtrace.errors import EngineError
from voxtrace.training import open_dataset
from voxtrace.training.dataset_plan import read_plan

# Stands in for an interpreter with nnU-Net: an update of its trainer takes 1,000 s.
FAKE = """#!{python}
import json
print("a line of its log")
print(json.dumps({{"seconds": 1000.0, "busy": 0.5}}))
"""


def _events(file: Path, updates: list[tuple[float, float]]) -> Path:
    """Write events of updates that took and waited so many seconds each."""
    took = waited = 0.0
    lines = [{"event": "begin", "done": 0, "total": len(updates)}]
    for number, (seconds, wait) in enumerate(updates, start=1):
        took, waited = took + seconds, waited + wait
        pace = {"iterations_per_s": number / took, "busy": 1 - waited / took, "loss": {}}
        lines.append({"event": "update", "done": number, "total": len(updates), "iteration": number, **pace})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_the_first_updates_do_not_count(tmp_path: Path) -> None:
    pace = pace_of_events(_events(tmp_path / "events", [(50.0, 40.0)] * AHEAD + [(2.0, 0.5), (4.0, 1.0), (6.0, 1.5)]))
    assert (pace.seconds, pace.busy) == (pytest.approx(4.0), pytest.approx(0.75))


def test_a_run_that_tells_of_too_few_updates_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=f"tells of {AHEAD} updates, expected more than {AHEAD}"):
        pace_of_events(_events(tmp_path / "events", [(1.0, 0.0)] * AHEAD))


@pytest.mark.parametrize("wanted", [QUICK, TrainingPlan()])
def test_both_programs_are_given_the_same_plan(tmp_path: Path, wanted: TrainingPlan) -> None:
    inputs = make_inputs(BenchSettings(tmp_path, quick=True), wanted)
    ours = read_plan(inputs.plan)
    assert ours.misfit(open_dataset(inputs.dataset)) == ""
    theirs = json.loads((inputs.folder / "plans.json").read_text())["configurations"]["3d_fullres"]
    network = theirs["architecture"]["arch_kwargs"]
    assert (ours.plan.window, ours.plan.batch_size) == (wanted.window, wanted.batch)
    assert (tuple(theirs["patch_size"]), theirs["batch_size"]) == (wanted.window, wanted.batch)
    assert ours.plan.topology.widths == tuple(network["features_per_stage"]) == wanted.widths
    assert list(map(list, ours.plan.topology.strides)) == network["strides"]
    assert (ours.plan.augmentation, ours.plan.mirror_axes) == (1.0, (0, 1, 2))  # nnU-Net's recipe
    assert theirs["normalization_schemes"] == ["CTNormalization"]


def test_each_run_is_looked_at_before_the_next_empties_its_folder(tmp_path: Path) -> None:
    note = "import os, sys; open(sys.argv[1], 'x').write(str(os.getpid()))"
    out = tmp_path / "out"
    one = Competitor("one", [sys.executable, "-c", note, str(out / "pid")], out, out)
    seen: list[str] = []

    def look(competitor: Competitor, took: Measured) -> None:
        seen.append((competitor.out / "pid").read_text())

    run_rounds([one], 2, lambda _: None, look)
    assert len(set(seen)) == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_trainers_are_compared(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(0o755)
    settings = BenchSettings(tmp_path / "work", repeats=1, quick=True, peer=program, echo=lambda _: None)
    outcome = run(settings).to_json()
    assert set(outcome["runs"]) == {PEER, DEFAULT, FLOAT32}
    times = [row for row in outcome["comparisons"] if row["quantity"] == "time"]
    assert [row["ours"] for row in times] == [DEFAULT, FLOAT32]
    for row in times:
        assert row["ratio"]["of_medians"] == pytest.approx(1000.0 / row["ours_median"], rel=0.01)
    assert outcome["facts"]["time_not_spent_waiting_for_windows"][PEER] == 0.5
    assert 0.0 < outcome["facts"]["time_not_spent_waiting_for_windows"][DEFAULT] <= 1.0
    assert outcome["facts"]["precision"][FLOAT32] == "float32"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_a_peer_our_own_pace_is_reported_and_said_to_stand_alone(tmp_path: Path) -> None:
    outcome = run(BenchSettings(tmp_path, repeats=1, quick=True, echo=lambda _: None)).to_json()
    assert outcome["comparisons"] == []
    assert outcome["left_out"] == ["nnU-Net's trainer was left out; give --peer."]
    assert set(outcome["facts"]["updates_a_second"]) == {DEFAULT, FLOAT32}
