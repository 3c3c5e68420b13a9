"""Competitors in turn: every round runs each once, so that what disturbs the machine disturbs all.

The next round begins with the next competitor: who comes after one that fills the memory finds no file in it any more.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from voxtrace.bench.measure import Measured, measure
from voxtrace.bench.ratios import Ratio, ratio

Echo = Callable[[str], None]


@dataclass(frozen=True)
class Competitor:
    """A command line that turns an input into a label map.

    Attributes
    ----------
    name
        What tables call it.
    command
        Program and arguments.
    out
        Folder that it writes to; emptied before each run.
    labels
        The label map that it leaves there.
    env
        Variables to add to its environment.
    """

    name: str
    command: Sequence[str]
    out: Path
    labels: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def run(self, cap_mb: float | None = None) -> Measured:
        """Run it in an empty output folder."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        return measure(self.command, env=self.env, cap_mb=cap_mb)


@dataclass(frozen=True)
class RoundResults:
    """What every competitor took, in rounds."""

    runs: dict[str, list[Measured]]

    def seconds(self, name: str) -> list[float]:
        """Return the wall times of a competitor."""
        return [run.seconds for run in self.runs[name]]

    def peaks_mb(self, name: str) -> list[float]:
        """Return the peak memory of a competitor in each round."""
        return [run.peak_mb for run in self.runs[name]]

    def times(self, slower: str, faster: str) -> Ratio:
        """Return how many times longer one took than the other."""
        return ratio(self.seconds(slower), self.seconds(faster))

    def memory(self, larger: str, smaller: str) -> Ratio:
        """Return how many times more memory one held than the other."""
        return ratio(self.peaks_mb(larger), self.peaks_mb(smaller))

    def to_json(self) -> dict[str, Any]:
        """Return every run, and medians, by competitor."""
        return {
            name: {
                "seconds": [round(run.seconds, 3) for run in runs],
                "median_seconds": round(median(self.seconds(name)), 3),
                "peak_mb": [round(run.peak_mb, 1) for run in runs],
                "median_peak_mb": round(median(self.peaks_mb(name)), 1),
                "processes": max(run.processes for run in runs),
            }
            for name, runs in self.runs.items()
        }


def run_rounds(competitors: Sequence[Competitor], rounds: int, echo: Echo) -> RoundResults:
    """Run every competitor once in each round, and return what they took."""
    runs: dict[str, list[Measured]] = {competitor.name: [] for competitor in competitors}
    for number in range(1, rounds + 1):
        first = (number - 1) % len(competitors)
        for competitor in (*competitors[first:], *competitors[:first]):
            echo(f"round {number} of {rounds}: {competitor.name} …")
            took = competitor.run()
            runs[competitor.name].append(took)
            echo(f"round {number} of {rounds}: {competitor.name}: {took.seconds:.1f} s, {took.peak_mb:.0f} MB")
    return RoundResults(runs)
