"""RecycleNet's seven cycles with settling, against one cycle and against all seven.

Time without the start of the process is told beside that of whole processes, for these scans are small.
"""

from __future__ import annotations

import numpy as np

from voxtrace.bench.answers import mean_dice, steps_taken, without_start
from voxtrace.bench.contest import Contender, hold
from voxtrace.bench.inputs import Scan, abdomen, hippocampi
from voxtrace.bench.outcome import Outcome, compared
from voxtrace.bench.settings import Settings, ours

THRESHOLD = 0.00055  # share of a window's labels, chosen on these cases: docs/benchmarks.md has the others
WITHIN = 0.001  # of mean Dice, from that of all cycles
CASES = 47  # the whole validation set
SETTLED, ONE, SEVEN = "7 cycles, settling", "1 cycle", "7 cycles"
OPTIONS = {SETTLED: ("--settle", str(THRESHOLD)), ONE: ("--steps", "1"), SEVEN: ()}


def run(settings: Settings) -> Outcome:
    """Run the three in turn."""
    scans, model, title = _scans(settings)
    contenders = [ours(settings, "settling", name, scans, model, *options) for name, options in OPTIONS.items()]
    contest = hold(contenders, settings.repeats, settings.say)
    dices = {c.name: float(np.mean([_dice(c, scan, len(scans)) for scan in scans])) for c in contenders}
    lost = dices[SEVEN] - dices[SETTLED]
    withheld = f"mean Dice is {abs(lost):.4f} from that of all cycles" if abs(lost) > WITHIN else ""
    return Outcome(
        title=title,
        contest=contest,
        comparisons=[
            compared(contest, ONE, SETTLED, withheld)[0],
            without_start(contest, ONE, SETTLED, withheld),
            compared(contest, SETTLED, SEVEN, withheld)[0],
            without_start(contest, SETTLED, SEVEN, withheld),
        ],
        facts={
            "threshold": THRESHOLD,
            "mean_dice": {name: round(value, 5) for name, value in dices.items()},
            "dice_lost_against_all_cycles": round(lost, 5),
            "mean_cycles": round(steps_taken(contest.runs[SETTLED][-1]), 2),
        },
    )


def _scans(settings: Settings) -> tuple[list[Scan], str, str]:
    """Return the real validation cases with their bundle, or a phantom with its own where there are none."""
    found = hippocampi(settings.real_data, 2 if settings.quick else CASES) if settings.real_data else []
    if found:
        return found, "hippocampus-recyclenet", f"RecycleNet, {len(found)} hippocampus cases"
    slices, side, mm = (24, 64, (5.0, 3.0, 3.0)) if settings.quick else (80, 160, (5.0, 3.0, 3.0))
    scan = abdomen(settings.inputs, slices, side, settings.seed, mm)
    return [scan], "abdomen-phantom-recyclenet", f"RecycleNet, made-up CT {side}×{side}×{slices}"


def _dice(contender: Contender, scan: Scan, cases: int) -> float:
    one = contender.labels if cases == 1 else contender.labels / scan.channels[0].name.replace("_0000.nii", ".nii")
    return mean_dice(one, scan)
