"""Outcome of a scenario: runs, comparisons between two competitors, facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

from voxtrace.bench.ratios import Ratio, ratio
from voxtrace.bench.runner import RoundResults

Quantity = Literal["time", "memory", "cost"]
UNITS: dict[Quantity, str] = {"time": "s", "memory": "MB", "cost": "GFLOP"}


@dataclass(frozen=True)
class Comparison:
    """One quantity of two competitors.

    Attributes
    ----------
    quantity, unit
        What was measured, and its unit.
    ours, against
        Names of the competitors.
    small, large
        A value of each for every round.
    withheld
        Why there is no ratio; empty where there is one.
    about
        What the values exclude; empty for whole processes.
    """

    quantity: Quantity
    ours: str
    against: str
    small: Sequence[float]
    large: Sequence[float]
    withheld: str = ""
    about: str = ""

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return UNITS[self.quantity]

    @property
    def ratio(self) -> Ratio | None:
        """How many times more ``against`` takes than ``ours``; None where it is withheld."""
        return None if self.withheld else ratio(self.large, self.small)

    def to_json(self) -> dict[str, Any]:
        """Return names, medians and ratio."""
        return {
            "quantity": self.quantity,
            "unit": self.unit,
            "about": self.about,
            "ours": self.ours,
            "against": self.against,
            "ours_median": round(median(self.small), 4),
            "against_median": round(median(self.large), 4),
            "ratio": self.ratio.to_json() if self.ratio else None,
            "withheld": self.withheld,
        }


@dataclass(frozen=True)
class Outcome:
    """Outcome of a scenario.

    Attributes
    ----------
    title
        What the table calls the scenario.
    results
        Every run.
    comparisons
        Rows of the table.
    facts
        What else was measured: agreement of labels, Dice, windows.
    left_out
        What was not compared, and why; a sentence each.
    """

    title: str
    results: RoundResults
    comparisons: Sequence[Comparison]
    facts: dict[str, Any] = field(default_factory=dict)
    left_out: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON's types."""
        return {
            "title": self.title,
            "runs": self.results.to_json(),
            "comparisons": [comparison.to_json() for comparison in self.comparisons],
            "facts": self.facts,
            "left_out": list(self.left_out),
        }


def compare_time_and_memory(results: RoundResults, ours: str, against: str, withheld: str = "") -> list[Comparison]:
    """Return time and memory of two competitors; ``withheld`` gives the reason where there must be no ratio."""
    # Positions: quantity, ours, against, the values of ours, those of against.
    times = Comparison("time", ours, against, results.seconds(ours), results.seconds(against), withheld)
    memory = Comparison("memory", ours, against, results.peaks_mb(ours), results.peaks_mb(against), withheld)
    return [times, memory]
