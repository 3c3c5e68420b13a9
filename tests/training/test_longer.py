"""Checkpoints that are kept, runs that are made longer or forked, averaged weights, windows in several passes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pytest
import torch

from cases import ball, drain, small_plan
from voxtrace.bundle import load
from voxtrace.errors import Cancelled, InputError, OutputError, UsageError
from voxtrace.method import poly
from voxtrace.methods import diffusion, method
from voxtrace.trace import Trace
from voxtrace.training import train, watch
from voxtrace.training.average import WeightAverage
from voxtrace.training.config import TrainConfig
from voxtrace.training.events import read_events
from voxtrace.training.fork import fork_run
from voxtrace.training.kept import BestWeights, Keeping
from voxtrace.training.schedule import fall_begins, rate_factor
from voxtrace.training.training_run import TrainingRun
from voxtrace.training.validation import quick_dice

pytestmark = pytest.mark.numeric
CASES = [ball(seed) for seed in range(4)]


def _train(out: Path, iterations: int = 10, name: str = "unet", **about: Any) -> Any:
    given = {"device": "cpu", "precision": "float32", "half": False, **about}
    return train(method(name), small_plan(iterations=iterations), CASES, out=out, **given)


def _weights(out: Path) -> dict[str, torch.Tensor]:
    return load(out).network.state_dict()


def _same(a: Path, b: Path) -> bool:
    first, second = _weights(a), _weights(b)
    return all(torch.equal(first[name], second[name]) for name in first)


def _stopped(out: Path, after: int, **about: Any) -> None:
    answers = iter([False] * (len(CASES) + after) + [True])
    with pytest.raises(Cancelled):
        drain(_train(out, cancel=lambda: next(answers), **about))


def test_a_finished_run_made_longer_is_one_that_was_longer_from_the_start(tmp_path: Path) -> None:
    constant = {"rate_schedule": "constant"}
    drain(_train(tmp_path / "long", 20, **constant))
    drain(_train(tmp_path / "b", 10, **constant))
    first = _weights(tmp_path / "b")
    drain(_train(tmp_path / "b", 20, resume=True, **constant))
    assert _same(tmp_path / "b", tmp_path / "long")
    assert not all(torch.equal(first[name], value) for name, value in _weights(tmp_path / "b").items())
    assert load(tmp_path / "b").card["provenance"]["iterations"] == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "long"]


def test_a_run_that_is_made_longer_goes_on_with_its_preview(tmp_path: Path) -> None:
    how = {"rate_schedule": "constant", "preview": CASES[1].name, "validate_every": 3}
    drain(_train(tmp_path / "long", 18, **how))
    drain(_train(tmp_path / "b", 9, **how))
    with pytest.raises(OutputError, match=r"b\.preview exists already"):  # the preview is of another case
        drain(_train(tmp_path / "b", 18, resume=True, **{**how, "preview": CASES[0].name}))
    drain(_train(tmp_path / "b", 18, resume=True, **how))
    made, whole = (Trace.load(tmp_path / f"{name}.preview") for name in ("b", "long"))
    assert made.facts["iteration"][:, 0].tolist() == [3, 6, 9, 12, 15, 18]
    assert np.array_equal(made.labels[:], whole.labels[:])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "b.preview", "long", "long.preview"]


def test_a_stopped_run_does_not_mix_two_cases_in_its_preview(tmp_path: Path) -> None:
    how = {"preview": CASES[1].name, "validate_every": 3}
    _stopped(tmp_path / "b", 5, **how)
    for moved in (False, True):
        if moved:
            (tmp_path / "b.preview").rename(tmp_path / "elsewhere")
        with pytest.raises(OutputError, match=r"b\.preview shows another case than .*; give --preview that one"):
            drain(_train(tmp_path / "b", resume=True, **{**how, "preview": CASES[0].name}))
    drain(_train(tmp_path / "b", resume=True, **how))
    made = Trace.load(tmp_path / "b.preview")
    assert made.provenance.scan == CASES[1].name
    assert made.facts["iteration"][:, 0].tolist() == [3, 6, 9]


def test_a_run_does_not_add_to_the_preview_of_another(tmp_path: Path) -> None:
    how = {"rate_schedule": "constant", "preview": CASES[1].name}
    drain(_train(tmp_path / "other", 10, validate_every=4, **how))
    drain(_train(tmp_path / "b", 10, validate_every=5, **how))
    rmtree(tmp_path / "b.preview")
    (tmp_path / "other.preview").rename(tmp_path / "b.preview")
    with pytest.raises(OutputError, match=r"b\.preview exists already; move it away, or train without --preview"):
        drain(_train(tmp_path / "b", 20, resume=True, validate_every=5, **how))


def test_a_stopped_run_is_made_longer_from_where_its_rate_fell(tmp_path: Path) -> None:
    constant = {"rate_schedule": "constant"}
    drain(_train(tmp_path / "long", 20, **constant))
    _stopped(tmp_path / "b", 9, **constant)  # the rate of ten falls from the ninth on
    drain(_train(tmp_path / "b", 20, resume=True, **constant))
    assert _same(tmp_path / "b", tmp_path / "long")


def test_a_lengthened_run_that_is_stopped_goes_on(tmp_path: Path) -> None:
    constant = {"rate_schedule": "constant"}
    drain(_train(tmp_path / "long", 20, **constant))
    drain(_train(tmp_path / "b", 10, **constant))
    answers = iter([False] * (2 * len(CASES) + 3) + [True])
    with pytest.raises(Cancelled):
        drain(_train(tmp_path / "b", 20, resume=True, cancel=lambda: next(answers), **constant))
    assert load(tmp_path / "b").card["provenance"]["iterations"] == 10  # until the longer one is done
    drain(_train(tmp_path / "b", 20, resume=True, **constant))
    assert _same(tmp_path / "b", tmp_path / "long")


def test_a_rate_that_falls_from_the_start_cannot_be_drawn_out(tmp_path: Path) -> None:
    _stopped(tmp_path / "b", 4)
    with pytest.raises(InputError, match="iterations"):
        drain(_train(tmp_path / "b", 20, resume=True))
    with pytest.raises(InputError, match="begun with --rate-schedule method; resume with the same"):
        drain(_train(tmp_path / "b", 10, resume=True, rate_schedule="constant"))


def test_a_constant_rate_keeps_a_warm_up_and_falls_at_the_end() -> None:
    def warmed(i: int, n: int) -> float:
        return min(1.0, (i + 1) / 4) * (1 - i / n)

    factors = [rate_factor("constant", warmed, i, 20) for i in range(20)]
    assert factors[:3] == pytest.approx([0.25, 0.475, 0.675])
    assert set(factors[4:16]) == {1.0}
    assert factors[16:] == pytest.approx([1.0, 0.75, 0.5, 0.25])
    assert rate_factor("method", poly, 5, 20) == poly(5, 20)
    assert fall_begins(1) == 0


def test_a_fork_goes_on_from_a_checkpoint_and_leaves_the_first_run_alone(tmp_path: Path) -> None:
    _stopped(tmp_path / "a", 6, keep_every=2)
    work = tmp_path / "a.work"
    assert sorted(path.name for path in work.glob("checkpoint-*")) == [f"checkpoint-{n:06d}.pt" for n in (2, 4, 6)]
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    fork_run(work / "checkpoint-000002.pt", tmp_path / "b.work")
    drain(_train(tmp_path / "b", resume=True))
    drain(_train(tmp_path / "whole"))
    assert _same(tmp_path / "b", tmp_path / "whole")
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()} == before
    fork_run(work, tmp_path / "c.work")
    drain(_train(tmp_path / "c", resume=True, rate=0.1))
    assert not _same(tmp_path / "c", tmp_path / "whole")


def test_a_fork_of_nothing_or_into_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no run with a checkpoint"):
        fork_run(tmp_path / "nothing.work", tmp_path / "b.work")
    _stopped(tmp_path / "a", 3)
    with pytest.raises(OutputError, match="an unfinished run lies in"):
        fork_run(tmp_path / "a.work", tmp_path / "a.work")


def test_a_checkpoint_is_due_by_time_and_at_the_end(tmp_path: Path) -> None:
    now = [0.0]
    keeping = Keeping(tmp_path, TrainConfig(), 0, 100, True, clock=lambda: now[0])
    assert not keeping.due(1)
    now[0] = 300.0
    assert keeping.due(2)
    keeping.saved(2)
    assert not keeping.due(3)
    assert keeping.due(100)
    assert Keeping(tmp_path, TrainConfig(checkpoint_every=3), 0, 100, True).due(6)
    assert Keeping(tmp_path, TrainConfig(rate_schedule="constant"), 0, 100, True).due(80)


def test_the_best_weights_are_those_of_the_best_validation(tmp_path: Path) -> None:
    about: dict[str, Any] = {"validate": CASES[:1], "validate_every": 1, "rate": 1.0}  # a rate that overshoots
    bundle = drain(_train(tmp_path / "best", weights="best", **about))
    seen = [point["validation_dice"] for point in bundle.card["metrics"]["curve"] if "validation_dice" in point]
    assert bundle.card["metrics"]["validation"]["dice"]["mean"] == pytest.approx(max(seen), abs=1e-4)
    last = drain(_train(tmp_path / "last", **about))
    assert last.card["metrics"]["validation"]["dice"]["mean"] == pytest.approx(seen[-1], abs=1e-4)
    assert max(seen) > seen[-1]  # else this shows nothing


def test_averaged_weights_follow_their_formula_and_leave_what_is_masked_at_zero() -> None:
    network = torch.nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[1.0, 0.0]]))
    average = WeightAverage(network, 0.9)
    expected = 1.0
    for n in range(1, 4):
        with torch.no_grad():
            network.weight.copy_(torch.tensor([[1.0 + n, 0.0]]))
        network.weight.grad = torch.zeros(1, 2)
        average.add()
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * (1.0 + n)
    average.values["weight"][0, 1] = 5.0
    with average.applied():
        assert network.weight.tolist() == [[pytest.approx(expected), 0.0]]
    assert network.weight.tolist() == [[4.0, 0.0]]


def test_a_part_that_left_the_training_keeps_its_average() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False))
    average = WeightAverage(network, 0.9)
    before = average.values["0.weight"].clone()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1.0)
    network[1].weight.grad = torch.zeros(1, 1)
    average.add()
    assert torch.equal(average.values["0.weight"], before)  # no gradient: the update did not learn it
    assert average.values["1.weight"] > network[1].weight.detach() - 1.0


@pytest.mark.parametrize("name", ["unet", "e2enet"])
def test_averaged_weights_go_on_exactly_where_they_stopped(tmp_path: Path, name: str) -> None:
    drain(_train(tmp_path / "whole", name=name, average=0.9))
    drain(_train(tmp_path / "plain", name=name))
    _stopped(tmp_path / "b", 5, name=name, average=0.9)
    drain(_train(tmp_path / "b", name=name, average=0.9, resume=True))
    assert _same(tmp_path / "b", tmp_path / "whole")
    assert not _same(tmp_path / "plain", tmp_path / "whole")
    assert load(tmp_path / "whole").card["provenance"]["average"] == 0.9
    assert "average" not in load(tmp_path / "plain").card["provenance"]


@pytest.mark.parametrize("name", ["unet", "recyclenet", "diffusion"])
def test_windows_in_two_passes_have_the_loss_of_one(tmp_path: Path, name: str) -> None:
    curves = [
        [list(p.loss.values()) for p in _train(tmp_path / str(n), 6, name, accumulate=n) if p.loss] for n in (1, 2)
    ]
    assert len(curves[0]) == 6
    for one, two in zip(*curves, strict=True):
        assert two == pytest.approx(one, abs=1e-4)
    with pytest.raises(UsageError, match="2 windows in an update cannot be spread evenly over 3 passes"):
        drain(_train(tmp_path / "c", accumulate=3))


def test_a_bundle_that_took_its_place_before_its_run_was_killed_is_finished(tmp_path: Path) -> None:
    import json

    drain(_train(tmp_path / "b", 4))
    digest = load(tmp_path / "b").digest
    (tmp_path / "b.work").mkdir()
    (tmp_path / "b.work" / "placed.json").write_text(json.dumps({"digest": digest}))
    (tmp_path / "b.work" / "checkpoint.pt").write_bytes(b"left")
    assert drain(_train(tmp_path / "b", 4, resume=True)).digest == digest
    assert not (tmp_path / "b.work").exists()
    assert math.isfinite(sum(float(value.float().sum()) for value in _weights(tmp_path / "b").values()))


def _dice(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Let the next validations during training find these values."""
    answers = iter(values)
    monkeypatch.setattr(watch, "quick_dice", lambda *given: replace(quick_dice(*given), dice=next(answers)))


