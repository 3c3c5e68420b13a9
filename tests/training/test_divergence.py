"""Training stops at the iteration where a loss, a gradient or a weight is not a usable number."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision.amp import MixedPrecision
from torch import Tensor

from cases import ball, drain, small_plan
from voxtrace.bundle import load
from voxtrace.errors import EngineError, InputError
from voxtrace.methods import method
from voxtrace.methods.unet import UNet
from voxtrace.training import TrainProgress, train, training_run
from voxtrace.training.checkpoint import FILE, load_checkpoint, save_checkpoint
from voxtrace.training.config import TrainConfig
from voxtrace.training.divergence import DivergenceCheck

CASES = [ball(seed) for seed in range(4)]
POISONED_AT, CHECKPOINT_AT = 7, 5
NAN, INF = float("nan"), float("inf")


class PoisonedGradient(torch.autograd.Function):
    """0, whatever the input; its gradient is ``value`` in every element."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, value: float) -> Tensor:
        ctx.shape, ctx.value = tensor.shape, value
        return tensor.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0].new_full(ctx.shape, ctx.value), None


def poison_gradient(patch: pytest.MonkeyPatch, value: float, at: Callable[[int], bool]) -> None:
    """Give the first weight a gradient of ``value`` at some iterations; the loss stays as it is."""
    loss = UNet.loss

    def poisoned(self: UNet, network: Any, batch: Any, moment: Any) -> dict[str, Tensor]:
        terms = loss(self, network, batch, moment)
        if at(moment.iteration):
            terms["poison"] = PoisonedGradient.apply(next(network.parameters()), value)
        return terms

    patch.setattr(UNet, "loss", poisoned)


def run(out: Path, iterations: int = 12, **changes: Any) -> Any:
    given = {"device": "cpu", "precision": "float32", "checkpoint_every": CHECKPOINT_AT, **changes}
    return train(method("unet"), small_plan(iterations=iterations), CASES, out=out, **given)


def stopped(out: Path, **changes: Any) -> tuple[str, list[TrainProgress]]:
    """Train until it stops; return the sentence and the progress before it."""
    events: list[TrainProgress] = []

    def recorded() -> Generator[None, None, None]:
        for event in run(out, **changes):
            yield events.append(event)

    with pytest.raises(EngineError) as caught:
        drain(recorded())
    assert not out.exists()
    return str(caught.value), events


def checkpoint_iteration(out: Path) -> int:
    checkpoint = load_checkpoint(out.with_name(f"{out.name}.work"))
    assert checkpoint is not None
    return checkpoint.iteration


@pytest.mark.parametrize("value", [NAN, INF, -INF, 1e30, 1e8])
def test_a_poisoned_gradient_stops_training_before_it_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    poison_gradient(monkeypatch, value, lambda iteration: iteration == POISONED_AT)
    steps: list[int] = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *given: (steps.append(1), step(*given))[1])
    sentence, events = stopped(tmp_path / "b")
    assert sentence.startswith("the norm of the gradient is ")
    assert f"at iteration {POISONED_AT} of train" in sentence
    assert len(steps) == POISONED_AT
    assert events[-1].iteration == POISONED_AT  # updates 0 to 6 were reported
    assert checkpoint_iteration(tmp_path / "b") == CHECKPOINT_AT


