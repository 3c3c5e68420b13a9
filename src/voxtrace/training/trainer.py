"""The one training loop, as a generator: it yields progress and returns a bundle.

Everything random is a function of (seed, phase, iteration), and a checkpoint holds the network and the optimiser, so
a run that was killed and resumed ends with the weights it would have had (same seed, same machine, CPU).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from voxtrace.bundle import JSON, Bundle, load
from voxtrace.errors import Cancelled, EngineError
from voxtrace.method import Batch, Method, TrainState
from voxtrace.plan import Plan
from voxtrace.training.card import make_card
from voxtrace.training.checkpoint import Checkpoint, load_checkpoint
from voxtrace.training.finetune import adopt
from voxtrace.training.prepared import Prepared
from voxtrace.training.recipe import FINE_TUNING_SHARE, Recipe, TrainProgress, make_optimiser
from voxtrace.training.run import Run
from voxtrace.training.sampling import Windows
from voxtrace.training.validation import quick_dice, validate_cases
from voxtrace.volume import Case


def train(
    method: Method,
    plan: Plan,
    cases: Sequence[Case],
    *,
    out: str | Path,
    validate: Sequence[Case] = (),
    initial: Bundle | None = None,
    resume: bool = False,
    about: dict[str, Any] | None = None,
    cancel: Callable[[], bool] | None = None,
    **recipe: Any,
) -> Generator[TrainProgress, None, Bundle]:
    """Train a method on cases; yield progress, write the bundle at ``out`` and return it.

    Parameters
    ----------
    method, plan
        What to train; the plan is adapted to the method first.
    cases, validate
        Read one at a time; the second are segmented whole, a few during training and all at its end.
    out
        Bundle folder; the run's own files lie beside it in ``<out>.work`` until it is done.
    initial
        A bundle to start from. Weights that fit are taken over; the others are named in the bundle's provenance.
    resume
        Go on from the last checkpoint of a run that was interrupted.
    about
        What the card should say: ``name``, ``licence``, ``intended_use`` and more provenance.
    cancel
        Asked at every iteration; when it says True a checkpoint is written and Cancelled raised.
    **recipe
        Fields of :class:`Recipe`.

    Raises
    ------
    OutputError
        There is a bundle or an unfinished run at ``out`` already (and ``resume`` is False).
    EngineError
        The loss is no longer a number, or the device failed.
    Cancelled
        ``cancel`` said so.
    """
    run = Run(method, method.adapt(plan), Recipe(**recipe), Path(out), cancel or _never)
    if resume and (run.out / JSON).is_file():
        return load(run.out)
    run.claim(resume, len(cases), initial)
    prepared = yield from run.prepare(cases)
    with _torch_errors():
        unmatched = adopt(run.network, initial) if initial else ()
        yield from _optimise(run, prepared, validate, 1.0 if initial is None else FINE_TUNING_SHARE)
        validation = yield from validate_cases(run.bundle(), validate, run.device, run.cancel)
    bundle = run.finish(make_card(run, len(cases), validation, initial, unmatched, about or {}))
    yield TrainProgress("done", run.total, run.total, seconds=run.seconds, message=f"wrote {run.out}")
    return bundle


class Objective(nn.Module):
    """The method's loss as a module, so that Fabric's precision and gradient exchange act on its forward pass."""

    def __init__(self, method: Method, network: nn.Module) -> None:
        super().__init__()
        self.method = method
        self.network = network
        self.moment: TrainState | None = None

    def forward(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the loss terms of a mini-batch at ``self.moment``."""
        assert self.moment is not None
        return self.method.loss(self.network, Batch(images, labels), self.moment)


def _optimise(run: Run, prepared: list[Prepared], validate: Sequence[Case], share: float) -> Iterator[TrainProgress]:
    """Yield progress through every phase that is not done yet."""
    objective = Objective(run.method, run.network)
    checkpoint = load_checkpoint(run.work)
    if checkpoint is not None:
        run.network.load_state_dict(checkpoint.network)
        run.history[:] = checkpoint.history
    wrapped = run.fabric.setup_module(objective)
    for number in range(checkpoint.phase if checkpoint else 0, len(run.phases)):
        loop = PhaseLoop(run, number, objective, wrapped, share)
        yield from loop.iterate(prepared, validate, checkpoint)
        checkpoint = None


