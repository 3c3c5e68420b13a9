"""The learning rate over a phase: as the method has it, or constant with a fall at the end.

A run whose rate is constant may be made longer later: up to where the fall begins, it is the same run. The fall is
linear, over the last fifth (Hägele et al., "Scaling laws and compute-optimal training beyond fixed training durations",
2024, where a fifth does as well as a cosine).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

RateSchedule = Literal["method", "constant"]
FALLING = 0.2  # of the phase's iterations


def fall_begins(iterations: int) -> int:
    """Return the first iteration of a phase at which a constant rate falls.

    Examples
    --------
    >>> fall_begins(1000)
    800
    """
    return iterations - max(1, round(FALLING * iterations))


def position(iteration: int, spent: float, iterations: int) -> int:
    """Return how far a phase is, in iterations: by its updates, or by the fraction of its time that is spent.

    Examples
    --------
    >>> position(10, 0.0, 101), position(10, 0.5, 101)
    (10, 50)
    """
    return max(iteration, int(spent * (iterations - 1)))


def rate_factor(kind: RateSchedule, schedule: Callable[[int, int], float], iteration: int, iterations: int) -> float:
    """Return the fraction of the first rate at an iteration; a method's warm-up is kept.

    Examples
    --------
    >>> from voxtrace.method import poly
    >>> [round(rate_factor("constant", poly, i, 1000), 3) for i in (0, 799, 800, 900, 999)]
    [1.0, 1.0, 1.0, 0.5, 0.005]
    """
    if kind == "method":
        return schedule(iteration, iterations)
    start = fall_begins(iterations)
    if iteration >= start:
        return (iterations - iteration) / (iterations - start)
    now = schedule(iteration, iterations)
    return now if schedule(iteration + 1, iterations) > now else 1.0
