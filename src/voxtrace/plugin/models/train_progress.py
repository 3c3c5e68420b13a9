"""What the window says while a training runs: the advice to stop early, and whether it can be followed at once."""

from __future__ import annotations

from voxtrace.plugin.models.messages import TrainReport
from voxtrace.plugin.models.panel_state import Remedy
from voxtrace.training.advice import HOW

END_NOW = Remedy("end now", "End here and write the model")
ENDS_NOW_MIN = 0.01  # a limit that is spent already, with which a resumed run ends at once


def advice_words(message: str) -> str:
    """Return a message of the trainer for the window, where a button stands for the keys of the command line."""
    words = message.removesuffix(f"; {HOW}.")
    return words if words == message or not words else as_line(words)


def as_line(sentence: str) -> str:
    """Return what the trainer told as a line of its own."""
    return f"{sentence[:1].upper()}{sentence[1:].removesuffix('.')}."


def can_end_now(report: TrainReport) -> bool:
    """Tell whether a run may end here: in its last phase, and not in the middle of a cross-validation."""
    return report.phase == report.phases[-1] and not report.fold