class PhaseLoop:
    """One phase: its optimiser, its windows, its updates."""

    def __init__(self, run: Run, number: int, objective: Objective, wrapped: Any, share: float) -> None:
        self.run, self.number, self.phase = run, number, run.phases[number]
        self.objective, self.wrapped = objective, wrapped
        self.rate = run.recipe.rate or share * self.phase.optimiser.rate
        made = make_optimiser(freeze(run.network, self.phase.trains), self.phase.optimiser)
        self.optimizer: Any = run.fabric.setup_optimizers(made)

    def iterate(
        self, prepared: list[Prepared], validate: Sequence[Case], checkpoint: Checkpoint | None
    ) -> Iterator[TrainProgress]:
        """Yield progress after every update, from the checkpoint on."""
        run, recipe, phase = self.run, self.run.recipe, self.phase
        first = 0
        if checkpoint is not None:
            self.optimizer.load_state_dict(checkpoint.optimizer)
            first = checkpoint.iteration
        every = recipe.validate_every or max(1, phase.iterations // 10)
        for iteration, (images, labels) in enumerate(self._batches(prepared, first), start=first):
            if run.cancel():
                run.save(self.number, iteration, self.optimizer)
                raise Cancelled(f"stopped at iteration {iteration} of {phase.iterations}; resume continues there.")
            moment = TrainState(phase, iteration, _generator(recipe.seed, self.number, iteration))
            rate, terms = self.update(moment, images, labels)
            done = iteration + 1
            dice = self._validated(validate) if validate and done % every == 0 else None
            run.note(done, terms, dice)
            if done % recipe.checkpoint_every == 0 or done == phase.iterations:
                run.save(self.number, done, self.optimizer)
            yield TrainProgress(phase.name, done, phase.iterations, terms, rate, dice, run.seconds)

    def update(self, moment: TrainState, images: Tensor, labels: Tensor) -> tuple[float, dict[str, float]]:
        """Do one optimiser update; return its learning rate and the loss terms it was made from."""
        how = self.phase.optimiser
        rate = self.rate * how.schedule(moment.iteration, self.phase.iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(moment.rng.initial_seed())  # dropout of this iteration, whatever came before it
        self.objective.moment = moment
        terms: dict[str, Tensor] = self.wrapped(images.contiguous(memory_format=self.run.layout), labels)
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise EngineError(
                f"the loss is {loss.item()} at iteration {moment.iteration} of {moment.phase.name}; "
                "lower the rate, or train in float32."
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.run.fabric.backward(loss)
        self.run.fabric.clip_gradients(self.wrapped, self.optimizer, max_norm=how.clip_norm, error_if_nonfinite=False)
        self.optimizer.step()
        self.run.method.after_update(self.run.network, self.optimizer.optimizer, moment)
        return rate, {name: float(value.detach()) for name, value in terms.items()}

    def _batches(self, prepared: list[Prepared], first: int) -> Any:
        windows = Windows(prepared, self.run.plan, self.phase, (self.run.recipe.seed, self.number))
        remaining = range(first, len(windows))
        loader: Any = DataLoader(windows, batch_size=None, sampler=remaining, num_workers=self.run.recipe.workers)
        return self.run.fabric.setup_dataloaders(loader)

    def _validated(self, validate: Sequence[Case]) -> float:
        dice = quick_dice(self.run.bundle(), validate[: self.run.recipe.quick_cases], self.run.device)
        set_mode(self.run.network, self.phase.trains)
        return dice


def freeze(network: nn.Module, trains: str | tuple[str, ...]) -> list[nn.Parameter]:
    """Let only parameters whose name begins with ``trains`` have gradients, and return them."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(trains))
        parameter.grad = None
    set_mode(network, trains)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def set_mode(network: nn.Module, trains: str | tuple[str, ...]) -> None:
    """Put what is trained in training mode and all else, its statistics included, in evaluation mode."""
    network.train(not trains)
    for name, module in network.named_modules():
        if trains and f"{name}.".startswith(trains):
            module.train()


def _generator(*seed: int) -> torch.Generator:
    words = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0]) >> 1)


@contextmanager
def _torch_errors() -> Iterator[None]:
    """Turn what torch raises, out-of-memory included, into an EngineError with a remedy."""
    try:
        yield
    except RuntimeError as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise EngineError(f"training failed: {reason} (a smaller batch or window needs less memory)") from error


def _never() -> bool:
    return False
