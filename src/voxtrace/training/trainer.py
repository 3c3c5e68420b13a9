"""The one training loop, as a generator: it yields progress and returns a bundle.

Everything random is a function of (seed, phase, iteration), and a checkpoint holds the network and the optimiser, so
a run that was killed and resumed ends with the weights it would have had (same seed, same machine, CPU).
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from voxtrace.bundle import JSON, Bundle, load, save
from voxtrace.errors import Cancelled, EngineError, OutputError
from voxtrace.method import Batch, Method, Moment, Phase
from voxtrace.plan import Plan
from voxtrace.runtime.torch import choose_device, choose_precision
from voxtrace.training.checkpoint import Checkpoint, load_checkpoint, record_run, save_checkpoint
from voxtrace.training.finetune import adopt
from voxtrace.training.prepared import Prepared, prepare
from voxtrace.training.sampling import Windows
from voxtrace.training.validation import Validation, quick_dice, validate_cases
from voxtrace.volume import Case

MOMENTUM = 0.99
WEIGHT_DECAY = 3e-5
RATE = 0.01
FINE_TUNING_RATE = 0.001
CLIP_NORM = 12.0
FABRIC_PRECISION: dict[str, Any] = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}


@dataclass(frozen=True)
class TrainProgress:
    """Where a run is.

    ``phase`` is ``"prepare"``, a phase of the method, ``"validate"`` or ``"done"``; ``iteration`` of ``total`` are
    done in it; ``loss`` holds the terms of the last iteration; ``validation_dice`` the mean foreground Dice of a few
    whole cases where it was just measured.
    """

    phase: str
    iteration: int
    total: int
    loss: dict[str, float] = field(default_factory=dict)
    rate: float = 0.0
    validation_dice: float | None = None
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class Recipe:
    """What the loop needs beside method and plan.

    Attributes
    ----------
    seed
        Everything random follows from it.
    device, precision
        ``auto``, ``cpu`` or ``cuda``; ``auto``, ``float32`` or ``bfloat16``.
    rate
        First learning rate; None is 0.01 from scratch and 0.001 in fine-tuning. It falls as (1 − progress)^0.9.
    checkpoint_every, validate_every
        Iterations between two; None validates ten times a phase, on ``quick_cases`` cases.
    workers
        Processes that augment; 0 augments in this one.
    half
        Store the bundle's weights as float16.
    """

    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    rate: float | None = None
    checkpoint_every: int = 250
    validate_every: int | None = None
    quick_cases: int = 8
    workers: int = 0
    half: bool = True


class Objective(nn.Module):
    """The method's loss as a module, so that Fabric's precision and gradient exchange act on its forward pass."""

    def __init__(self, method: Method, network: nn.Module) -> None:
        super().__init__()
        self.method = method
        self.network = network
        self.moment: Moment | None = None

    def forward(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the loss terms of a mini-batch at ``self.moment``."""
        assert self.moment is not None
        return self.method.loss(self.network, Batch(images, labels), self.moment)


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
    run = _Run(method, method.adapt(plan), Recipe(**recipe), Path(out), cancel or _never)
    if resume and (run.out / JSON).is_file():
        return load(run.out)
    run.claim(resume, cases, initial)
    prepared = yield from run.prepare(cases)
    with _torch_errors():
        unmatched = adopt(run.network, initial) if initial else ()
        yield from run.optimise(prepared, validate, fine_tuning=initial is not None)
        validation = yield from validate_cases(run.bundle(), validate, run.device, run.cancel)
    bundle = run.finish(_card(run, cases, validation, initial, unmatched, about or {}))
    yield TrainProgress("done", run.total, run.total, seconds=run.seconds, message=f"wrote {run.out}")
    return bundle


