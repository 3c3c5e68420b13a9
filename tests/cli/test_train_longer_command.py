"""``voxtrace train``: checkpoints, averages, longer runs, forks, watching; ``inspect`` of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases import ball_dataset
from made import Run
from voxtrace.bundle import load
from voxtrace.trace import Trace
from voxtrace.training.events import EVENTS, read_events

SMALL = ("--fold", 0, "--batch-size", 2, "--device", "cpu", "--precision", "float32", "--method", "unet")
CONSTANT = ("--rate-schedule", "constant")


def test_a_run_is_watched_made_longer_and_inspected(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dataset, out = ball_dataset(tmp_path / "balls"), tmp_path / "b"
    watched = ("--average", 0.9, "--weights", "best", "--accumulate", 2, "--preview", "ball_000", "--tensorboard", "tb")
    outcome = run("train", dataset, *SMALL, *CONSTANT, *watched, "--iterations", 10, "-o", out)
    assert outcome.code == 0
    assert "train 10/10: loss" in outcome.err
    assert load(out).card["provenance"]["accumulate"] == 2
    assert sum(event["event"] == "update" for event in read_events(out / EVENTS)) == 10
    assert Trace.load(tmp_path / "b.preview").n_steps == 10
    assert len(list((tmp_path / "tb").iterdir())) == 1
    longer = ("train", dataset, *SMALL, *CONSTANT, "--iterations", 14, "-o", out, "--resume")
    assert "had another average (0.9, now 0.0)" in run(*longer).sentence
    again = run(*longer, "--average", 0.9)
    assert again.code == 0
    assert load(out).card["provenance"]["iterations"] == 14


def test_a_run_that_stopped_is_inspected_and_forked(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, work = ball_dataset(tmp_path / "balls"), tmp_path / "a.work"
    from voxtrace.training import phase_loop

    update = phase_loop.PhaseLoop.update

    def failing(self: phase_loop.PhaseLoop, state: object, *windows: object) -> object:
        if self.run.done == 5:
            raise RuntimeError("out of memory")
        return update(self, state, *windows)  # type: ignore[arg-type]

    monkeypatch.setattr(phase_loop.PhaseLoop, "update", failing)
    words = ("train", dataset, *SMALL, "--iterations", 8)
    assert run(*words, "-o", tmp_path / "a", "--keep-every", 4, "--checkpoint-every", 60).code != 0
    monkeypatch.undo()
    state = run("inspect", work, "--json").json
    assert (state["kind"], state["done"], state["total"], state["checkpoint_at"]) == ("training run", 5, 8, 4)
    assert "iterations_per_s" in run("inspect", work).out
    assert run(*words, "-o", tmp_path / "b", "--fork", work / "checkpoint-000004.pt").code == 0
    assert load(tmp_path / "b").card["provenance"]["iterations"] == 8
    refused = run(*words, "-o", tmp_path / "c", "--fork", tmp_path)
    assert refused.code != 0
    assert "is no run with a checkpoint" in refused.err