def test_a_fork_and_a_longer_run_keep_the_best_weights_until_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about: dict[str, Any] = {"validate": CASES[:1], "validate_every": 2, "weights": "best", "rate_schedule": "constant"}
    falling = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
    _dice(monkeypatch, falling)
    _stopped(tmp_path / "a", 5, **about)
    fork_run(tmp_path / "a.work", tmp_path / "b.work")
    _dice(monkeypatch, falling[2:])
    drain(_train(tmp_path / "b", resume=True, **about))
    _dice(monkeypatch, falling[4:])
    drain(_train(tmp_path / "b", 14, resume=True, **about))
    _dice(monkeypatch, falling)
    drain(_train(tmp_path / "long", 14, **about))
    assert _same(tmp_path / "b", tmp_path / "long")
    _dice(monkeypatch, falling)
    drain(_train(tmp_path / "last", 14, **{**about, "weights": "last"}))
    assert not _same(tmp_path / "b", tmp_path / "last")
    assert not (tmp_path / "last" / "continue_best.pt").exists()


def test_best_weights_of_another_validation_are_not_gone_on_with(tmp_path: Path) -> None:
    best = BestWeights(tmp_path)
    best.offer({"w": torch.ones(1)}, 0.8)
    again = BestWeights(tmp_path)
    again.restore([0.7, 0.8])
    assert again.dice == 0.8
    again.restore([0.5, 0.7])  # of a checkpoint from before
    assert (again.dice, again.load()) == (-1.0, None)


