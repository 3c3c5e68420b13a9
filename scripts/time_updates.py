"""Time optimiser updates of a method's phantom recipe, or of a dataset's plan, and print them as JSON.

    python scripts/time_updates.py METHOD [--dataset FOLDER] [--updates 20] [--threads 2] [--set NAME=VALUE]

Without ``--dataset`` the recipe is that of scripts/train_phantom.py. Every phase of the method is shortened to a few
updates, so that each of its parts has its share of them (cycles of a growing schedule, networks that leave early). A
row a phase: updates of the whole recipe; mean, median and shortest of those timed, in seconds; ``cpu_s`` is the mean
of what the processor spent on them, all threads together, which other programs disturb least. ``total_min`` and
``total_cpu_min`` are the whole recipe at the means. Preparing cases and validating are not counted.
``--set`` changes an option of the method, e.g. ``gradient=all`` of E2ENet.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from train_phantom import SETTINGS, Phantoms, plan_phantoms

from voxtrace.method import Method, Phase
from voxtrace.methods import METHODS, method
from voxtrace.plan import Plan
from voxtrace.training import fingerprint, fold, open_dataset, plan_dataset, train
from voxtrace.volume import Case

AHEAD = 2  # updates of a phase that are not timed: memory is still being claimed
FEW = 6  # cases to cut windows from


def main() -> None:
    """Print what an update takes."""
    given = _arguments()
    torch.set_num_threads(given.threads)
    kind, plan, cases = _on_dataset(given) if given.dataset else _on_phantoms(given)
    rows = timed(kind, plan, cases, given.updates)
    minutes = {name: sum(row["updates"] * row[f"{name}_s"] for row in rows.values()) / 60 for name in ("mean", "cpu")}
    totals = {"total_min": minutes["mean"], "total_cpu_min": minutes["cpu"]}
    print(json.dumps({"method": given.method, "threads": given.threads, "phases": rows, **totals}))


def timed(kind: Method, plan: Plan, cases: Sequence[Case], updates: int) -> dict[str, dict[str, float]]:
    """Return a row for each phase of the method."""
    whole = kind.phases(kind.adapt(plan))
    seconds: dict[str, list[tuple[float, float]]] = {phase.name: [] for phase in whole}
    with tempfile.TemporaryDirectory() as folder:
        before = time.perf_counter(), time.process_time()
        for progress in train(shortened(kind, AHEAD + updates + 1), plan, cases, out=Path(folder) / "out"):
            now = time.perf_counter(), time.process_time()
            if progress.phase in seconds:
                seconds[progress.phase].append((now[0] - before[0], now[1] - before[1]))
            before = now
    return {phase.name: _row(phase, seconds[phase.name][AHEAD:-1]) for phase in whole}  # the last writes a checkpoint


def shortened(kind: Method, updates: int) -> Method:
    """Return the method with phases of so many updates."""

    class Short(type(kind)):  # type: ignore[misc]  # a base that is known only now
        def phases(self, plan: Plan) -> tuple[Phase, ...]:
            return tuple(replace(phase, iterations=updates) for phase in super().phases(plan))

    return Short(**kind.to_json()["options"])


def _row(phase: Phase, seconds: list[tuple[float, float]]) -> dict[str, float]:
    wall, cpu = zip(*seconds, strict=True)
    found = {"mean_s": statistics.mean(wall), "median_s": statistics.median(wall), "shortest_s": min(wall)}
    return {"updates": phase.iterations, **found, "cpu_s": statistics.mean(cpu)}


def _on_phantoms(given: argparse.Namespace) -> tuple[Method, Plan, Sequence[Case]]:
    setting = SETTINGS[given.method]
    cases = Phantoms(setting.subject.draw, range(FEW))
    options = {**setting.options, **dict(given.set)}
    return method(given.method, **options), plan_phantoms(setting, cases, setting.iterations), cases


def _on_dataset(given: argparse.Namespace) -> tuple[Method, Plan, Sequence[Case]]:
    dataset = open_dataset(given.dataset)
    cases = fold(dataset, 0)[0]
    return method(given.method, **dict(given.set)), plan_dataset(dataset, fingerprint(cases)), cases[:FEW]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=sorted(METHODS))
    parser.add_argument("--dataset", type=Path, help="a folder in nnU-Net's raw layout")
    parser.add_argument("--updates", type=int, default=20, help="timed, of each phase")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", type=lambda told: tuple(told.split("=", 1)), action="append", default=[])
    return parser.parse_args()


if __name__ == "__main__":
    main()
