"""A CT of 512×512×300 voxels, 14 labels, half overlapping windows, no mirroring, the same weights for all.

Compared are time and peak memory of nnU-Net v2, MONAI's SlidingWindowInferer and ``voxtrace``, with all windows and
with CDL-UNet's adaptive ones. A ratio is given only where the answers agree: all windows must give the peer's labels,
adaptive ones must not lose more than 0.01 of mean Dice.

Adaptive windows get the labels that run through the whole scan as tubes: where the centre window shows only aorta and
spine, the organs lie elsewhere.
"""

from __future__ import annotations

from statistics import median

from voxtrace.bench.inputs import Scan, abdomen
from voxtrace.bench.models import make_models
from voxtrace.bench.outcome import Comparison, Outcome, compare_time_and_memory
from voxtrace.bench.results import equal_fraction, mean_dice, network_seconds, reason_if_labels_differ
from voxtrace.bench.runner import Competitor, RoundResults, run_rounds
from voxtrace.bench.settings import BenchSettings, monai_competitor, nnunet, voxtrace_competitor

FULL, ADAPTIVE = "voxtrace", "voxtrace, adaptive windows"
SAME_ANSWER = {"nnU-Net": 0.99, "MONAI": 0.95}  # least fraction of equal voxels; MONAI interpolates differently
TUBES = "tube_labels=4 5"  # aorta and spine
CODE = "rule=code"  # of the published code: empty centres skip the next z start, too
MOST_LOST = 0.01  # of mean Dice
LEAST_DICE = 0.5  # of all windows: if the network finds little, skipping empty windows is no achievement
WINDOW_QUICK = (8, 32, 48)


def run(settings: BenchSettings) -> Outcome:
    """Run the competitors in turn and compare them."""
    scan = _scan(settings)
    models = make_models(settings.folder / "models", WINDOW_QUICK if settings.quick else None)
    full = voxtrace_competitor(settings, "ct300", FULL, [scan], models.unet)
    adaptive = voxtrace_competitor(settings, "ct300", ADAPTIVE, [scan], models.cdlunet, "--set", TUBES, "--set", CODE)
    # nnU-Net needs an interpreter of its own and may be missing.
    theirs = [
        c for c in (nnunet(settings, "ct300", scan, models), monai_competitor(settings, "ct300", scan, models)) if c
    ]
    results = run_rounds([full, adaptive, *theirs], settings.repeats, settings.echo)
    equal = {peer.name: equal_fraction(full.labels, peer.labels) for peer in theirs}
    dices = {c.name: mean_dice(c.labels, scan) for c in (*theirs, full, adaptive)}
    return Outcome(
        title="CT 512×512×300, 14 labels, step 0.5" if not settings.quick else "tiny CT",
        results=results,
        comparisons=[row for peer in theirs for row in _rows(results, peer, equal, dices, settings.quick)],
        facts={
            "equal_voxels": {name: round(fraction, 5) for name, fraction in equal.items()},
            "mean_dice": {name: round(value, 4) for name, value in dices.items()},
            "network_share": _network_share(results),
        },
        left_out=() if settings.peer else ("nnU-Net was left out: no interpreter was given with --peer.",),
    )


def _scan(settings: BenchSettings) -> Scan:
    slices, side = (40, 96) if settings.quick else (300, 512)
    return abdomen(settings.inputs, slices, side, settings.seed)


def _rows(
    results: RoundResults, peer: Competitor, equal: dict[str, float], dices: dict[str, float], quick: bool
) -> list[Comparison]:
    # On tiny inputs the network finds next to nothing.
    least = 0.0 if quick else LEAST_DICE
    return [
        *compare_time_and_memory(
            results, FULL, peer.name, reason_if_labels_differ(equal[peer.name], SAME_ANSWER[peer.name])
        ),
        *compare_time_and_memory(results, ADAPTIVE, peer.name, unproven(dices[peer.name], dices[ADAPTIVE], least)),
    ]


def unproven(full: float, adaptive: float, least: float = LEAST_DICE) -> str:
    """Return why the time of adaptive windows must not be compared, by both mean Dice; empty if it may."""
    if full < least:
        return f"the network finds too little (mean Dice {full:.2f} with all windows)"
    return f"adaptive windows lose {full - adaptive:.3f} of mean Dice" if full - adaptive > MOST_LOST else ""


def _network_share(results: RoundResults) -> dict[str, float]:
    """Return the median fraction of the wall time of ``voxtrace`` that is spent in the network."""
    fractions = {}
    for name in (FULL, ADAPTIVE):
        fractions[name] = round(median(network_seconds(took) / took.seconds for took in results.runs[name]), 4)
    return fractions
