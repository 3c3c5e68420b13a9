"""What a user asks of a training, as a value that the command line and the window make before torch is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class TrainRequest:
    """What to train and how, as a user asks for it; None and "" stand for "not said".

    Attributes
    ----------
    dataset
        Folder or CSV in one of the layouts of :mod:`voxtrace.training.layouts`.
    method
        Key of the method; unset, it is the initial bundle's, or ``voxtrace.methods.DEFAULT_METHOD``.
    options
        Options of the method in place of its defaults, or of the initial bundle's.
    initial
        Bundle folder, or name of a shipped bundle, whose plan and weights the training starts from.
    fold
        Fold held back for validation, from 0; None trains on all cases.
    labels
        Folder in the dataset with the labels to learn; see :func:`~voxtrace.training.dataset.open_dataset`.
    out
        Bundle folder to write; unset, DATASET-METHOD in the working folder.
    name
        What the bundle is called; unset, as its folder.
    iterations, batch_size
        Optimiser updates, and windows in each, in place of the plan's.
    plan
        File of a plan that ``voxtrace plan --out`` wrote, with the folds; unset, those in the dataset's cache.
    window, spacing_mm
        Voxels and spacing (Z, Y, X) in place of those that would be planned.
    rate, minutes, device, precision, seed, workers, anonymous_names, prepared
        See :class:`~voxtrace.training.config.TrainConfig`.
    rate_schedule, average, weights, accumulate, devices, nodes
        See there.
    checkpoint_minutes, keep_every, preview, tensorboard, picture_failures, keep_steps, match_volumes
        See there.
    about
        File with what the card says in its maker's words; see :func:`voxtrace.fit.read_about`.
    fork
        A run's folder, or one of its checkpoints, whose state a new run at ``out`` goes on from.
    resume
        Go on from the last checkpoint of a run that was interrupted, with its plan and its method's options.
    """

    dataset: Path
    method: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    initial: str | Path | None = None
    fold: int | None = None
    labels: str = ""
    out: Path | None = None
    name: str = ""
    iterations: int | None = None
    batch_size: int | None = None
    rate: float | None = None
    minutes: float | None = None
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    workers: int | None = 0
    anonymous_names: bool = False
    picture_failures: bool = False
    keep_steps: bool = False
    match_volumes: bool = False
    about: Path | None = None
    rate_schedule: Literal["method", "constant"] = "method"
    average: float = 0.0
    weights: Literal["last", "best"] = "last"
    accumulate: int = 1
    devices: int = 1
    nodes: int = 1
    checkpoint_minutes: float | None = 5.0
    keep_every: int = 0
    preview: str = ""
    tensorboard: Path | None = None
    fork: Path | None = None
    resume: bool = False
    plan: Path | None = None
    window: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    prepared: Path | None = None
