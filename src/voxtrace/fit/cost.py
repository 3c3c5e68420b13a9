"""PredictionCost: what a prediction computes, from a bundle's record and the size of a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxtrace.fit.scan_facts import ScanFacts
from voxtrace.plan import Plan
from voxtrace.preprocess import network_grid
from voxtrace.volume import Shape
from voxtrace.windows import count_windows

GIGABYTE = 1e9
CHOICES = "gflop_of_choices"  # in a card's cost, where networks are chosen between: GFLOP of each choice by its name
RUN, RUN_WINDOWS = "gflop_run_per_window", "windows_run"  # there: mean of what was run on held-back cases, and of what
_PROGRAM_GB = 0.42  # Python with torch and a compiled runtime, and a small network
_FEATURE_BYTES = 4
_MAPS_PER_WINDOW = 6.0  # maps of the finest stage's width that are in memory at once, with copies in other layouts
_CPU_BATCH_VOXELS, _CPU_BATCH_SLICE_VOXELS, _CPU_LARGEST_BATCH = 2**16, 2**18, 16


@dataclass(frozen=True)
class PredictionCost:
    """What one prediction takes, whatever the machine.

    Attributes
    ----------
    windows
        Windows of the even lattice; adaptive schedules run fewer.
    passes
        Calls of the whole network for one window: mirror images × steps × bundles.
    gflop
        All of them together; 0 where the bundle does not record its cost. Where networks are chosen between, a window
        counts as the mean window of the held-back cases.
    voxels
        Label voxels written: of the input, for each kept step.
    gigabytes
        Largest memory.
    """

    windows: int
    passes: int
    gflop: float
    voxels: int
    gigabytes: float

    @staticmethod
    def of(record: Mapping[str, Any], scan: ScanFacts, options: Mapping[str, Any] | None = None) -> PredictionCost:
        """Return the cost of a prediction; ``options`` are those of ``PredictOptions`` by name, where they are set."""
        plan, options = Plan.model_validate(record["plan"]), options or {}
        overlap = plan.overlap if options.get("overlap") is None else float(options["overlap"])
        windows = count_windows(_padded_shape(plan, scan, options), plan.window, overlap)
        cost = record.get("cost", {})
        steps = int(options.get("steps") or cost.get("steps", 1))
        mirror = options.get("mirror")
        flips = _flips(plan) if (bool(record.get("mirror")) if mirror is None else mirror) else 1
        passes = flips * (steps if cost.get("steps_are_passes") else 1)
        kept = 1 if options.get("keep", "labels") == "last" else steps
        voxels = scan.geometry.shape[0] * scan.geometry.shape[1] * scan.geometry.shape[2]
        return PredictionCost(
            windows=windows,
            passes=passes,
            gflop=windows * passes * window_gflop(record),
            voxels=voxels * kept,
            gigabytes=_gigabytes(plan, scan, kept, options.get("batch")),
        )


def window_gflop(record: Mapping[str, Any]) -> float:
    """Return the GFLOP of a pass over a window, where networks are chosen between the mean of held-back cases.

    Where no case was measured, each network that is chosen between counts, which is too much; 0 without a cost.

    Examples
    --------
    >>> window_gflop({"cost": {"gflop_per_window": 0.6, "gflop_run_per_window": 0.1}})
    0.1
    """
    cost = record.get("cost", {})
    return float(cost.get(RUN, cost.get("gflop_per_window", 0.0)))


def _padded_shape(plan: Plan, scan: ScanFacts, options: Mapping[str, Any]) -> Shape:
    """Return voxels of the network grid; of a CT only around the body, unless all of it is asked for."""
    grid = network_grid(scan.geometry, plan)
    if plan.view is not None or options.get("region") == "all":
        return grid.padded_shape
    inside = zip(grid.padded_shape, scan.body, scan.geometry.shape, plan.window, strict=True)
    z, y, x = (max(window, min(n, round(n * body / whole))) for n, body, whole, window in inside)
    return z, y, x


def _flips(plan: Plan) -> int:
    return 1 << len([axis for axis in plan.mirror_axes if plan.window[axis] > 1])


def _gigabytes(plan: Plan, scan: ScanFacts, kept: int, batch: int | None) -> float:
    """Return memory: the program, the input and its answer, the planes that are held, maps of a batch of windows."""
    voxels = scan.geometry.shape[0] * scan.geometry.shape[1] * scan.geometry.shape[2]
    inputs = voxels * (4 * len(scan.channels) + kept)
    grid = network_grid(scan.geometry, plan).padded_shape
    planes = 2 * plan.window[0] * grid[1] * grid[2] * plan.n_outputs * kept * _FEATURE_BYTES
    window = plan.window[0] * plan.window[1] * plan.window[2]
    at_once = batch or _usual_batch(plan.window, window)
    maps = _MAPS_PER_WINDOW * at_once * window * (max(plan.topology.widths[0], 8) + plan.n_outputs) * _FEATURE_BYTES
    return _PROGRAM_GB + (inputs + planes + maps) / GIGABYTE


def _usual_batch(window: Sequence[int], voxels: int) -> int:
    """Return how many windows the engine takes at once on a CPU."""
    enough = _CPU_BATCH_SLICE_VOXELS if window[0] == 1 else _CPU_BATCH_VOXELS
    return max(1, min(_CPU_LARGEST_BATCH, enough // voxels))
