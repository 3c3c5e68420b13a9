"""A limit on the time that the updates of a training take, shared out over its phases."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from voxtrace.method import Phase

VALIDATIONS = 4  # of a phase that time ends


class TimeBudget:
    """Counts the time of one phase after another; without ``minutes`` nothing ends early.

    Each phase has the part of the time that is left which its iterations are of all iterations that are left, or its
    ``least_time_fraction`` of the whole limit where that is more, so a short run still goes through every phase.
    """

    def __init__(self, minutes: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left_s = None if minutes is None else 60.0 * minutes
        self._limit_s = self._left_s or 0.0
        self._began = self._phase_s = self._before = self._used_s = 0.0
        self._validations = 0

    def restore(self, used_s: float) -> None:
        """Take off what earlier starts of the run used, in seconds."""
        self._used_s = used_s
        if self._left_s is not None:
            self._left_s = max(0.0, self._left_s - used_s)

    def begin_phase(self, phases: Sequence[Phase], fraction: float = 0.0) -> None:
        """Start the time of the first of the phases that are left, of which a fraction is over."""
        self._began, self._before = self._clock(), fraction
        self._validations = int(fraction * VALIDATIONS)
        if self._left_s is not None:
            rest = [1.0 - fraction, *[1.0] * (len(phases) - 1)]
            weights = [part * phase.iterations for part, phase in zip(rest, phases, strict=True)]
            least = [part * phase.least_time_fraction * self._limit_s for part, phase in zip(rest, phases, strict=True)]
            self._phase_s = shared_out(self._left_s, weights, least)[0]

    def end_phase(self) -> None:
        """Take the time that the phase took off what is left."""
        if self._left_s is not None:
            took = self._clock() - self._began
            self._left_s, self._used_s, self._began = max(0.0, self._left_s - took), self._used_s + took, self._clock()

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self._left_s is not None

    @property
    def used_s(self) -> float:
        """Seconds that updates took under a limit, over all starts of the run."""
        return self._used_s if self._left_s is None else self._used_s + self._clock() - self._began

    @property
    def fraction(self) -> float:
        """How much of the phase's time is spent, 0 to 1; 0 without a limit."""
        if self._left_s is None:
            return 0.0
        passed = min(1.0, (self._clock() - self._began) / self._phase_s) if self._phase_s else 1.0
        return self._before + (1.0 - self._before) * passed if passed < 1.0 else 1.0

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


def shared_out(time_s: float, weights: Sequence[float], least_s: Sequence[float]) -> list[float]:
    """Return parts of a time in the ratio of weights, none below its least; the leasts alone where time is too short.

    Examples
    --------
    >>> shared_out(60.0, [8.0, 1.0, 1.0], [0.0, 10.0, 10.0])
    [40.0, 10.0, 10.0]
    >>> shared_out(10.0, [9.0, 1.0], [0.0, 20.0])
    [0.0, 10.0]
    """
    below: set[int] = set()
    while True:
        fixed = sum(least_s[number] for number in below)
        if fixed >= time_s:
            return [time_s * least_s[n] / max(1e-9, fixed) if n in below else 0.0 for n in range(len(weights))]
        whole = max(1e-9, sum(weight for n, weight in enumerate(weights) if n not in below))
        rest_s = time_s - fixed
        parts = [least_s[n] if n in below else rest_s * weight / whole for n, weight in enumerate(weights)]
        more = {n for n, part in enumerate(parts) if n not in below and part < least_s[n]}
        if not more:
            return parts
        below |= more
