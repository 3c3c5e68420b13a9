"""Training configuration: everything about a run that is neither the method's nor the plan's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric

from voxtrace.errors import UsageError
from voxtrace.runtime.torch import choose_device, choose_precision
from voxtrace.training.processes import several, started_from_outside
from voxtrace.training.schedule import RateSchedule

MOST_WORKERS = 8

FABRIC_PRECISION: dict[str, Any] = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}


@dataclass(frozen=True)
class TrainConfig:
    """How a run is done.

    Attributes
    ----------
    seed
        Everything random follows from it.
    device, precision
        See :func:`voxtrace.runtime.open_runtime`.
    rate
        Learning rate in place of every phase's own; None takes the phase's, and a tenth of it in fine-tuning, where the
        bundle knows a label of the dataset.
    minutes
        Time for the updates; training ends when it is spent, with the learning rate at its end. None is no limit.
    checkpoint_minutes, checkpoint_every, keep_every
        Minutes between two checkpoints; iterations between two, beside; and between two that are kept for good in the
        run's folder. None and 0 are never.
    validate_every
        Iterations between two validations; None validates ten times a phase, on ``quick_cases`` cases.
    weights
        Which the bundle gets: the ``last``, or those with the ``best`` validation in the last phase.
    average
        Decay of an exponential moving average of the weights, e.g. 0.999, with which the run validates and ends; 0
        takes the weights themselves.
    rate_schedule
        ``method`` follows the method's own; ``constant`` falls in the last fifth of a phase only, and such a run can
        be made longer with ``resume`` and more iterations.
    accumulate
        Passes over which the windows of an update are spread, to save memory. Statistics over a mini-batch (batch
        norm, Dice over the batch) are those of each pass.
    devices, nodes
        Devices a machine, and machines, that train together; each takes the plan's windows, so that a mini-batch is
        as many times larger. Where ``torchrun`` started the processes, its numbers count.
    workers
        Processes that augment; 0 augments in this one, None takes some where the network runs on a GPU. The weights do
        not depend on it.
    prepared
        Folder of prepared cases that runs of any fold and method share; None keeps them in the run's own, until it is
        done.
    anonymous_names
        Call cases ``case_0001`` and up in the bundle's card, where their files may be named after patients.
    picture_failures
        Keep a picture of the worst held-back cases beside the bundle's card: slices of scans, which are patient data.
    keep_steps
        Predict with as many steps as the method is asked for, even where an earlier one is better on held-back cases.
    match_volumes
        Add offsets to the last bias with which the volumes of held-back cases are the true ones in total; see
        :mod:`voxtrace.training.match_volumes`.
    preview
        Name of a case that is segmented at every validation, into a trace beside the bundle; empty for none.
    tensorboard
        Folder to which TensorBoard's files are written; None writes none.
    half
        Store the bundle's weights as float16, if all of them fit (none is beyond ±65,504).
    gradient_bound
        Training stops when the norm of the gradient exceeds this many times the norm that the phase clips to
        (``Optimiser.clip_norm``): at 1.2 million where that is 12. Clipping would hide such a gradient: the weights
        would follow its direction, although it comes from an overflow or a faulty kernel and not from the data. The
        largest norm in healthy trainings of the six methods is 1,560, in E2ENet's second update on 16³ voxels; all
        others are below 500, most below 20.
    """

    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    rate: float | None = None
    minutes: float | None = None
    checkpoint_minutes: float | None = 5.0
    checkpoint_every: int | None = None
    keep_every: int = 0
    validate_every: int | None = None
    quick_cases: int = 8
    weights: Literal["last", "best"] = "last"
    average: float = 0.0
    rate_schedule: RateSchedule = "method"
    accumulate: int = 1
    devices: int = 1
    nodes: int = 1
    workers: int | None = 0
    preview: str = ""
    tensorboard: Path | None = None
    prepared: Path | None = None
    anonymous_names: bool = False
    picture_failures: bool = False
    keep_steps: bool = False
    match_volumes: bool = False
    half: bool = True
    gradient_bound: float = 1e5


def chosen(config: TrainConfig, processes: int) -> dict[str, Any]:
    """Return what was chosen of how weights come about beyond device, precision and rate, as a card's entries."""
    named = {name: getattr(config, name) for name in ("rate_schedule", "average", "weights", "accumulate")}
    usual = TrainConfig()
    told = {name: value for name, value in named.items() if value != getattr(usual, name)}
    return {**told, **({"processes": processes} if processes > 1 else {})}


def open_fabric(config: TrainConfig) -> tuple[Fabric, str]:
    """Return Lightning's Fabric for a configuration, and the precision it computes in."""
    device, _ = choose_device(config.device)
    precision, _ = choose_precision(config.precision, device)
    devices, nodes = started_from_outside() or (config.devices, config.nodes)
    where: dict[str, Any] = {"devices": 1 if device.index is None else [device.index]}
    if devices * nodes > 1:
        if ":" in str(device):  # one of them by its number
            raise UsageError(f"--device {config.device} is one of them; ask for {device.type} with several devices.")
        where = several(device.type, devices, nodes)
    fabric = Fabric(accelerator=device.type, precision=FABRIC_PRECISION[precision], **where)
    if devices * nodes > 1:
        fabric.launch()
    return fabric, precision


def loader_workers(asked: int | None, device: str, processes: int) -> int:
    """Return how many processes prepare windows: as asked, or some of the cores beside a GPU, and none on a CPU.

    On a CPU the network uses every core itself, and a window takes a small part of what an update does.
    """
    if asked is not None:
        return asked
    return 0 if device == "cpu" else min(MOST_WORKERS, max(1, (os.cpu_count() or 1) // processes - 1))


def memory_layout(device: str, precision: str) -> torch.memory_format:
    """Return the memory format in which 3-D convolutions are fastest: channels last for bfloat16 on a CPU."""
    return torch.channels_last_3d if (device, precision) == ("cpu", "bfloat16") else torch.contiguous_format
