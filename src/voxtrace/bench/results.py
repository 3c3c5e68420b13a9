"""What competitors wrote: agreement of label maps with each other and with the truth; times and facts of traces."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.bench.inputs import Scan
from voxtrace.bench.measure import Measured
from voxtrace.bench.outcome import Comparison
from voxtrace.bench.runner import RoundResults
from voxtrace.io import read_labels
from voxtrace.metrics import dice


def equal_fraction(one: Path, other: Path) -> float:
    """Return the fraction of voxels with the same label in two files on one grid."""
    return float(np.mean(read_labels(one).data == read_labels(other).data))


def mean_dice(labels: Path, scan: Scan) -> float:
    """Return the mean Dice over the labels of a scan's truth; NaN where there is no truth."""
    if scan.truth is None:
        return float("nan")
    answer, truth = read_labels(labels), read_labels(scan.truth)
    return float(np.mean([dice(answer, truth, label) for label in np.unique(truth.data[truth.data > 0]).tolist()]))


def network_seconds(took: Measured) -> float:
    """Return the seconds spent in the network for the first case, as the engine reports them."""
    return float(_cases(took)[0]["run"]["seconds"]["network"])


def case_seconds(took: Measured) -> float:
    """Return the seconds that ``voxtrace predict --json`` reports for its cases: without the start of the process."""
    return float(sum(case["time_s"] for case in _cases(took)))


def compare_without_startup(results: RoundResults, ours: str, against: str, withheld: str = "") -> Comparison:
    """Compare the time of two runs of ``voxtrace predict`` without the start of the process."""
    small, large = ([case_seconds(took) for took in results.runs[name]] for name in (ours, against))
    return Comparison("time", ours, against, small, large, withheld, "without the start of the process")


def sum_fact(took: Measured, fact: str) -> float:
    """Return the sum of a fact over steps and windows, of the traces that ``voxtrace predict --json`` names."""
    # A window that did not run a step has no value there.
    values = (value for facts in _facts(took) for step in facts[fact] for value in step)
    return float(sum(value for value in values if value is not None))


def mean_steps(took: Measured) -> float:
    """Return how many steps a window ran on average, of the traces of a run in which windows may stop early."""
    return float(np.mean(np.concatenate([np.sum(facts["computed"], axis=0) for facts in _facts(took)])))


def count_values(took: Measured, fact: str) -> Counter[float]:
    """Return how often each value of a fact occurs over steps and windows of a run."""
    return Counter(value for facts in _facts(took) for step in facts[fact] for value in step)


def reason_if_labels_differ(equal: float, least: float) -> str:
    """Return why a ratio is withheld where less than the fraction ``least`` of voxels is equal; else empty."""
    return "" if equal >= least else f"labels agree in {100 * equal:.1f} % of voxels only"


def _facts(took: Measured) -> list[dict[str, Any]]:
    """Return the facts of each trace by name: values by step and window."""
    traces = [Path(case["trace"]) / "trace.json" for case in _cases(took)]
    return [json.loads(trace.read_text(encoding="utf-8"))["facts"] for trace in traces]


def _cases(took: Measured) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = json.loads(took.output)["done"]
    return done