class _Run:
    """One run: its folder, network and clock."""

    def __init__(self, method: Method, plan: Plan, recipe: Recipe, out: Path, cancel: Callable[[], bool]) -> None:
        self.method, self.plan, self.recipe, self.out, self.cancel = method, plan, recipe, out, cancel
        self.work = out.with_name(f"{out.name}.work")
        self.phases = method.phases(plan)
        self.total = sum(phase.iterations for phase in self.phases)
        self.fabric, precision = _fabric(recipe)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.network = method.build(plan)
        self.layout = memory_layout(self.device, precision)
        self.network.to(memory_format=self.layout)
        self.history: list[dict[str, float]] = []
        self._began = time.monotonic()

    @property
    def device(self) -> str:
        return str(self.fabric.device.type)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def claim(self, resume: bool, cases: Sequence[Case], initial: Bundle | None) -> None:
        """Make the run's folder, or refuse to disturb what is there."""
        if (self.out / JSON).exists() or (self.out.exists() and any(self.out.iterdir())):
            raise OutputError(f"{self.out} exists already; choose another output or move it away.")
        if self.work.exists() and not resume:
            raise OutputError(f"an unfinished run lies in {self.work}; resume it, or delete that folder.")
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.work} cannot be made ({error.strerror}); choose another output.") from error
        record_run(self.work, _run_record(self, len(cases), initial))

    def prepare(self, cases: Sequence[Case]) -> Generator[TrainProgress, None, list[Prepared]]:
        """Yield progress while every case is brought to the network grid."""
        prepared: list[Prepared] = []
        for case in prepare(cases, self.plan, self.work / "cases", self.recipe.seed):
            prepared.append(case)
            yield TrainProgress("prepare", len(prepared), len(cases), seconds=self.seconds)
            if self.cancel():
                raise Cancelled(f"stopped while preparing cases; resume continues after case {len(prepared)}.")
        return prepared

    def optimise(
        self, prepared: list[Prepared], validate: Sequence[Case], *, fine_tuning: bool
    ) -> Iterator[TrainProgress]:
        """Yield progress through every phase that is not done yet."""
        rate = self.recipe.rate or (FINE_TUNING_RATE if fine_tuning else RATE)
        objective = Objective(self.method, self.network)
        checkpoint = load_checkpoint(self.work)
        if checkpoint is not None:
            self.network.load_state_dict(checkpoint.network)
        wrapped = self.fabric.setup_module(objective)
        for number in range(checkpoint.phase if checkpoint else 0, len(self.phases)):
            yield from _phase(self, number, wrapped, objective, rate, prepared, validate, checkpoint)
            checkpoint = None

    def save(self, phase: int, iteration: int, optimizer: Any) -> None:
        """Write a checkpoint."""
        network = {name: tensor.cpu() for name, tensor in self.network.state_dict().items()}
        save_checkpoint(self.work, Checkpoint(phase, iteration, network, optimizer.state_dict()))

    def bundle(self) -> Bundle:
        """Return the network as it is now, as a bundle without a card."""
        return Bundle(self.method, self.plan, self.network.eval(), {"mirror": bool(self.plan.mirror_axes)})

    def finish(self, card: dict[str, Any]) -> Bundle:
        """Write the bundle, remove the run's folder, and return the bundle as it was written."""
        save(replace(self.bundle(), network=self.network.cpu(), card=card), self.out, half=self.recipe.half)
        shutil.rmtree(self.work, ignore_errors=True)
        return load(self.out)


