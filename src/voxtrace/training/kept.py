"""Which checkpoints a run keeps: the last, the best, some for good, and the one from which it can be made longer.

::

    checkpoint.pt                   the last; a run that is resumed goes on from it
    best.pt                         weights with the best validation of the last phase
    checkpoint-000500.pt            kept for good, where asked for
    before_fall.pt                  where a constant rate begins to fall; the finished bundle has it as continue.pt
    best_before_fall.pt             best.pt of that time, where the best weights are asked for; continue_best.pt
"""

from __future__ import annotations

import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from voxtrace.atomic import atomic_file
from voxtrace.errors import InputError
from voxtrace.nn.tensor_file import load_tensors
from voxtrace.safe_text import brief
from voxtrace.training.checkpoint import FILE
from voxtrace.training.config import TrainConfig
from voxtrace.training.schedule import fall_begins

BEST, BEFORE_FALL, CONTINUE = "best.pt", "before_fall.pt", "continue.pt"
BEST_BEFORE_FALL, CONTINUE_BEST = "best_before_fall.pt", "continue_best.pt"


class Keeping:
    """Says when a checkpoint is due in one phase, and keeps copies of some.

    Parameters
    ----------
    work
        Folder of the run.
    config
        How often.
    before, iterations
        Updates of the phases before, and of this one.
    last
        Whether this is the last phase.
    """

    def __init__(
        self,
        work: Path,
        config: TrainConfig,
        before: int,
        iterations: int,
        last: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work, self._config, self._before, self._iterations, self._clock = work, config, before, iterations, clock
        self._saved, self._fell = clock(), False
        self._fall = fall_begins(iterations) if last and config.rate_schedule == "constant" else 0

    def due(self, done: int) -> bool:
        """Return whether a checkpoint is due after ``done`` updates of the phase."""
        config, minutes = self._config, (self._clock() - self._saved) / 60
        return (
            done == self._iterations
            or (done == self._fall and self.falls(done))
            or (config.checkpoint_minutes is not None and minutes >= config.checkpoint_minutes)
            or (bool(config.checkpoint_every) and done % (config.checkpoint_every or 1) == 0)
            or self._for_good(done)
        )

    def restore(self, position: int) -> None:
        """Go on from a checkpoint at a position in the phase, by updates or by time."""
        self._fell = position > self._fall

    def falls(self, position: int) -> bool:
        """Return whether a constant rate falls from this position on, and did not before."""
        return bool(self._fall) and not self._fell and position >= self._fall

    def saved(self, done: int) -> None:
        """Note that the checkpoint was written, and copy it where it is kept for longer."""
        self._saved = self._clock()
        if self._for_good(done):
            copy(self._work / FILE, self._work / f"checkpoint-{self._before + done:06d}.pt")
        if self.falls(done) and done == self._fall:
            self.keep_before_fall()

    def keep_before_fall(self) -> None:
        """Copy the checkpoint, and the best weights so far where they are asked for, before the rate falls."""
        self._fell = True
        copy(self._work / FILE, self._work / BEFORE_FALL)
        (self._work / BEST_BEFORE_FALL).unlink(missing_ok=True)
        if self._config.weights == "best" and (self._work / BEST).is_file():
            copy(self._work / BEST, self._work / BEST_BEFORE_FALL)

    def _for_good(self, done: int) -> bool:
        every = self._config.keep_every
        return bool(every) and (self._before + done) % every == 0


class BestWeights:
    """The weights with the best validation of the last phase, in a file of the run."""

    def __init__(self, work: Path) -> None:
        self._file = work / BEST
        self.dice = -1.0

    def restore(self, dice: list[float]) -> None:
        """Go on from a checkpoint, with the validations that it knows; what came later is done again.

        Weights of another validation than its best are not those of this checkpoint, and are removed.
        """
        best = max(dice, default=-1.0)
        before = self._file.with_name(BEST_BEFORE_FALL)
        if self._stored(self._file) != best and self._stored(before) == best:
            copy(before, self._file)
        self.dice = best if self._stored(self._file) == best else -1.0
        if self.dice < 0:
            self._file.unlink(missing_ok=True)

    def offer(self, network: dict[str, Any], dice: float) -> None:
        """Keep weights whose validation is better than all before."""
        if dice <= self.dice:
            return
        self.dice = dice
        with atomic_file(self._file) as file:
            torch.save({"network": network, "dice": dice}, file)

    def load(self) -> dict[str, Any] | None:
        """Return the weights; None where there was no validation.

        Raises
        ------
        InputError
            The file is damaged.
        """
        return dict(_read(self._file, "network")) if self._file.is_file() else None

    def _stored(self, file: Path) -> float | None:
        return float(_read(file, "dice")) if file.is_file() else None


def _read(file: Path, part: str) -> Any:
    """Return a part of a file of weights, or refuse a damaged one."""
    try:
        found = load_tensors(file)
        return found[part]
    except (OSError, ValueError, LookupError, TypeError, pickle.UnpicklingError) as error:
        raise InputError(f"{file} holds no weights ({brief(error)}); delete it and resume.") from error


def copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    with atomic_file(target) as file:
        shutil.copyfile(source, file)
