"""Run competitors in turn: every round runs each once, so that disturbances of the machine fall on all alike."""

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
    """A command line that turns an image into a label map.

    Attributes
    ----------
    name
        Its name in tables.
    command
        Program and arguments.
    out
        Output folder; emptied before each run.
    labels
        The label map that it writes there.
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
    """Time and memory of every competitor in every round."""

    runs: dict[str, list[Measured]]

    def seconds(self, name: str) -> list[float]:
        """Return the wall times of a competitor."""
        return [run.seconds for run in self.runs[name]]

    def peaks_mb(self, name: str) -> list[float]:
        """Return the peak memory of a competitor in each round."""
        return [run.peak_mb for run in self.runs[name]]

    def times(self, slower: str, faster: str) -> Ratio:
        """Return how many times longer the slower one took."""
        return ratio(self.seconds(slower), self.seconds(faster))

    def memory(self, larger: str, smaller: str) -> Ratio:
        """Return how many times more memory the larger one held."""
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


def run_rounds(
    competitors: Sequence[Competitor],
    rounds: int,
    echo: Echo,
    look: Callable[[Competitor, Measured], None] = lambda competitor, took: None,
) -> RoundResults:
    """Run every competitor once in each round; ``look`` sees each run before the next one of its competitor."""
    runs: dict[str, list[Measured]] = {competitor.name: [] for competitor in competitors}
    for number in range(1, rounds + 1):
        # Each round begins with the next competitor: one that fills the memory evicts the files that its successor
        # reads, and this must not always hit the same one.
        first = (number - 1) % len(competitors)
        for competitor in (*competitors[first:], *competitors[:first]):
            echo(f"round {number} of {rounds}: {competitor.name} …")
            took = competitor.run()
            runs[competitor.name].append(took)
            look(competitor, took)
            echo(f"round {number} of {rounds}: {competitor.name}: {took.seconds:.1f} s, {took.peak_mb:.0f} MB")
    return RoundResults(runs)
