"""TrainingRun: the folder, the network and the clock of one training.

::

    <out>.work/
    ├── run.json         what is being trained; see :mod:`voxtrace.training.run_record`
    ├── cases/00000 …    preprocessed cases
    ├── events.jsonl     what happened, see :mod:`voxtrace.training.events`; the bundle keeps it
    └── checkpoint.pt    network, optimiser and iteration; others beside it, see :mod:`voxtrace.training.kept`

The folder lies beside the bundle that is being made and is removed when the bundle is written.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from voxtrace.bundle import JSON, Bundle, fits_half, load, save
from voxtrace.errors import Cancelled, EngineError, InputError, OutputError
from voxtrace.method import Method
from voxtrace.nn.finite import first_not_finite
from voxtrace.plan import Plan
from voxtrace.runtime.arithmetic import ArithmeticCheck
from voxtrace.training.begun import work_folder
from voxtrace.training.checkpoint import FILE as CHECKPOINT
from voxtrace.training.checkpoint import TrainingCheckpoint, load_checkpoint, save_checkpoint
from voxtrace.training.config import TrainConfig, memory_layout, open_fabric
from voxtrace.training.events import EventLog
from voxtrace.training.finish import MADE, clear_temporaries, put_in_place
from voxtrace.training.identity import identify, unread
from voxtrace.training.lengths import continued
from voxtrace.training.preprocessed import PreprocessedCase, preprocess_cases
from voxtrace.training.preview import PreviewTrace
from voxtrace.training.processes import Processes
from voxtrace.training.progress import TrainProgress
from voxtrace.training.run_record import TrainingRecord, open_record, save_record
from voxtrace.training.time_budget import TimeBudget
from voxtrace.volume import Case

_HOW = ("rate", "minutes", "accumulate", "weights", "rate_schedule")  # of the configuration, in each stretch


class TrainingRun:
    """What stays the same while a method is trained, and the curve that grows.

    Attributes
    ----------
    method, plan, config, out, cancel
        As they were given.
    work
        Folder of the run's own files, ``<out>.work``.
    phases, total
        Of the method, and the iterations in all of them.
    fabric, device, precision, scaler
        Lightning's Fabric, the kind of device it computes on, in which precision, and float16's gradient scaler.
    arithmetic
        Checks each layer in the precision of the run, and computes in float32 those that disagree.
    network, layout
        What is trained, and the memory format of its 3-D maps.
    rate
        Learning rate of the phase at hand, before its schedule.
    done
        Updates so far, over all phases.
    budget
        Ends phases when their time is spent.
    processes
        Those that train together, and which this one is.
    events, preview
        What the run writes down of itself, and of one case.
    case_names, shown_names
        Of the training cases, in their order; and name -> name in what the run writes down, of all cases.
    advised, reopened
        Whether the advice to stop early was given; whether a finished bundle is made longer.
    history
        Points of the curve: iteration, loss terms, validation Dice.
    record
        What is being trained, as ``run.json`` says; set when the run's folder is acquired.
    """

    record: TrainingRecord

    def __init__(self, method: Method, plan: Plan, config: TrainConfig, out: Path, cancel: Callable[[], bool]) -> None:
        self.method, self.plan, self.config, self.out, self.cancel = method, plan, config, out, cancel
        self.work = work_folder(out)
        self.phases = method.phases(plan)
        self.total = sum(phase.iterations for phase in self.phases)
        self.fabric, self.precision = open_fabric(config)
        self.scaler: torch.amp.GradScaler | None = getattr(self.fabric.strategy.precision, "scaler", None)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.network = method.build(plan)
        self.arithmetic = ArithmeticCheck(self.precision, backward=True)
        self.layout = memory_layout(self.device, self.precision)
        set_layout(self.network, self.layout)
        self.history: list[dict[str, float]] = []
        self.rate = 0.0
        self.done = 0
        self.processes = Processes(self.fabric)
        self.events = EventLog(None)
        self.preview: PreviewTrace | None = None
        self.case_names: tuple[str, ...] = ()
        self.shown_names: dict[str, str] = {}
        self.advised = self.reopened = False
        self.budget = TimeBudget(config.minutes)
        self._last_checkpoint = ""
        self._began, self._seconds_before = time.monotonic(), 0.0

    @property
    def device(self) -> str:
        """The kind of device: ``cpu`` or ``cuda``."""
        return str(self.fabric.device.type)

    @property
    def on_gpu(self) -> bool:
        """Whether the network runs on a CUDA device."""
        return self.device == "cuda"

    @property
    def seconds(self) -> float:
        """Seconds since the run began or was resumed."""
        return time.monotonic() - self._began

    @property
    def all_seconds(self) -> float:
        """Seconds of this start and of those before it, up to the checkpoint from which it goes on."""
        return self._seconds_before + self.seconds

    @property
    def finished(self) -> bool:
        """Whether the bundle is there already."""
        return (self.out / JSON).is_file()

    def before(self, phase: int) -> int:
        """Return the iterations of all phases before one."""
        return sum(earlier.iterations for earlier in self.phases[:phase])

    def acquire_workdir(self, resume: bool, settings: Mapping[str, Any]) -> None:
        """Make the run's folder and write down what is trained there, or refuse to change one that is there."""
        if not self.reopened and (self.out.is_file() or (self.out.is_dir() and any(self.out.iterdir()))):
            raise OutputError(f"{self.out} exists already; choose another output or move it away.")
        if self.work.exists() and not resume:
            raise OutputError(f"an unfinished run lies in {self.work}; resume it, or delete that folder.")
        clear_temporaries(self.work)
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.work} cannot be made ({error.strerror}); choose another output.") from error
        self.record = open_record(self.work, settings, self.stretch)

    @property
    def stretch(self) -> dict[str, Any]:
        """How this start of the run computes, as JSON values."""
        how = {"device": self.device, "precision": self.precision, "processes": self.processes.count}
        given = {name: getattr(self.config, name) for name in _HOW}
        return {**how, **given, "versions": versions()}

    def preprocess(self, cases: Sequence[Case]) -> Generator[TrainProgress, None, list[PreprocessedCase]]:
        """Yield progress while every case is normalised and brought to the network grid; return them all."""
        done: list[PreprocessedCase] = []
        shared = self.config.prepared
        folder = shared or self.work / "cases"
        for case in preprocess_cases(cases, self.plan, folder, self.config.seed, shared=bool(shared)):
            done.append(case)
            yield TrainProgress("prepare", len(done), len(cases), seconds=self.seconds)
            if self.cancel():
                raise Cancelled(f"stopped while preparing cases; resume continues after case {len(done)}.")
        return done

    def take_cases(self, prepared: Sequence[PreprocessedCase], validate: Sequence[Case]) -> str:
        """Write down the cases as they were read; return a sentence that says which changed since, or "".

        Raises
        ------
        InputError
            They are those of another dataset.
        """
        checkpoint = load_checkpoint(self.work)
        done = self._updates(checkpoint) if checkpoint else 0
        held_back = [identify(unread(validate, number)) for number in range(len(validate))]
        training = [case.identity for case in prepared if case.identity is not None]
        self.record, told = self.record.took(training, held_back, done)
        save_record(self.work, self.record)
        return told

    def _updates(self, checkpoint: TrainingCheckpoint) -> int:
        """Return the updates before a checkpoint; one of an earlier version says only which were planned."""
        planned = self.before(checkpoint.phase) + checkpoint.iteration
        return checkpoint.done if checkpoint.done >= 0 else planned

    def log_point(self, done: int, terms: dict[str, float], dice: float | None) -> None:
        """Keep about a hundred points of the curve, and every validation."""
        if dice is not None or done % max(1, self.total // 100) == 0:
            point = {"iteration": float(done), **{name: round(value, 4) for name, value in terms.items()}}
            self.history.append(point if dice is None else {**point, "validation_dice": round(dice, 4)})

    def save(
        self, phase: int, iteration: int, optimizer: Any, average: dict[str, Any], dice: list[float], spent: float
    ) -> None:
        """Write a checkpoint in place of the one before, unless a number in it is not finite."""
        network = {name: tensor.cpu() for name, tensor in self.network.state_dict().items()}
        checkpoint = TrainingCheckpoint(
            phase,
            iteration,
            network,
            optimizer.state_dict(),
            self.history,
            self.all_seconds,
            average=average,
            dice=dice,
            lengths=[each.iterations for each in self.phases],
            rate_schedule=self.config.rate_schedule,
            done=self.done,
            used_s=self.budget.used_s,
            spent=float(spent),
            peak=float(self.phases[phase].optimiser.rate),
            scaler=self.scaler.state_dict() if self.scaler else {},
        )
        where = f"iteration {iteration} of {self.phases[phase].name}"
        if name := first_not_finite({**checkpoint.network, "optimiser": checkpoint.optimizer}):
            raise EngineError(f"{name} holds nan or inf at {where}. {self.remedy()}")
        save_checkpoint(self.work, checkpoint)
        self._last_checkpoint = where

    def restore(self) -> TrainingCheckpoint | None:
        """Load weights and curve of the last checkpoint into this run and return it; None when there is none yet."""
        checkpoint = load_checkpoint(self.work)
        if checkpoint is None:
            return None
        file = self.work / CHECKPOINT
        if name := first_not_finite({**checkpoint.network, "optimiser": checkpoint.optimizer}):
            raise InputError(f"{file}: {name} holds nan or inf; delete this file, then --resume begins again.")
        self.phases = continued(self.phases, checkpoint, self.config.rate_schedule)
        self.total = sum(phase.iterations for phase in self.phases)
        try:
            if checkpoint.phase >= len(self.phases):
                raise RuntimeError("it is of a later phase than there is")
            self.network.load_state_dict(checkpoint.network)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise InputError(f"{file} does not fit this network; delete {self.work} and train again.") from error
        self.history[:] = checkpoint.history
        self._seconds_before = checkpoint.seconds
        self.done = self._updates(checkpoint)
        self.budget.restore(checkpoint.used_s)
        if self.scaler and checkpoint.scaler:
            self.scaler.load_state_dict(checkpoint.scaler)
        self._last_checkpoint = f"iteration {checkpoint.iteration} of {self.phases[checkpoint.phase].name}"
        return checkpoint

    def remedy(self) -> str:
        """Return the sentence that says how to go on after training diverged."""
        smaller = f"--rate {self.rate / 10:g}, a smaller learning rate"
        option = smaller if self.precision == "float32" else "--precision float32"
        if not self._last_checkpoint:
            return f"There is no checkpoint yet: begin again with --resume {option}."
        return (
            f"The checkpoint of {self._last_checkpoint} is kept in {self.work}: go on from it with --resume {option}."
        )

    def bundle(self, method: Method | None = None, card: Mapping[str, Any] | None = None) -> Bundle:
        """Return the network as it is now, as a bundle without a card; with the method as trained so far, if given."""
        about = card or {"mirror": bool(self.plan.mirror_axes)}
        return Bundle(method or self.method, self.plan, self.network.eval(), about)

    @property
    def _half(self) -> bool:
        return self.config.half and fits_half(self.network)

    def take_stored_weights(self) -> None:
        """Round the weights as the bundle stores them, so that what is validated is what users run."""
        if self._half:
            for tensor in self.network.state_dict().values():
                if tensor.dtype == torch.float32:
                    tensor.copy_(tensor.half())

    def finish(self, card: dict[str, Any], pictures: Mapping[str, bytes] | None = None) -> Bundle:
        """Write the bundle, remove the run's folder, and return the bundle as it was written."""
        bundle = replace(self.bundle(), network=self.network.cpu(), card=card)
        made = save(bundle, self.work / MADE, half=self._half, pictures=pictures)
        put_in_place(made, self.out, self.work)
        return load(self.out)


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    from voxtrace.version import __version__

    numpy_version, python = str(np.__version__), platform.python_version()
    return {"voxtrace": __version__, "torch": str(torch.__version__), "numpy": numpy_version, "python": python}


def set_layout(network: nn.Module, layout: torch.memory_format) -> None:
    """Give kernels the memory format of the maps they meet; 2-D kernels see slices, which are maps without Z."""
    flat = torch.channels_last if layout is torch.channels_last_3d else layout
    for kernel in network.parameters():
        if kernel.ndim in (4, 5):
            kernel.data = kernel.data.contiguous(memory_format=layout if kernel.ndim == 5 else flat)
