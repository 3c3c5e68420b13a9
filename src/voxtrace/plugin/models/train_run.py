"""What lies at the output of a training: nothing, an unfinished run, a finished bundle, or folds; in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from voxtrace.plugin.models.model_cards import time_words
from voxtrace.plugin.models.train_more import USUAL, TrainMore

RunKind = Literal["", "unfinished", "finished", "folds"]


@dataclass(frozen=True)
class FoundRun:
    """What lies at an output, free of torch.

    Attributes
    ----------
    kind
        "" where there is nothing to go on with.
    method, options, fold, iterations
        What is trained there, as it was asked for; ``iterations`` planned over all phases' plan, 0 where not known.
    initial
        Digest of the bundle that it started from; "" for none.
    state
        As :func:`voxtrace.training.run_state.run_state` tells of an unfinished run.
    kept
        Names of the checkpoints and other files that it keeps.
    extensible, constant
        Whether a finished bundle keeps the state from which it can be made longer, and whether its rate was constant;
        the latter is None where that is not known.
    minutes, preview
        Limit of time of an unfinished run, and the case that was shown as it was learned; None and "" where none was,
        or it is not known.
    more
        The other values that it was begun with.
    problem
        Why it cannot be read, in the engine's words.
    """

    kind: RunKind = ""
    method: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    fold: int | None = None
    iterations: int = 0
    initial: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    extensible: bool = False
    constant: bool | None = None
    problem: str = ""
    minutes: float | None = None
    preview: str = ""
    more: TrainMore = USUAL

    @property
    def can_fill(self) -> bool:
        """Whether the form can be filled in with what the run was begun with."""
        return bool(self.method)


def run_lines(run: FoundRun, out: str) -> tuple[str, ...]:
    """Return what lies at an output as lines; none where there is nothing to go on with."""
    if run.problem:
        return (run.problem,)
    if run.kind == "folds":
        return (f"{Path(out).name} holds folds: {', '.join(run.kept) or 'none is finished'}.",)
    if run.kind == "finished":
        longer = "It can be extended." if run.extensible else _NOT_LONGER
        return (f"{Path(out).name}: {run.method}, {_fold(run.fold)}, finished, {run.iterations:,} iterations.", longer)
    return _unfinished(run, out) if run.kind == "unfinished" else ()


_NOT_LONGER = "It cannot be extended: only a run with a constant rate can. Fine-tune from it instead."


def _unfinished(run: FoundRun, out: str) -> tuple[str, ...]:
    state = run.state
    at, total = state.get("checkpoint_at"), state.get("total")
    where = f"checkpoint at iteration {at:,}" if at is not None else "no checkpoint yet"
    lines = [f"{Path(out).name}.work: {run.method or 'a run'}, {_fold(run.fold)}; {where}{_of(total)}."]
    told = []
    if (dice := state.get("validation_dice")) is not None:
        told.append(f"validation Dice {dice:.3f}")
    if prepared := state.get("prepared_cases"):
        told.append(f"{prepared} prepared cases")
    if (silent := state.get("silent_s")) is not None:
        told.append(f"last written {time_words(silent)} ago")
    line = "; ".join(told)
    lines += [f"{line[:1].upper()}{line[1:]}."] if told else []
    return (*lines, *([f"Keeps {', '.join(run.kept)}."] if run.kept else []))


def _of(total: int | None) -> str:
    return f" of {total:,}" if total else ""


def _fold(fold: int | None) -> str:
    return "every case trained on" if fold is None else f"fold {fold} held back"