def _phase(
    run: _Run,
    number: int,
    wrapped: Any,
    objective: Objective,
    first_rate: float,
    prepared: list[Prepared],
    validate: Sequence[Case],
    checkpoint: Checkpoint | None,
) -> Iterator[TrainProgress]:
    """Yield progress through one phase, from its checkpoint on."""
    phase, recipe = run.phases[number], run.recipe
    trained = freeze(run.network, phase.trains)
    optimizer = run.fabric.setup_optimizers(
        torch.optim.SGD(trained, lr=first_rate, momentum=MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY)
    )
    first = 0
    if checkpoint is not None:
        optimizer.load_state_dict(checkpoint.optimizer)
        first = checkpoint.iteration
    every = recipe.validate_every or max(1, phase.iterations // 10)
    windows = Windows(prepared, run.plan, phase, (recipe.seed, number))
    loader = run.fabric.setup_dataloaders(_loader(windows, first, recipe))
    for iteration, (images, labels) in enumerate(loader, start=first):
        if run.cancel():
            run.save(number, iteration, optimizer)
            raise Cancelled(f"stopped at iteration {iteration} of {phase.iterations}; resume continues there.")
        moment = Moment(phase, iteration, _generator(recipe.seed, number, iteration))
        rate = poly_rate(first_rate, moment.progress)
        terms = update(run, wrapped, objective, optimizer, moment, rate, images, labels)
        done = iteration + 1
        dice = None
        if done % every == 0 and validate:
            dice = quick_dice(run.bundle(), validate[: recipe.quick_cases], run.device)
            set_mode(run.network, phase.trains)
        _note(run, done, terms, dice)
        if done % recipe.checkpoint_every == 0 or done == phase.iterations:
            run.save(number, done, optimizer)
        yield TrainProgress(phase.name, done, phase.iterations, terms, rate, dice, run.seconds)


def update(
    run: _Run,
    wrapped: Any,
    objective: Objective,
    optimizer: Any,
    moment: Moment,
    rate: float,
    images: Tensor,
    labels: Tensor,
) -> dict[str, float]:
    """Do one optimiser update and return the loss terms it was made from."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    torch.manual_seed(int(moment.rng.initial_seed()) % 2**63)  # dropout of this iteration, whatever came before
    objective.moment = moment
    terms = wrapped(images.contiguous(memory_format=run.layout), labels)
    loss = torch.stack(list(terms.values())).sum()
    if not torch.isfinite(loss):
        raise EngineError(
            f"the loss is {loss.item()} at iteration {moment.iteration} of {moment.phase.name}; "
            "lower the rate, or train in float32."
        )
    optimizer.zero_grad(set_to_none=True)
    run.fabric.backward(loss)
    run.fabric.clip_gradients(wrapped, optimizer, max_norm=CLIP_NORM, error_if_nonfinite=False)
    optimizer.step()
    run.method.after_update(run.network, optimizer, moment)
    return {name: float(value.detach()) for name, value in terms.items()}


def memory_layout(device: str, precision: str) -> torch.memory_format:
    """Return how 3D maps lie in memory: channels last where convolutions are faster so, bfloat16 on a CPU."""
    return torch.channels_last_3d if (device, precision) == ("cpu", "bfloat16") else torch.contiguous_format


def poly_rate(first: float, progress: float) -> float:
    """Return the learning rate at a fraction of the phase: ``first · (1 − progress)^0.9`` (METHODS 0.2).

    Examples
    --------
    >>> round(poly_rate(0.01, 0.25), 9)
    0.007718895
    """
    return float(first * (1.0 - progress) ** 0.9)


def freeze(network: nn.Module, trains: str) -> list[nn.Parameter]:
    """Let only parameters whose name begins with ``trains`` have gradients, and return them."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(trains))
        parameter.grad = None
    set_mode(network, trains)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def set_mode(network: nn.Module, trains: str) -> None:
    """Put what is trained in training mode and all else, its statistics included, in evaluation mode."""
    network.train(not trains)
    if trains:
        for name, module in network.named_modules():
            if name.startswith(trains):
                module.train()


def _loader(windows: Windows, first: int, recipe: Recipe) -> Any:
    return DataLoader(
        windows,
        batch_size=None,
        sampler=range(first, len(windows)),
        num_workers=recipe.workers,
        persistent_workers=False,
    )


def _note(run: _Run, done: int, terms: dict[str, float], dice: float | None) -> None:
    """Keep about a hundred points of the curve, and every validation."""
    if dice is not None or done % max(1, run.total // 100) == 0:
        point = {"iteration": float(done), **{k: round(v, 4) for k, v in terms.items()}}
        run.history.append(point if dice is None else {**point, "validation_dice": round(dice, 4)})


def _fabric(recipe: Recipe) -> tuple[Fabric, str]:
    """Return the distributed engine for a recipe, and the precision it computes in."""
    device, _ = choose_device(recipe.device)
    precision, _ = choose_precision(recipe.precision, device)
    devices = 1 if device.index is None else [device.index]
    return Fabric(accelerator=device.type, devices=devices, precision=FABRIC_PRECISION[precision]), precision


def _generator(*seed: int) -> torch.Generator:
    import numpy as np

    return torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]) >> 1)


@contextmanager
def _torch_errors() -> Iterator[None]:
    """Turn what torch raises, out-of-memory included, into an EngineError with a remedy."""
    try:
        yield
    except RuntimeError as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EngineError(f"training failed: {first_line} (a smaller batch_size or window needs less memory)") from error


def _never() -> bool:
    return False


def _run_record(run: _Run, n_cases: int, initial: Bundle | None) -> dict[str, Any]:
    return {
        "method": run.method.to_json(),
        "plan": json.loads(run.plan.model_dump_json()),
        "seed": run.recipe.seed,
        "cases": n_cases,
        "initial": initial.digest if initial else "",
    }


def _card(
    run: _Run,
    cases: Sequence[Case],
    validation: Validation | None,
    initial: Bundle | None,
    unmatched: Sequence[str],
    about: dict[str, Any],
) -> dict[str, Any]:
    from voxtrace import __version__

    given = dict(about)
    provenance = {
        "cases": len(cases),
        "iterations": run.total,
        "seed": run.recipe.seed,
        "device": run.device,
        "seconds": round(run.seconds),
        "versions": {"voxtrace": __version__, "torch": torch.__version__},
        **({"initial": {"name": initial.name, "digest": initial.digest}} if initial else {}),
        **({"initialised_anew": list(unmatched)} if unmatched else {}),
        **given.pop("provenance", {}),
    }
    return {
        "name": run.out.name,
        "licence": "not stated",
        "intended_use": "Research. Not a medical device: a person must check every result.",
        "mirror": bool(run.plan.mirror_axes),
        **given,
        "provenance": provenance,
        "metrics": {**({"validation": validation.to_json()} if validation else {}), "curve": run.history},
    }
