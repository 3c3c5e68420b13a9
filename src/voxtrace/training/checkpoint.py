"""Checkpoints: the state from which a run goes on as if it had not stopped. Loading one never runs code from it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from voxtrace.atomic import atomic_file
from voxtrace.errors import InputError
from voxtrace.nn.tensor_file import load_tensors
from voxtrace.safe_text import brief

FILE = "checkpoint.pt"
_MOST_ITERATIONS = 1 << 40


@dataclass(frozen=True)
class TrainingCheckpoint:
    """The state of a run after ``iteration`` updates of phase number ``phase``.

    ``history`` is its curve so far, ``seconds`` the time that it took so far, over all its starts; ``average`` holds
    averaged weights, ``dice`` the validations of the phase so far, ``lengths`` the iterations of each phase, and
    ``rate_schedule`` how the rate goes, "" where an earlier version did not say. ``done`` are the updates over all
    phases, fewer than planned where time ended one (-1: not said); ``used_s`` are the seconds of a limited time that
    are over, ``spent`` is their fraction of the phase's; ``peak`` is the phase's rate before its schedule, 0.0 where
    not said, and ``scaler`` the state of float16's gradient scaler.
    """

    phase: int
    iteration: int
    network: dict[str, Any]
    optimizer: dict[str, Any]
    history: list[dict[str, float]]
    seconds: float = 0.0
    average: dict[str, Any] = field(default_factory=dict)
    dice: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    rate_schedule: str = ""
    done: int = -1
    used_s: float = 0.0
    spent: float = 0.0
    peak: float = 0.0
    scaler: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(folder: Path, checkpoint: TrainingCheckpoint) -> None:
    """Write the checkpoint of a run's folder, whole or not at all."""
    with atomic_file(folder / FILE) as file:
        torch.save(vars(checkpoint), file)


def load_checkpoint(folder: Path) -> TrainingCheckpoint | None:
    """Return the checkpoint of a run's folder, or None when it has none yet."""
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        found = TrainingCheckpoint(**load_tensors(file))
        _check(found)
    except (OSError, ValueError, TypeError, pickle.UnpicklingError) as error:
        raise InputError(f"{file} is not a checkpoint ({brief(error)}); delete {folder} and train again.") from error
    return found


def _check(found: TrainingCheckpoint) -> None:
    """Raise ValueError where a part of a checkpoint is not of its kind."""
    numbers, mappings = (found.phase, found.iteration), (found.network, found.optimizer)
    if not all(type(one) is int and 0 <= one < _MOST_ITERATIONS for one in numbers):
        raise ValueError("its place in the run is no number")
    if not all(isinstance(one, dict) and all(isinstance(key, str) for key in one) for one in mappings):
        raise ValueError("its weights or its optimiser have no names")
    if type(found.seconds) is not float or not 0.0 <= found.seconds < _MOST_ITERATIONS:
        raise ValueError("its time is no number of seconds")
    if type(found.done) is not int or not -1 <= found.done < _MOST_ITERATIONS:
        raise ValueError("its updates are no number")
    given = (found.used_s, found.spent, found.peak)
    if not all(type(one) is float and 0.0 <= one < _MOST_ITERATIONS for one in given) or found.spent > 1.0:
        raise ValueError("its time or rate is no number")
    if not isinstance(found.scaler, dict):
        raise ValueError("its gradient scaler has no state")
    if not isinstance(found.history, list) or not all(isinstance(row, dict) for row in found.history):
        raise ValueError("its curve is no list of numbers by name")
