"""Seconds and gigabytes of a prediction, before it runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from voxtrace.fit.cost import PredictionCost, window_gflop
from voxtrace.fit.machine_speed import MeasuredRun, measured_runs, remember
from voxtrace.fit.scan_facts import ScanFacts, facts_of
from voxtrace.volume import Volume

Source = Literal["this model", "other models", "not measured"]
# Of the U-Net of speeds.json: 0.283 s a window of 190 GFLOP on one thread with AVX-512 (BF16); without it about twice.
_SECONDS_PER_GFLOP_AND_THREAD = 0.004
_SECONDS_PER_VOXEL = 2e-8
_SECONDS_FIXED = 1.0
_FEWEST_VOXELS = 200_000  # with fewer, the time for a voxel cannot be told from the time for a run


@dataclass(frozen=True)
class Estimate:
    """What a prediction will take.

    Attributes
    ----------
    seconds, gigabytes
        Wall time without reading the scan and loading the program; largest memory of the process.
    source
        Where the speed comes from: runs of this model on this machine, runs of other models, or a table.
    """

    seconds: float
    gigabytes: float
    source: Source

    @property
    def words(self) -> str:
        """The estimate for a person: ``about 12 s, 1.1 GB (from your last run with this model)``."""
        where = {
            "this model": "from your last run with this model",
            "other models": "from runs of other models",
            "not measured": "a rough guess: nothing was run on this machine yet",
        }[self.source]
        return f"about {_time(self.seconds)}, {self.gigabytes:.1f} GB ({where})"


def estimate(
    record: Mapping[str, Any], scan: Volume | ScanFacts, options: Mapping[str, Any] | None = None
) -> Estimate | None:
    """Return what a prediction will take on this machine; None where neither a run nor a cost of the model is known.

    Parameters
    ----------
    record
        The bundle's record, as ``voxtrace.bundle.card(path)`` returns it.
    scan
        A volume, or what :func:`voxtrace.fit.facts_of` returned for it.
    options
        Of the prediction, by name as ``PredictOptions.to_json()`` gives them: ``steps``, ``mirror``, ``overlap``,
        ``keep``, ``region``, ``batch``, ``device`` and ``runtime`` count.
    """
    facts = scan if isinstance(scan, ScanFacts) else facts_of(scan)
    cost = PredictionCost.of(record, facts, options)
    runs = _matching(options or {})
    own = [run for run in runs if run.digest == record.get("digest")]
    if own:
        return Estimate(own[-1].seconds(cost.windows * cost.passes, cost.voxels), cost.gigabytes, "this model")
    if not cost.gflop:
        return None
    others = [run for run in runs if run.gflop_per_pass]
    if others:
        return Estimate(_by_others(others, cost), cost.gigabytes, "other models")
    threads = min(8, os.cpu_count() or 1)
    network = cost.gflop * _SECONDS_PER_GFLOP_AND_THREAD / threads
    return Estimate(network + cost.voxels * _SECONDS_PER_VOXEL + _SECONDS_FIXED, cost.gigabytes, "not measured")


def remember_run(
    record: Mapping[str, Any], scan: ScanFacts, options: Mapping[str, Any], facts: Mapping[str, Any], seconds: float
) -> None:
    """Remember how fast a run was; ``facts`` are those of its result, ``seconds`` its whole wall time.

    Runs of several bundles, and of bundles that lie on no disk, are not remembered.
    """
    if not record.get("digest") or facts.get("members", 1) != 1 or not facts.get("windows"):
        return
    cost = PredictionCost.of(record, scan, options)
    stages: Mapping[str, float] = facts["seconds"]
    network = sum(stages.get(stage, 0.0) for stage in ("network", "assess", "blend"))
    # The last planes are finished while nothing else runs; what no stage counts is preparation.
    rest = max(0.0, seconds - network)
    planes = stages.get("planes", 0.0) + stages.get("finish", 0.0)
    voxels = min(rest, planes if cost.voxels >= _FEWEST_VOXELS else cost.voxels * _SECONDS_PER_VOXEL)
    remember(
        MeasuredRun(
            digest=str(record["digest"]),
            device=str(facts["device"]),
            runtime=str(facts["runtime"]),
            precision=str(facts["precision"]),
            seconds_per_pass=network / (cost.windows * cost.passes),
            seconds_per_voxel=voxels / cost.voxels,
            seconds_fixed=rest - voxels,
            gflop_per_pass=window_gflop(record),
        )
    )


def _matching(options: Mapping[str, Any]) -> list[MeasuredRun]:
    """Return the remembered runs on the device and runtime that are asked for."""
    asked = {name: options.get(name, "auto") for name in ("device", "runtime", "precision")}
    return [
        run
        for run in measured_runs()
        if all(value == "auto" or getattr(run, name) == value for name, value in asked.items())
    ]


def _by_others(runs: list[MeasuredRun], cost: PredictionCost) -> float:
    per_gflop = median(run.seconds_per_pass / run.gflop_per_pass for run in runs)
    per_voxel, fixed = median(run.seconds_per_voxel for run in runs), median(run.seconds_fixed for run in runs)
    return fixed + cost.gflop * per_gflop + cost.voxels * per_voxel


def _time(seconds: float) -> str:
    if seconds < 1.5:
        return "1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
