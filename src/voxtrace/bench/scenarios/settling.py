"""RecycleNet's seven cycles with early stopping of settled windows, against one cycle and against all seven.

These scans are small, so time without the start of the process is given beside that of whole processes.
"""

from __future__ import annotations

import numpy as np

from voxtrace.bench.inputs import Scan, abdomen, hippocampi
from voxtrace.bench.outcome import Outcome, compare_time_and_memory
from voxtrace.bench.results import compare_without_startup, mean_dice, mean_steps
from voxtrace.bench.runner import Competitor, run_rounds
from voxtrace.bench.settings import BenchSettings, voxtrace_competitor

THRESHOLD = 0.00055  # fraction of changed labels below which a window is settled; see docs/benchmarks.md
WITHIN = 0.001  # of mean Dice, from that of all cycles
CASES = 47  # the whole validation set
SETTLED, ONE, SEVEN = "7 cycles, settling", "1 cycle", "7 cycles"
ALL = ("--steps", "7")  # also of a model that takes fewer
OPTIONS = {SETTLED: (*ALL, "--settle", str(THRESHOLD)), ONE: ("--steps", "1"), SEVEN: ALL}


def run(settings: BenchSettings) -> Outcome:
    """Run the three in turn."""
    scans, model, title = _scans(settings)
    competitors = [
        voxtrace_competitor(settings, "settling", name, scans, model, *options) for name, options in OPTIONS.items()
    ]
    results = run_rounds(competitors, settings.repeats, settings.echo)
    dices = {c.name: float(np.mean([_dice(c, scan, len(scans)) for scan in scans])) for c in competitors}
    # Time is compared only if stopping early keeps the answer.
    lost = dices[SEVEN] - dices[SETTLED]
    withheld = f"mean Dice is {abs(lost):.4f} from that of all cycles" if abs(lost) > WITHIN else ""
    return Outcome(
        title=title,
        results=results,
        comparisons=[
            compare_time_and_memory(results, ONE, SETTLED, withheld)[0],
            compare_without_startup(results, ONE, SETTLED, withheld),
            compare_time_and_memory(results, SETTLED, SEVEN, withheld)[0],
            compare_without_startup(results, SETTLED, SEVEN, withheld),
        ],
        facts={
            "threshold": THRESHOLD,
            "mean_dice": {name: round(value, 5) for name, value in dices.items()},
            "dice_lost_against_all_cycles": round(lost, 5),
            "mean_cycles": round(mean_steps(results.runs[SETTLED][-1]), 2),
        },
    )


def _scans(settings: BenchSettings) -> tuple[list[Scan], str, str]:
    """Return the real validation cases with their bundle, or a phantom with its own where there are none."""
    found = hippocampi(settings.real_data, 2 if settings.quick else CASES) if settings.real_data else []
    if found:
        return found, "hippocampus-recyclenet", f"RecycleNet, {len(found)} hippocampus cases"
    slices, side, mm = (24, 64, (5.0, 3.0, 3.0)) if settings.quick else (80, 160, (5.0, 3.0, 3.0))
    scan = abdomen(settings.inputs, slices, side, settings.seed, mm)
    return [scan], "abdomen-phantom-recyclenet", f"RecycleNet, made-up CT {side}×{side}×{slices}"


def _dice(competitor: Competitor, scan: Scan, cases: int) -> float:
    one = competitor.labels if cases == 1 else competitor.labels / scan.channels[0].name.replace("_0000.nii", ".nii")
    return mean_dice(one, scan)
