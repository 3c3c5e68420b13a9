"""One phase of training: its optimiser, its mini-batches, its updates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from voxtrace.errors import Cancelled
from voxtrace.kernels import skip_while_learning
from voxtrace.method import Batch, Method, TrainState
from voxtrace.training.checkpoint import TrainingCheckpoint
from voxtrace.training.divergence import DivergenceCheck
from voxtrace.training.optimiser import make_optimiser
from voxtrace.training.preprocessed import PreprocessedCase
from voxtrace.training.progress import TrainProgress
from voxtrace.training.sampling import MiniBatches
from voxtrace.training.training_run import TrainingRun
from voxtrace.training.validation import quick_dice
from voxtrace.volume import Case, LabelMap

VALIDATIONS = 10  # in a phase, where the configuration does not say how many


class Objective(nn.Module):
    """The method's loss as a module, so that Fabric's precision and gradient exchange act on its forward pass."""

    def __init__(self, method: Method, network: nn.Module) -> None:
        super().__init__()
        self.method = method
        self.network = network
        self.state: TrainState | None = None

    def forward(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the loss terms of a mini-batch at ``self.state``: images (B, C, Z, Y, X), labels (B, Z, Y, X)."""
        assert self.state is not None
        # Masks may change after each update, so that the network without its kernels that are off is made anew.
        network = skip_while_learning(self.network, images)
        return self.method.loss(network, Batch(images, labels), self.state)


class PhaseLoop:
    """Runs the updates of one phase.

    Parameters
    ----------
    run
        What is trained, where, how.
    number
        Of the phase, from 0.
    objective, wrapped
        The loss of the network, and the same as Fabric wraps it.
    rate_factor
        Times the phase's learning rate, unless the configuration sets a rate.
    """

    def __init__(self, run: TrainingRun, number: int, objective: Objective, wrapped: Any, rate_factor: float) -> None:
        self.run, self.number, self.phase = run, number, run.phases[number]
        self.objective, self.wrapped = objective, wrapped
        self.rate = run.rate = run.config.rate or rate_factor * self.phase.optimiser.rate
        self.weights = freeze(run.network, self.phase.trains)
        self.optimizer: Any = run.fabric.setup_optimizers(make_optimiser(self.weights, self.phase.optimiser))

    def iterate(
        self, cases: list[PreprocessedCase], validate: Sequence[Case], checkpoint: TrainingCheckpoint | None
    ) -> Iterator[TrainProgress]:
        """Yield progress after every update, from the checkpoint on."""
        run, config, phase = self.run, self.run.config, self.phase
        first = 0
        if checkpoint is not None:
            self.optimizer.load_state_dict(checkpoint.optimizer)
            first = checkpoint.iteration
        every = config.validate_every or max(1, phase.iterations // VALIDATIONS)
        before, budget = run.before(self.number), run.budget
        budget.begin_phase(phase.iterations - first, run.total - before - first)
        for iteration, (images, labels) in enumerate(self._batches(cases, first), start=first):
            if run.cancel():
                run.save(self.number, iteration, self.optimizer)
                raise Cancelled(f"stopped at iteration {before + iteration} of {run.total}; resume continues there.")
            if iteration > first and budget.spent:
                break
            state = TrainState(phase, iteration, _generator(config.seed, self.number, iteration))
            rate, terms = self.update(state, images, labels)
            done = iteration + 1
            run.done += 1
            due = budget.validation_due() or done % every == 0
            dice, preview = self._validated(validate) if validate and due else (None, None)
            run.log_point(done, terms, dice)
            if done % config.checkpoint_every == 0 or done == phase.iterations:
                run.save(self.number, done, self.optimizer)
            yield TrainProgress(phase.name, done, phase.iterations, terms, rate, dice, run.seconds, preview=preview)
        budget.end_phase()

    def update(self, state: TrainState, images: Tensor, labels: Tensor) -> tuple[float, dict[str, float]]:
        """Do one optimiser update; return its learning rate and the loss terms it was made from.

        Raises
        ------
        EngineError
            Loss, gradient or weights are not usable; see :mod:`voxtrace.training.divergence`.
        """
        # where time ends the phase, the rate falls with the time
        position = max(state.iteration, int(self.run.budget.fraction * (self.phase.iterations - 1)))
        rate = self.rate * self.phase.optimiser.schedule(position, self.phase.iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(state.rng.initial_seed())  # dropout must not depend on the iterations before
        check = self._check(state.iteration)
        terms, norm = self._backward(state, images, labels)
        check.before_update(terms, norm)
        self.optimizer.step()
        self.run.method.after_update(self.run.network, self.optimizer.optimizer, state)
        check.after_update(self.weights)
        return rate, terms

    def _backward(self, state: TrainState, images: Tensor, labels: Tensor) -> tuple[dict[str, float], float]:
        """Leave clipped gradients in the weights; return the loss terms and the gradient's norm before clipping."""
        self.objective.state = state
        with self.run.arithmetic.watching():
            terms: dict[str, Tensor] = self.wrapped(images.contiguous(memory_format=self.run.layout), labels)
        stacked = torch.stack(list(terms.values()))
        self.optimizer.zero_grad(set_to_none=True)
        self.run.fabric.backward(stacked.sum())
        norm: Any = self.run.fabric.clip_gradients(
            self.wrapped, self.optimizer, max_norm=self.phase.optimiser.clip_norm, error_if_nonfinite=False
        )
        *values, length = torch.cat([stacked.detach().float(), norm.detach().float().view(1)]).tolist()  # one transfer
        return dict(zip(terms, values, strict=True)), length

    def _check(self, iteration: int) -> DivergenceCheck:
        run = self.run
        bound = run.config.gradient_bound * self.phase.optimiser.clip_norm
        return DivergenceCheck(f"iteration {iteration} of {self.phase.name}", bound, run.remedy(), run.scaler)

    def _batches(self, cases: list[PreprocessedCase], first: int) -> Any:
        batches = MiniBatches(cases, self.run.plan, self.phase, (self.run.config.seed, self.number))
        remaining = range(first, len(batches))
        loader: Any = DataLoader(batches, batch_size=None, sampler=remaining, num_workers=self.run.config.workers)
        return self.run.fabric.setup_dataloaders(loader)

    def _validated(self, validate: Sequence[Case]) -> tuple[float, LabelMap | None]:
        measured = quick_dice(self.run.bundle(), validate[: self.run.config.quick_cases], self.run.device)
        set_mode(self.run.network, self.phase.trains)
        return measured


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
