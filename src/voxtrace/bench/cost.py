"""Cost of prediction: time and memory of whole processes against slices, labels and steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtrace.bench.inputs import abdomen
from voxtrace.bench.models import NETWORK
from voxtrace.bench.runner import run_rounds
from voxtrace.bench.settings import BenchSettings, voxtrace_competitor
from voxtrace.bundle import Bundle, load, save
from voxtrace.methods import method
from voxtrace.plan import Plan, Shape

SLICES = (100, 200, 400, 700, 1000)
LABELS = (2, 14, 30, 60)
STEPS = (1, 2, 3, 5, 7)
WINDOW: Shape = (32, 64, 64)
WINDOW_QUICK: Shape = (8, 16, 16)


@dataclass(frozen=True)
class CostPoint:
    """One measured value: what varies, its value, and time and peak memory of each round."""

    varies: str
    value: int
    seconds: Sequence[float]
    peaks_mb: Sequence[float]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers by name."""
        rounded = {"seconds": [round(s, 3) for s in self.seconds], "peak_mb": [round(m, 1) for m in self.peaks_mb]}
        return {"varies": self.varies, "value": self.value, **rounded}


def run_cost(settings: BenchSettings, side: int) -> list[CostPoint]:
    """Measure each value of slices, labels and steps; one varies while the others stay at 100, 14 and 1.

    Planes are ``side`` × ``side`` voxels, windows 32×64×64. Every competitor is a RecycleNet with random weights, on
    which time does not depend; steps are its cycles.
    """
    slices, labels, steps = _values(settings.quick)
    window = WINDOW_QUICK if settings.quick else WINDOW
    # Each entry: what varies, slices, labels, steps.
    wanted = [("slices", n, labels[0] if settings.quick else 14, 1) for n in slices]
    wanted = [*wanted, *(("labels", slices[0], k, 1) for k in labels), *(("steps", slices[0], 14, s) for s in steps)]
    competitors, names = [], []
    for varies, depth, k, cycles in wanted:
        value = {"slices": depth, "labels": k, "steps": cycles}[varies]
        scan = abdomen(settings.inputs, depth, side, settings.seed)
        model = _model(settings.folder / "models" / f"cost-{k}-{cycles}", k, cycles, window)
        competitors.append(voxtrace_competitor(settings, "cost", f"{varies} {value}", [scan], model))
        names.append((varies, value))
    results = run_rounds(competitors, settings.repeats, settings.echo)
    return [CostPoint(v, n, results.seconds(f"{v} {n}"), results.peaks_mb(f"{v} {n}")) for v, n in names]


def _values(quick: bool) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    return ((16, 32), (2, 4), (1, 2)) if quick else (SLICES, LABELS, STEPS)


def _model(folder: Path, labels: int, cycles: int, window: Shape) -> Path:
    """Write a RecycleNet of LightUnet's size with random weights, and return its folder."""
    import torch

    made = method("recyclenet", cycles=cycles)
    names = {0: "background"} | {k: f"label {k}" for k in range(1, labels)}
    plan: Plan = made.adapt(load(NETWORK).plan.model_copy(update={"labels": names, "window": window}))
    # The same weights in every run, without changing the caller's random numbers.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = made.build(plan)
    bundle = Bundle(made, plan, network.eval(), {"name": folder.name, "mirror": False})
    return save(bundle, folder)
