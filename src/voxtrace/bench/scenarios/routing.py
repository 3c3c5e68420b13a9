"""Med-DANet's decisions against its largest candidate M4 on every slice: time, and cost of the networks in GFLOP.

Measured twice: with the shipped bundle, whose networks are so narrow that reading and writing take longer than they do,
and with networks of the published widths, where the networks take most of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxtrace.bench.inputs import Scan, glioma, tumour
from voxtrace.bench.outcome import Comparison, Outcome, compare_time_and_memory
from voxtrace.bench.published_widths import PUBLISHED_SIDE, meddanet_at_published_widths
from voxtrace.bench.results import compare_without_startup, count_values, mean_dice, sum_fact
from voxtrace.bench.runner import RoundResults, run_rounds
from voxtrace.bench.settings import BenchSettings, voxtrace_competitor
from voxtrace.bundle import load, save
from voxtrace.io import read
from voxtrace.volume import Shape, Triple

BUNDLE = "tumour-phantom-meddanet"
ROUTED, LARGEST = "routed", "M4 on every slice"
OPTIONS = {ROUTED: (), LARGEST: ("--set", "force=expert4")}
PUBLISHED = ", published widths"
DECISIONS = ("skipped", "M1", "M2", "M3", "M4")
ONLY_TIME = (
    "At the published widths the networks have random weights and the decision network is the shipped bundle's: time "
    "and cost are compared there, labels are not."
)


def run_phantom(settings: BenchSettings) -> Outcome:
    """Run both on made-up tumours: one as large as the shipped bundle's windows, and one on the grid of BraTS."""
    small: Shape = (24, 80, 80) if settings.quick else (310, 160, 160)
    large: Shape = (24, 80, 80) if settings.quick else (155, 240, 240)
    scan = tumour(settings.inputs, small, settings.seed, _spacing(small, (160.0, 160.0, 160.0)))
    brats = tumour(settings.inputs, large, settings.seed, _spacing(large, (155.0, 240.0, 240.0)))
    return _run(settings, scan, brats, "Med-DANet, tumour phantom")


def run_real(settings: BenchSettings) -> Outcome:
    """Run both on a real glioma."""
    title = "Med-DANet, real glioma"
    scan = glioma(settings.inputs, settings.real_data) if settings.real_data else None
    if scan is None:
        return Outcome(
            title, RoundResults({}), (), left_out=("The real glioma was left out: there are no real scans.",)
        )
    return _run(settings, scan, scan, title)


def _run(settings: BenchSettings, scan: Scan, for_published: Scan, title: str) -> Outcome:
    scenario = f"routing-{scan.name}"
    # Suffix of the names -> model and the scan that it runs on.
    models: dict[str, tuple[Path | str, Scan]] = {
        "": (BUNDLE, scan),
        PUBLISHED: (_published(settings, for_published), for_published),
    }
    competitors = {
        name + widths: voxtrace_competitor(settings, scenario, name + widths, [seen], model, *options)
        for widths, (model, seen) in models.items()
        for name, options in OPTIONS.items()
    }
    results = run_rounds(list(competitors.values()), settings.repeats, settings.echo)
    trained = [competitors[name] for name in OPTIONS]
    facts = {
        "decisions": {ROUTED + widths: _decisions(results, ROUTED + widths) for widths in models},
        "mean_dice": {c.name: round(mean_dice(c.labels, scan), 4) for c in trained} if scan.truth else {},
    }
    rows = [row for widths in models for row in _rows(results, ROUTED + widths, LARGEST + widths)]
    return Outcome(title, results, rows, facts, (ONLY_TIME,))


def _spacing(shape: Shape, mm: Triple) -> Triple:
    return mm[0] / shape[0], mm[1] / shape[1], mm[2] / shape[2]


def _published(settings: BenchSettings, scan: Scan) -> Path:
    """Write a Med-DANet of the published widths for the scan's slices; for tiny inputs a narrow one."""
    slice_mm = read(scan.channels[0]).geometry.spacing_mm[0]
    side, scale = (80, 0.25) if settings.quick else (PUBLISHED_SIDE, 1.0)
    return save(
        meddanet_at_published_widths(load(BUNDLE), slice_mm, side, scale),
        settings.folder / "models" / f"bank-{scan.name}",
    )


def _rows(results: RoundResults, routed: str, largest: str) -> Iterator[Comparison]:
    """Yield time, time without the start of the process, and cost."""
    yield compare_time_and_memory(results, routed, largest)[0]
    yield compare_without_startup(results, routed, largest)
    small, large = ([sum_fact(took, "cost_gflop") for took in results.runs[name]] for name in (routed, largest))
    yield Comparison("cost", routed, largest, small, large)


def _decisions(results: RoundResults, name: str) -> str:
    """Return how many windows were skipped and how many each candidate got, from the trace of the first round."""
    counts = count_values(results.runs[name][0], "candidate")
    return ", ".join(f"{counts[i]} {decision}" for i, decision in enumerate(DECISIONS) if counts[i])
