"""Ratio of two lists of measurements that were taken in turn, with its spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Ratio:
    """How many times more the first takes than the second.

    Attributes
    ----------
    of_medians
        Ratio of the medians.
    low, high
        Smallest and largest ratio within a round, whose measurements were taken one after the other.
    """

    of_medians: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.of_medians:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def to_json(self) -> dict[str, Any]:
        """Return the numbers by name, rounded to four decimals."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def ratio(first: Sequence[float], second: Sequence[float]) -> Ratio:
    """Return how many times more the first takes than the second; one value of each for every round.

    Examples
    --------
    >>> str(ratio([8.0, 9.0, 12.0], [2.0, 3.0, 3.0]))
    '3.00 [3.00, 4.00]'
    """
    # A ratio within a round cancels what slowed the machine down in that round.
    rounds = [a / b for a, b in zip(first, second, strict=True)]
    return Ratio(median(first) / median(second), min(rounds), max(rounds))