def test_a_run_that_was_stopped_goes_on_from_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain(run(tmp_path / "whole", half=False))
    with monkeypatch.context() as patch:
        poison_gradient(patch, NAN, lambda iteration: iteration == POISONED_AT)
        stopped(tmp_path / "b", half=False)
    first = next(event for event in run(tmp_path / "b", half=False, resume=True) if event.phase == "train")
    assert first.iteration == CHECKPOINT_AT + 1
    drain(run(tmp_path / "b", half=False, resume=True))
    whole, resumed = (load(tmp_path / name).network.state_dict() for name in ("whole", "b"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_term_of_the_loss_that_is_nan_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = UNet.loss

    def poisoned(self: UNet, network: Any, batch: Any, moment: Any) -> dict[str, Tensor]:
        terms = loss(self, network, batch, moment)
        return terms | {"extra": terms["dice"] * (NAN if moment.iteration == POISONED_AT else 0.0)}

    monkeypatch.setattr(UNet, "loss", poisoned)
    sentence, _ = stopped(tmp_path / "b")
    assert sentence.startswith(f"the loss (extra) is nan at iteration {POISONED_AT} of train.")


@pytest.mark.parametrize("value", [NAN, INF])
def test_a_poisoned_weight_stops_training_at_its_iteration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    def poison(self: UNet, network: Any, optimizer: Any, moment: Any) -> None:
        if moment.iteration == POISONED_AT:
            next(network.parameters()).data.view(-1)[0] = value

    monkeypatch.setattr(UNet, "after_update", poison)
    sentence, _ = stopped(tmp_path / "b")
    assert sentence.startswith(f"the norm of the weights is {value} at iteration {POISONED_AT} of train.")
    assert checkpoint_iteration(tmp_path / "b") == CHECKPOINT_AT


def test_a_poisoned_optimiser_does_not_replace_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def poison(self: UNet, network: Any, optimizer: Any, moment: Any) -> None:
        if moment.iteration + 1 == 2 * CHECKPOINT_AT:
            next(iter(optimizer.state.values()))["momentum_buffer"][0] = INF

    monkeypatch.setattr(UNet, "after_update", poison)
    sentence, _ = stopped(tmp_path / "b")
    assert re.match(r"optimiser\.state\.\d+\.momentum_buffer holds nan or inf at iteration 10 of train\.", sentence)
    assert checkpoint_iteration(tmp_path / "b") == CHECKPOINT_AT


def test_a_checkpoint_with_nan_is_not_resumed_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        poison_gradient(patch, NAN, lambda iteration: iteration == POISONED_AT)
        stopped(tmp_path / "b")
    checkpoint = load_checkpoint(tmp_path / "b.work")
    assert checkpoint is not None
    next(iter(checkpoint.network.values())).view(-1)[0] = NAN
    save_checkpoint(tmp_path / "b.work", checkpoint)
    with pytest.raises(InputError, match=rf"{FILE}: .*weight holds nan or inf; delete this file"):
        drain(run(tmp_path / "b", resume=True))


def _sentences(folder: Path, patch: pytest.MonkeyPatch) -> list[str]:
    """Return what is said in float32 and in bfloat16, before and after the first checkpoint."""
    said = []
    for number, (precision, at) in enumerate((p, i) for p in ("float32", "bfloat16") for i in (2, POISONED_AT)):
        with patch.context() as inner:
            poison_gradient(inner, NAN, lambda iteration, at=at: iteration == at)  # type: ignore[misc]
            said.append(stopped(folder / str(number), precision=precision)[0])
    return said


def test_what_to_do_names_options_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from voxtrace.cli import app

    early32, late32, early16, late16 = _sentences(tmp_path, monkeypatch)
    assert early32.endswith("begin again with --resume --rate 0.001, a smaller learning rate.")
    assert late32.endswith("go on from it with --resume --rate 0.001, a smaller learning rate.")
    assert early16.endswith("begin again with --resume --precision float32.")
    assert f"The checkpoint of iteration {CHECKPOINT_AT} of train is kept in {tmp_path / '3.work'}" in late16
    command = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    existing = {flag for parameter in command.params for flag in parameter.opts}
    named = {flag for sentence in (early32, late32, early16, late16) for flag in re.findall(r"--[a-z]+", sentence)}
    assert named == {"--resume", "--rate", "--precision"}
    assert named <= existing


def test_the_bound_is_a_multiple_of_the_norm_that_is_clipped_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gradient of norm 1,000 or so passes the default bound and is clipped; at a bound of 12 · 1 it stops."""
    poison_gradient(monkeypatch, 100.0, lambda iteration: iteration == POISONED_AT)
    drain(run(tmp_path / "a"))
    sentence, _ = stopped(tmp_path / "b", gradient_bound=1.0)
    assert "more than 12," in sentence


def half_fabric(scale: float) -> Callable[[TrainConfig], tuple[Fabric, str]]:
    """Return Fabric in float16 on the CPU, which the command line leaves to CUDA, with a gradient scaler."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return lambda config: (Fabric(accelerator="cpu", plugins=MixedPrecision("16-mixed", "cpu", scaler)), "float16")


def test_float16_skips_an_update_whose_gradient_overflows_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "open_fabric", half_fabric(1024.0))
    poison_gradient(monkeypatch, INF, lambda iteration: iteration == 3)
    bundle = drain(run(tmp_path / "b", iterations=6))
    assert bundle.card["provenance"]["precision"] == "float16"


def test_float16_stops_when_gradients_overflow_at_a_scale_below_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 4 the scale is halved three times, at 4, 2 and 1; the next overflow is at one half."""
    monkeypatch.setattr(training_run, "open_fabric", half_fabric(4.0))
    poison_gradient(monkeypatch, INF, lambda iteration: iteration >= 2)
    sentence, _ = stopped(tmp_path / "b")
    assert "the norm of the gradient is inf at iteration 5 of train" in sentence


def test_a_gradient_beyond_the_bound_stops_float16_too() -> None:
    check = DivergenceCheck("iteration 0 of train", 10.0, "", torch.amp.GradScaler("cpu"))
    check.before_update({"dice": 1.0}, 10.0)
    with pytest.raises(EngineError, match="is 11, more than 10"):
        check.before_update({"dice": 1.0}, 11.0)


def test_weights_beyond_float16_are_stored_as_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def enlarge(self: UNet, network: Any, optimizer: Any, moment: Any) -> None:
        if moment.iteration == 1:
            next(network.parameters()).data.view(-1)[0] = 70_000.0

    monkeypatch.setattr(UNet, "after_update", enlarge)
    bundle = drain(run(tmp_path / "b", iterations=2))
    assert next(bundle.network.parameters()).view(-1)[0] == 70_000.0
