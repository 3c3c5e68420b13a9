"""Med-DANet routed, against its largest network M4 on every slice: time, and what the networks cost in GFLOP."""

from __future__ import annotations

from voxtrace.bench.answers import mean_dice, total, without_start
from voxtrace.bench.contest import Contest, hold
from voxtrace.bench.inputs import Scan, glioma, tumour
from voxtrace.bench.outcome import Comparison, Outcome, compared
from voxtrace.bench.settings import Settings, ours
from voxtrace.volume import Shape

BUNDLE = "tumour-phantom-meddanet"
ROUTED, LARGEST = "routed", "M4 on every slice"
OPTIONS = {ROUTED: (), LARGEST: ("--set", "force=expert4")}


def run_phantom(settings: Settings) -> Outcome:
    """Run both on a made-up tumour."""
    shape: Shape = (24, 80, 80) if settings.quick else (310, 160, 160)
    scan = tumour(settings.inputs, shape, settings.seed, (160.0 / shape[0], 160.0 / shape[1], 160.0 / shape[2]))
    return _run(settings, scan, "Med-DANet, tumour phantom")


def run_real(settings: Settings) -> Outcome:
    """Run both on a real glioma."""
    title = "Med-DANet, real glioma"
    scan = glioma(settings.inputs, settings.real_data) if settings.real_data else None
    if scan is None:
        return Outcome(title, Contest({}), (), left_out=("The real glioma was left out: there are no real scans.",))
    return _run(settings, scan, title)


def _run(settings: Settings, scan: Scan, title: str) -> Outcome:
    work = f"routing-{scan.name}"
    contenders = [ours(settings, work, name, [scan], BUNDLE, *options) for name, options in OPTIONS.items()]
    contest = hold(contenders, settings.repeats, settings.say)
    cost = {name: [total(took, "cost_gflop") for took in runs] for name, runs in contest.runs.items()}
    return Outcome(
        title=title,
        contest=contest,
        comparisons=[
            compared(contest, ROUTED, LARGEST)[0],
            without_start(contest, ROUTED, LARGEST),
            Comparison("cost", ROUTED, LARGEST, cost[ROUTED], cost[LARGEST]),
        ],
        facts={"mean_dice": {c.name: round(mean_dice(c.labels, scan), 4) for c in contenders}} if scan.truth else {},
    )
