"""Compare trainings by what their cards say of every held-back case; nothing is predicted again.

    python scripts/compare_cards.py OUT PATTERN [--against PATTERN] [--measure nsd]

OUT holds bundles, e.g. those of train_table.py. The cases of all bundles that match a pattern (folds, or one fold with
several seeds) are pooled, the seeds of a case averaged first, then the cases of a subject, whom their names tell
(``patient001_frame01``): mean Dice as the network answers and as users get it, Dice of each step over all cases,
volumes against those of the reference, and whether each bundle's mean lies inside the interval of the first one. With
--against, cases of the same name and fold are paired: effect, 95 % bootstrap interval over subjects, p of Wilcoxon's
signed-rank test. --measure takes the surfaces instead: ``nsd`` at the tolerance of the card (1 mm), ``nsd_2mm``, or
``hd95`` in mm, where less is better; a subject who lacks a label on one side is left out, since that is infinitely far.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.batch.paired import paired
from voxtrace.bundle import card
from voxtrace.metrics import mean_interval
from voxtrace.training.split import subjects_of

Key = tuple[str, str]  # fold, from a bundle's name, and the case or the subject
MEASURES = {"dice": "dice", "nsd": "nsd", "nsd_2mm": "nsd_2mm", "hd95": "hd95_mm"}  # and what a card calls them


def mean(values: Iterable[float]) -> float:
    """Return the mean of values, without NaN: infinite where one is, NaN without any."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def of_labels(row: Mapping[str, Any], measure: str = "dice") -> dict[str, float]:
    """Return a measure of each label of a case as users get it."""
    if measure == "dice":
        return {label: stored(value, measure) for label, value in row["dice"].items()}
    return {label: stored(found[measure], measure) for label, found in row["measures"].items()}


def network_labels(row: Mapping[str, Any], rules: Mapping[str, Any], measure: str = "dice") -> dict[str, float]:
    """Return a measure of each label of a case as the network answers: where rules were tried, that of none."""
    without = {name: one for name, tried in rules.items() for one in tried if "none" in one["rules"]}
    found = {name: one["dice"] if measure == "dice" else one["measures"][measure] for name, one in without.items()}
    return {**of_labels(row, measure), **{name: stored(value, measure) for name, value in found.items()}}


def stored(value: float | None, measure: str) -> float:
    """Return a number of a card, where None is what JSON cannot hold: an infinite distance, else NaN."""
    return value if value is not None else math.inf if measure == "hd95_mm" else math.nan


def by_subject(cases: Mapping[Key, float]) -> dict[Key, float]:
    """Return the mean of each subject's cases: two frames of one heart are not two hearts."""
    subjects = subjects_of([case for _, case in cases], {})
    found: dict[Key, list[float]] = {}
    for (fold, case), value in cases.items():
        found.setdefault((fold, subjects[case]), []).append(value)
    return {key: mean(values) for key, values in found.items()}


class Trained:
    """The held-back cases of one or more bundles, and a measure of each."""

    def __init__(self, folders: list[Path], measure: str = "dice") -> None:
        self.measure = measure
        self.records = {folder.name: card(folder) for folder in folders}
        network: dict[Key, list[float]] = {}
        processed: dict[Key, list[float]] = {}
        self.volumes: dict[str, list[tuple[float, float]]] = {}
        for name, record in self.records.items():
            found = record["metrics"]["validation"]
            for row, rules in zip(found["per_case"], found.get("by_rule") or [{}] * found["cases"], strict=True):
                key = (re.findall(r"-([^-]+)-[^-]+$", name)[0], row["name"])
                network.setdefault(key, []).append(mean(network_labels(row, rules, measure).values()))
                processed.setdefault(key, []).append(mean(of_labels(row, measure).values()))
                for label, made in row["predicted_ml"].items():
                    self.volumes.setdefault(label, []).append((made, row["reference_ml"][label]))
        self.network, self.processed = ({key: mean(d) for key, d in pool.items()} for pool in (network, processed))

    def per_step(self) -> list[float]:
        """Return the mean Dice after each step over all cases, so that a fold counts by its cases."""
        found = [record["metrics"]["validation"] for record in self.records.values()]
        steps, cases = [one["dice_per_step"] for one in found], [one["cases"] for one in found]
        return [float(value) for value in np.average(steps, axis=0, weights=cases)]

    def tell(self) -> None:
        """Print what there is to say of these alone."""
        for title, values in (("as the network answers", self.network), ("as users get it", self.processed)):
            print(f"  {title}: {told(values)}")
        if self.measure == "dice" and len(steps := self.per_step()) > 1:
            print("  each step: " + " ".join(f"{value:.4f}" for value in steps))
        bias = {label: np.asarray(pairs).sum(0) for label, pairs in self.volumes.items()}
        print(
            "  volumes, all cases together: "
            + ", ".join(f"{k} {100 * (m / r - 1):+.1f} %" for k, (m, r) in bias.items())
        )
        first = self._card_mean(next(iter(self.records)))
        for name, record in self.records.items():
            found, made = self._card_mean(name), record["provenance"]
            inside = first["ci95"][0] <= found["mean"] <= first["ci95"][1]
            words = (
                "" if len(self.records) == 1 else ", inside the first one's interval" if inside else ", outside of it"
            )
            asked = "" if made.get("minutes") is None else f", {made['minutes']:g} minutes"
            print(f"  {name}: {found['mean']:.4f}, {made['iterations']} updates{asked}, {made['seconds']:.0f} s{words}")

    def _card_mean(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.records[name]["metrics"]["validation"]
        one: Mapping[str, Any] = found["dice"] if self.measure == "dice" else found["measures"][self.measure]
        return one


def told(cases: Mapping[Key, float]) -> str:
    """Return the mean over subjects with its interval, and their number."""
    subjects = by_subject(cases)
    found = mean_interval(subjects.values())
    return f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}], {counted(found.count, len(subjects), len(cases))}"


def counted(finite: int, subjects: int, cases: int) -> str:
    """Return how many subjects count, how many are left out, and their cases where those are more."""
    left_out = f", {subjects - finite} left out" if finite < subjects else ""
    return f"n {finite}{left_out}" + (f" ({cases} cases of {subjects} subjects)" if cases > subjects else "")


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pattern")
    parser.add_argument("--against")
    parser.add_argument("--measure", choices=tuple(MEASURES), default="dice")
    given = parser.parse_args()
    sides = [
        Trained(
            sorted(path for path in given.out.glob(pattern) if (path / "bundle.json").exists()),
            MEASURES[given.measure],
        )
        for pattern in (given.pattern, given.against)
        if pattern
    ]
    for pattern, side in zip((given.pattern, given.against), sides, strict=False):
        print(pattern)
        side.tell()
    if len(sides) == 2:
        common = sorted(set(sides[0].network) & set(sides[1].network))
        one, other = (by_subject({key: side.network[key] for key in common}) for side in sides)
        found = paired(list(one.values()), list(other.values()))
        between = f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
        print(f"difference {between}, p {found.p:.2g}, {counted(found.count, len(one), len(common))}")


if __name__ == "__main__":
    main()
