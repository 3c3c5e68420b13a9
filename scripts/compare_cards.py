"""Compare trainings by what their cards say of every held-back case; nothing is predicted again.

    python scripts/compare_cards.py OUT PATTERN [--against PATTERN]

OUT holds bundles, e.g. those of train_table.py. The cases of all bundles that match a pattern (folds, or one fold with
several seeds) are pooled, the seeds of a case averaged first: mean Dice as the network answers and as users get it,
Dice of each step, volumes against those of the reference, and whether each bundle's mean lies inside the interval of
the first one. With --against, cases of the same name and fold are paired: effect, 95 % bootstrap interval over cases,
p of Wilcoxon's signed-rank test.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.batch.paired import paired
from voxtrace.bundle import card
from voxtrace.metrics import finite_mean, mean_interval

Key = tuple[str, str]  # fold, from a bundle's name, and the case


def network_dice(row: Mapping[str, Any], rules: Mapping[str, Any]) -> float:
    """Return the mean Dice of a case as the network answers: where rules were tried, that of none."""
    without = {name: one["dice"] for name, tried in rules.items() for one in tried if "none" in one["rules"]}
    return finite_mean({**row["dice"], **without}.values())


class Trained:
    """The held-back cases of one or more bundles."""

    def __init__(self, folders: list[Path]) -> None:
        self.records = {folder.name: card(folder) for folder in folders}
        network: dict[Key, list[float]] = {}
        processed: dict[Key, list[float]] = {}
        self.volumes: dict[str, list[tuple[float, float]]] = {}
        for name, record in self.records.items():
            found = record["metrics"]["validation"]
            for row, rules in zip(found["per_case"], found.get("by_rule") or [{}] * found["cases"], strict=True):
                key = (re.findall(r"-([^-]+)-[^-]+$", name)[0], row["name"])
                network.setdefault(key, []).append(network_dice(row, rules))
                processed.setdefault(key, []).append(finite_mean(row["dice"].values()))
                for label, made in row["predicted_ml"].items():
                    self.volumes.setdefault(label, []).append((made, row["reference_ml"][label]))
        self.network, self.processed = (
            {key: finite_mean(d) for key, d in pool.items()} for pool in (network, processed)
        )

    def tell(self) -> None:
        """Print what there is to say of these alone."""
        for title, dice in (("as the network answers", self.network), ("as users get it", self.processed)):
            print(f"  {title}: {told(list(dice.values()))}")
        steps = [record["metrics"]["validation"]["dice_per_step"] for record in self.records.values()]
        if len(steps[0]) > 1:
            print("  each step: " + " ".join(f"{value:.4f}" for value in np.mean(steps, axis=0)))
        bias = {label: np.asarray(pairs).sum(0) for label, pairs in self.volumes.items()}
        print(
            "  volumes, all cases together: "
            + ", ".join(f"{k} {100 * (m / r - 1):+.1f} %" for k, (m, r) in bias.items())
        )
        first = next(iter(self.records.values()))["metrics"]["validation"]["dice"]
        for name, record in self.records.items():
            dice, made = record["metrics"]["validation"]["dice"], record["provenance"]
            inside = first["ci95"][0] <= dice["mean"] <= first["ci95"][1]
            words = (
                "" if len(self.records) == 1 else ", inside the first one's interval" if inside else ", outside of it"
            )
            print(f"  {name}: {dice['mean']:.4f}, {made['iterations']} updates, {made['seconds']:.0f} s{words}")


def told(values: list[float]) -> str:
    """Return a mean with its interval and number."""
    found = mean_interval(values)
    return f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}], n {len(values)}"


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pattern")
    parser.add_argument("--against")
    given = parser.parse_args()
    sides = [
        Trained(sorted(path for path in given.out.glob(pattern) if (path / "bundle.json").exists()))
        for pattern in (given.pattern, given.against)
        if pattern
    ]
    for pattern, side in zip((given.pattern, given.against), sides, strict=False):
        print(pattern)
        side.tell()
    if len(sides) == 2:
        common = sorted(set(sides[0].network) & set(sides[1].network))
        found = paired(*([side.network[key] for key in common] for side in sides))
        between = f"{found.difference:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
        print(f"difference {between}, p {found.p:.2g}, n {found.count}")


if __name__ == "__main__":
    main()
