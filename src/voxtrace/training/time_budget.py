"""A limit on the time that the updates of a training take, shared out over its phases."""

from __future__ import annotations

import time
from collections.abc import Callable

VALIDATIONS = 4  # of a phase that time ends


class TimeBudget:
    """Counts the time of one phase after another; without ``minutes`` nothing ends early.

    Each phase has the part of the time that is left which its iterations are of all iterations that are left, so a
    short run still goes through every phase.
    """

    def __init__(self, minutes: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left_s = None if minutes is None else 60.0 * minutes
        self._began = self._phase_s = 0.0
        self._validations = 0

    def begin_phase(self, iterations: int, iterations_left: int) -> None:
        """Start the time of a phase; the second number counts it and the phases after it."""
        self._began, self._validations = self._clock(), 0
        if self._left_s is not None:
            self._phase_s = self._left_s * iterations / max(1, iterations_left)

    def end_phase(self) -> None:
        """Take the time that the phase took off what is left."""
        if self._left_s is not None:
            self._left_s = max(0.0, self._left_s - (self._clock() - self._began))

    @property
    def fraction(self) -> float:
        """How much of the phase's time is spent, 0 to 1; 0 without a limit."""
        if self._left_s is None:
            return 0.0
        return min(1.0, (self._clock() - self._began) / self._phase_s) if self._phase_s else 1.0

    @property
    def spent(self) -> bool:
        """Whether the phase must end."""
        return self.fraction >= 1.0

    def validation_due(self) -> bool:
        """Tell whether another quarter of the phase's time has passed; true once for each."""
        passed = int(self.fraction * VALIDATIONS)
        due = passed > self._validations
        self._validations = max(self._validations, passed)
        return due
