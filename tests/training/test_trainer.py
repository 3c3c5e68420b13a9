"""The training loop: progress, phases, refusing, stopping, and going on exactly where it stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from cases import ball, drain, small_plan
from voxtrace.bundle import load
from voxtrace.errors import Cancelled, InputError, OutputError
from voxtrace.method import Optimiser
from voxtrace.methods import method
from voxtrace.training import TrainProgress, train

pytestmark = pytest.mark.numeric


CASES = [ball(seed) for seed in range(4)]


def _weights(path: Path) -> dict[str, torch.Tensor]:
    return load(path).network.state_dict()


def _same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 1e-2), (250, 7.718895e-3), (500, 5.358867e-3), (750, 2.871746e-3), (999, 1.995262e-5)]
)
def test_the_rate_falls_as_published(epoch: int, rate: float) -> None:
    how = Optimiser()
    assert how.rate * how.schedule(epoch, 1000) == pytest.approx(rate, rel=1e-6)


def test_training_reports_every_iteration_and_writes_a_bundle(tmp_path: Path) -> None:
    events: list[TrainProgress] = list(
        train(method("unet"), small_plan(), CASES, out=tmp_path / "b", validate=CASES[:2], device="cpu")
    )
    iterations = [e.iteration for e in events if e.phase == "train"]
    assert iterations == list(range(1, 13))
    assert events[-1].phase == "done"
    assert any(e.validation_dice is not None for e in events)
    card = load(tmp_path / "b").card
    assert card["metrics"]["validation"]["cases"] == 2
    assert not (tmp_path / "b.work").exists()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        drain(train(method("recyclenet"), small_plan(), CASES, out=tmp_path / name, seed=seed, device="cpu"))
    assert _same(_weights(tmp_path / "a"), _weights(tmp_path / "b"))
    assert not _same(_weights(tmp_path / "a"), _weights(tmp_path / "c"))


def test_validating_on_the_way_does_not_change_the_weights(tmp_path: Path) -> None:
    drain(train(method("unet"), small_plan(), CASES, out=tmp_path / "a", device="cpu"))
    drain(train(method("unet"), small_plan(), CASES, out=tmp_path / "b", validate=CASES[:1], device="cpu"))
    assert _same(_weights(tmp_path / "a"), _weights(tmp_path / "b"))


def test_worker_processes_do_not_change_the_weights(tmp_path: Path) -> None:
    drain(train(method("unet"), small_plan(iterations=4), CASES, out=tmp_path / "a", device="cpu"))
    drain(train(method("unet"), small_plan(iterations=4), CASES, out=tmp_path / "b", device="cpu", workers=1))
    assert _same(_weights(tmp_path / "a"), _weights(tmp_path / "b"))


@pytest.mark.parametrize("name", ["recyclenet", "e2enet", "diffusion"])
def test_a_cancelled_run_goes_on_exactly_where_it_stopped(tmp_path: Path, name: str) -> None:
    """What a method draws or counts is the same, too: cycles; masks and their updates; times and noise."""
    plan, m = small_plan(), method(name)
    drain(train(m, plan, CASES, out=tmp_path / "whole", device="cpu", half=False))
    asked = iter(range(1000))
    with pytest.raises(Cancelled, match="resume continues there"):
        drain(train(m, plan, CASES, out=tmp_path / "b", device="cpu", half=False, cancel=lambda: next(asked) >= 9))
    assert not (tmp_path / "b").exists()
    drain(train(m, plan, CASES, out=tmp_path / "b", device="cpu", half=False, resume=True))
    assert _same(_weights(tmp_path / "whole"), _weights(tmp_path / "b"))


KILLED = """
import sys, torch
sys.path.insert(0, {tests!r})
torch.set_num_threads(1)
from cases import ball, small_plan
from voxtrace.method import Optimiser
from voxtrace.methods import method
from voxtrace.training import train
for event in train(method("recyclenet"), small_plan(iterations=40), [ball(s) for s in range(4)], out={out!r},
                   device="cpu", checkpoint_every=5, resume=True):
    print(event.phase, event.iteration, flush=True)
"""


def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    """SIGKILL between two checkpoints: the iterations since the last one are done again, alike."""
    plan = small_plan(iterations=40)
    drain(train(method("recyclenet"), plan, CASES, out=tmp_path / "whole", device="cpu", checkpoint_every=5))
    script = KILLED.format(tests=str(Path(__file__).parents[1] / "helpers"), out=str(tmp_path / "killed"))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.split() == ["train", "13"]:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "killed.work" / "checkpoint.pt").is_file()
    drain(train(method("recyclenet"), plan, CASES, out=tmp_path / "killed", device="cpu", resume=True))
    assert _same(_weights(tmp_path / "whole"), _weights(tmp_path / "killed"))


def test_an_unfinished_run_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        drain(train(method("unet"), small_plan(), CASES, out=tmp_path / "b", device="cpu", cancel=lambda: True))
    with pytest.raises(OutputError, match="unfinished run lies in"):
        drain(train(method("unet"), small_plan(), CASES, out=tmp_path / "b", device="cpu"))


def test_resuming_with_another_method_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        drain(train(method("unet"), small_plan(), CASES, out=tmp_path / "b", device="cpu", cancel=lambda: True))
    with pytest.raises(InputError, match="had another method"):
        drain(train(method("recyclenet"), small_plan(), CASES, out=tmp_path / "b", device="cpu", resume=True))


def test_an_existing_bundle_is_not_overwritten(tmp_path: Path) -> None:
    drain(train(method("unet"), small_plan(iterations=2), CASES, out=tmp_path / "b", device="cpu"))
    with pytest.raises(OutputError, match="exists already"):
        drain(train(method("unet"), small_plan(iterations=2), CASES, out=tmp_path / "b", device="cpu"))


def test_fine_tuning_starts_from_the_bundle_and_names_what_is_new(tmp_path: Path) -> None:
    drain(train(method("unet"), small_plan(iterations=2), CASES, out=tmp_path / "a", device="cpu"))
    start = load(tmp_path / "a")
    same = drain(
        train(method("recyclenet"), small_plan(iterations=1), CASES, out=tmp_path / "b", initial=start, rate=1e-12)
    )
    assert all(
        torch.allclose(v, start.network.state_dict()[k], atol=1e-3) for k, v in same.network.state_dict().items()
    )
    assert "initialised_anew" not in same.card["provenance"]
    more = small_plan(iterations=1).model_copy(update={"labels": {0: "background", 1: "ball", 2: "box"}})
    other = drain(train(method("unet"), more, CASES, out=tmp_path / "c", initial=start))
    assert all(name.startswith("decide.") for name in other.card["provenance"]["initialised_anew"])


def test_time_is_told(tmp_path: Path) -> None:
    began = time.monotonic()
    events = list(train(method("unet"), small_plan(iterations=2), CASES, out=tmp_path / "b", device="cpu"))
    assert 0 < events[-1].seconds <= time.monotonic() - began
