"""One phase of training: its optimiser, its mini-batches, its updates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from voxtrace.errors import Cancelled
from voxtrace.kernels import skip_while_learning
from voxtrace.method import Batch, Method, TrainState
from voxtrace.nn.across import set_part
from voxtrace.training.average import WeightAverage
from voxtrace.training.checkpoint import TrainingCheckpoint
from voxtrace.training.config import loader_workers
from voxtrace.training.divergence import DivergenceCheck
from voxtrace.training.kept import Keeping
from voxtrace.training.optimiser import make_optimiser
from voxtrace.training.preprocessed import PreprocessedCase
from voxtrace.training.progress import TrainProgress
from voxtrace.training.sampling import InTime, MiniBatches
from voxtrace.training.schedule import position, rate_factor
from voxtrace.training.training_run import TrainingRun
from voxtrace.training.watch import Watch
from voxtrace.volume import Case


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
        if self.state.parts > 1:
            set_part(self.network, self.state.part, self.state.parts)
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
    objective
        The loss of the network.
    scale
        Times the phase's learning rate, unless the configuration sets a rate.
    """

    def __init__(self, run: TrainingRun, number: int, objective: Objective, scale: float) -> None:
        self.run, self.number, self.phase = run, number, run.phases[number]
        self.rate = run.rate = run.config.rate or scale * self.phase.optimiser.rate
        self.weights = freeze(run.network, self.phase.trains)
        # wrapped for each phase: processes exchange gradients of what it trains
        self.objective, self.wrapped = objective, run.fabric.setup_module(objective)
        self.optimizer: Any = run.fabric.setup_optimizers(make_optimiser(self.weights, self.phase.optimiser))
        self.average = WeightAverage(run.network, run.config.average)
        before, last = run.before(number), number == len(run.phases) - 1
        self.keeping = Keeping(run.work, run.config, before, self.phase.iterations, last)
        self.watch = Watch(run, number)
        self.spent = 0.0  # of the phase's time, where it is limited

    def iterate(
        self, cases: list[PreprocessedCase], validate: Sequence[Case], checkpoint: TrainingCheckpoint | None
    ) -> Iterator[TrainProgress]:
        """Yield progress after every update, from the checkpoint on."""
        run, phase, budget = self.run, self.phase, self.run.budget
        first = self._restore(checkpoint)
        budget.begin_phase(run.phases[self.number :], self.spent)
        batches = self._batches(cases, first)
        for iteration, (images, labels) in enumerate(self.watch.pace.waited(batches), start=first):
            stop, fraction = run.processes.agree(run.cancel(), budget.fraction)
            spent_before, self.spent = self._over, fraction
            if stop:
                self._save(iteration)
                raise Cancelled(f"stopped at iteration {run.done} of {run.total}; resume continues there.")
            if iteration > 0 and fraction >= 1.0:
                break
            if run.processes.first and self.keeping.falls(position(iteration, fraction, phase.iterations)):
                self._save(iteration)  # where time, not updates, brought it here
                self.keeping.keep_before_fall()
            state = self._state(iteration, fraction, spent_before)
            rate, terms = self.update(state, images, labels)
            run.done += 1
            yield self._after(state, rate, terms, validate)
        budget.end_phase()
        self.average.settle()

    @property
    def _over(self) -> float:
        """The fraction of a limited time that was over at the last update; 0 without a limit."""
        return self.spent if self.run.budget.limited else 0.0

    def update(self, state: TrainState, images: Tensor, labels: Tensor) -> tuple[float, dict[str, float]]:
        """Do one optimiser update; return its learning rate and the loss terms it was made from.

        Where time ends the phase, the rate falls with the time.

        Raises
        ------
        EngineError
            Loss, gradient or weights are not usable; see :mod:`voxtrace.training.divergence`.
        """
        n = self.phase.iterations
        at = position(state.iteration, state.spent, n)
        rate = self.rate * rate_factor(self.run.config.rate_schedule, self.phase.optimiser.schedule, at, n)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        check = self._check(state.iteration)
        terms, norm = self._backward(state, images, labels)
        check.before_update(terms, norm)
        self.optimizer.step()
        self.run.method.after_update(self.run.network, self.optimizer.optimizer, state)
        check.after_update(self.weights)
        self.average.add()
        return rate, terms

    def _backward(self, state: TrainState, images: Tensor, labels: Tensor) -> tuple[dict[str, float], float]:
        """Leave clipped gradients in the weights; return the loss terms and the gradient's norm before clipping."""
        passes = self.run.config.accumulate
        self.optimizer.zero_grad(set_to_none=True)
        found = [
            self._pass(self._part(state, number), windows, truth, number == passes - 1)
            for number, (windows, truth) in enumerate(zip(images.chunk(passes), labels.chunk(passes), strict=True))
        ]
        names, stacked = list(found[0]), torch.stack([torch.stack(list(terms.values())) for terms in found]).mean(0)
        norm: Any = self.run.fabric.clip_gradients(
            self.wrapped, self.optimizer, max_norm=self.phase.optimiser.clip_norm, error_if_nonfinite=False
        )
        stacked = self.run.processes.mean(stacked.detach().float())
        *values, length = torch.cat([stacked, norm.detach().float().view(1)]).tolist()  # one transfer
        return dict(zip(names, values, strict=True)), length

    def _pass(self, state: TrainState, images: Tensor, labels: Tensor, last: bool) -> dict[str, Tensor]:
        """Add the gradient of some windows to the weights' gradients, and return their loss terms."""
        self.objective.state = state
        torch.manual_seed(state.rng.initial_seed())  # dropout must not depend on the iterations before
        with self.run.fabric.no_backward_sync(self.wrapped, enabled=not last):
            with self.run.arithmetic.watching():
                terms: dict[str, Tensor] = self.wrapped(images.contiguous(memory_format=self.run.layout), labels)
            self.run.fabric.backward(torch.stack(list(terms.values())).sum() / self.run.config.accumulate)
        return {name: term.detach() for name, term in terms.items()}

    def _state(self, iteration: int, spent: float, before: float) -> TrainState:
        rng = _generator(self.run.config.seed, self.number, iteration)
        return TrainState(self.phase, iteration, rng, spent=spent, spent_before=before)

    def _anew(self, state: TrainState) -> TrainState:
        """Return a state with its random numbers from the first on."""
        return self._state(state.iteration, state.spent, state.spent_before)

    def _part(self, state: TrainState, number: int) -> TrainState:
        """Return the state for one pass over some of the windows; each has the random numbers of the iteration anew."""
        passes, processes = self.run.config.accumulate, self.run.processes
        part, parts = processes.number * passes + number, processes.count * passes
        return replace(state if number == 0 else self._anew(state), part=part, parts=parts)

    def _check(self, iteration: int) -> DivergenceCheck:
        run = self.run
        bound = run.config.gradient_bound * self.phase.optimiser.clip_norm
        return DivergenceCheck(f"iteration {iteration} of {self.phase.name}", bound, run.remedy(), run.scaler)

    def _batches(self, cases: list[PreprocessedCase], first: int) -> Any:
        run, processes = self.run, self.run.processes
        seed = (run.config.seed, self.number)
        batches = MiniBatches(cases, run.plan, self.phase, seed, processes.number, processes.count)
        if first < self.phase.iterations:
            self.watch.begin(batches.chances(first))
        workers = loader_workers(run.config.workers, run.device, processes.count)
        loader: Any = DataLoader(
            batches,
            batch_size=None,
            sampler=InTime(first, len(batches), lambda: self._over),
            num_workers=workers,
            pin_memory=run.on_gpu,
        )
        return run.fabric.setup_dataloaders(loader, use_distributed_sampler=False)

    # What happens beside the updates

    def _restore(self, checkpoint: TrainingCheckpoint | None) -> int:
        """Go on from a checkpoint of this phase; return the first iteration."""
        if checkpoint is None:
            self.watch.restore(())
            return 0
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.average.restore(checkpoint.average)
        self.watch.restore(checkpoint.dice)
        # without a limit until now, or made longer, so much is over as updates are done
        same = checkpoint.lengths[-1:] == [self.run.phases[-1].iterations] and checkpoint.used_s > 0
        self.spent = checkpoint.spent if same else checkpoint.iteration / self.phase.iterations
        self.keeping.restore(position(checkpoint.iteration, self.spent, self.phase.iterations))
        return checkpoint.iteration

    def _after(
        self, state: TrainState, rate: float, terms: dict[str, float], validate: Sequence[Case]
    ) -> TrainProgress:
        """Validate and keep a checkpoint where they are due; return what there is to report."""
        done, watch = state.iteration + 1, self.watch
        found = None
        if watch.validation_due(done) and self.run.processes.first:
            with watch.pace.paused(), self.average.applied():
                found = watch.validate(self._anew(state), validate)
            set_mode(self.run.network, self.phase.trains)
        watch.note(self._anew(state), rate, terms, found)
        if self.keeping.due(done):
            with watch.pace.paused():
                self._save(done)
        return watch.progress(done, rate, terms, found)

    def _save(self, iteration: int) -> None:
        """Write a checkpoint after so many iterations of the phase; only the first process writes."""
        if not self.run.processes.first:
            return
        self.run.save(self.number, iteration, self.optimizer, self.average.state(), self.watch.dice, self.spent)
        self.keeping.saved(iteration)
        self.watch.tell("checkpoint", iteration)


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
