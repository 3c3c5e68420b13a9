"""Advice to stop early: what the rest of a training is expected to add, judged by how its validations went.

Gains shrink from one validation to the next. Their ratio is taken from the mean gain in the older and in the newer half
of the last validations, and what is left is the sum of the geometric series. This knows nothing of a rate that is still
to fall, which often adds something at the end; the sentence says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

HOW = "Ctrl-C, then --resume --minutes 0.01 ends it"  # on the command line
LOOKED_AT = 7  # validations
LITTLE = 0.002  # Dice
STEEPEST = 0.95  # largest ratio of two gains


@dataclass(frozen=True)
class Advice:
    """What the rest of a training is expected to add to the validation Dice, and how far that may be off."""

    expected_gain: float
    margin: float
    validations_left: int

    @property
    def sentence(self) -> str:
        """The advice in words."""
        return (
            f"validation has levelled off: the rest of this phase is expected to add {self.expected_gain:.3f} Dice "
            f"(± {self.margin:.3f}), beside what the falling rate adds; {HOW}."
        )


def advise(dice: Sequence[float], validations_left: int) -> Advice | None:
    """Return advice where little is to be gained; None where there is more to come, or too little is known.

    ``dice`` are the validations of one phase so far, in order.
    """
    recent = np.asarray(dice[-LOOKED_AT:], dtype=np.float64)
    if len(recent) < LOOKED_AT or validations_left < 1 or not np.isfinite(recent).all():
        return None
    gains = np.diff(recent)
    older, newer = gains[: len(gains) // 2].mean(), gains[len(gains) // 2 :].mean()
    ratio = float(np.clip(newer / older, 0.0, STEEPEST)) if older > 0 else STEEPEST
    steps = ratio ** np.arange(1, validations_left + 1)
    expected = max(0.0, float(newer)) * float(steps.sum())
    margin = float(gains.std(ddof=1)) / len(gains) ** 0.5 * float(steps.sum())
    return Advice(expected, margin, validations_left) if expected + margin < LITTLE else None