def test_a_fork_after_the_fall_is_made_longer_from_before_it(tmp_path: Path) -> None:
    constant = {"rate_schedule": "constant"}
    _stopped(tmp_path / "a", 9, **constant)
    fork_run(tmp_path / "a.work", tmp_path / "b.work")
    drain(_train(tmp_path / "b", 14, resume=True, **constant))
    drain(_train(tmp_path / "long", 14, **constant))
    assert _same(tmp_path / "b", tmp_path / "long")
    (tmp_path / "a.work" / "before_fall.pt").unlink()
    with pytest.raises(InputError, match=r"began to fall at iteration 8 .*before_fall\.pt is missing"):
        drain(_train(tmp_path / "a", 14, resume=True, **constant))


def test_a_rate_that_depends_on_the_length_stays_as_it_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diffusion, "PUBLISHED_ITERATIONS", 10)  # so that 5 and 20 are on two sides of it
    about: dict[str, Any] = {"name": "diffusion", "rate_schedule": "constant"}
    short = [p.rate for p in _train(tmp_path / "b", 5, **about) if p.loss]
    answers = iter([False] * (2 * len(CASES) + 1) + [True])
    with pytest.raises(Cancelled):
        drain(_train(tmp_path / "b", 8, resume=True, cancel=lambda: next(answers), **about))
    longer = [p.rate for p in _train(tmp_path / "b", 8, resume=True, **about) if p.loss]
    assert short[3] == pytest.approx(2e-4)  # twice as short as published
    assert longer[0] == short[3]


def test_a_longer_run_keeps_the_events_from_before(tmp_path: Path) -> None:
    constant = {"rate_schedule": "constant"}
    drain(_train(tmp_path / "b", 5, **constant))
    drain(_train(tmp_path / "b", 7, resume=True, **constant))
    updates = [e["done"] for e in read_events(tmp_path / "b" / "events.jsonl") if e["event"] == "update"]
    assert updates == list(range(1, 8))


def test_the_scale_of_float16_is_gone_on_with(tmp_path: Path) -> None:
    def run() -> TrainingRun:
        config = TrainConfig(device="cpu", precision="float32")
        made = TrainingRun(method("unet"), small_plan(), config, tmp_path / "b", lambda: False)
        made.work.mkdir(exist_ok=True)
        made.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        return made

    first, second = run(), run()
    first.scaler.load_state_dict({**first.scaler.state_dict(), "scale": 512.0, "_growth_tracker": 7})
    first.save(0, 3, torch.optim.SGD(first.network.parameters(), 0.1), {}, [], 0.0)
    second.restore()
    assert second.scaler.get_scale() == 512.0
    assert second.scaler.state_dict()["_growth_tracker"] == 7
