"""What card.md says of training scans, measures of validation, volume intervals and the Dice to expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voxtrace.fit.origin_checks import is_demonstration
from voxtrace.fit.training_scans import TrainingScans

WARNING = "**Demonstration.** Trained on made-up scans: its answer on a patient means nothing."

_MEASURES = {
    "dice": "Dice",
    "nsd": "NSD 1 mm",
    "nsd_2mm": "NSD 2 mm",
    "hd95_mm": "HD95 mm",
    "volume_bias_ml": "volume bias mL",
    "volume_error_ml": "volume error mL",
}


def measured_lines(record: Mapping[str, Any]) -> list[str]:
    """Return lines of Markdown; none where the card records none of it."""
    warning = [WARNING, ""] if is_demonstration(record) else []
    return [*warning, *_scans(record), *_validated(record), *_intervals(record), *_expected(record), *_foretold(record)]


def _scans(record: Mapping[str, Any]) -> Iterator[str]:
    scans = TrainingScans.from_record(record)
    if scans is None:
        return
    yield from ("## Training scans", "")
    yield f"{scans.cases} scans{', made up' if scans.made_up == scans.cases else ''}, along (Z, Y, X):"
    yield ""
    yield f"- voxels of {_ends(scans.spacing_mm)} mm"
    yield f"- field of view of {_ends(scans.size_mm)} mm"
    yield ""


def _validated(record: Mapping[str, Any]) -> Iterator[str]:
    stored = record.get("metrics", {}).get("validation") or {}
    if not stored.get("measures_per_label"):
        return
    yield from ("## Held-back cases", "")
    yield "Mean over cases, 95 % bootstrap interval and number of cases. A case that has a label neither in its"
    yield "reference nor in the prediction is left out of the label's row; with the label in only one of them it has no"
    yield "HD95. The last row is the mean over cases of the mean over their labels."
    yield from ("", f"| label | {' | '.join(_MEASURES.values())} |", f"|{'---|' * (len(_MEASURES) + 1)}")
    for name, row in {**stored["measures_per_label"], "mean": stored.get("measures", {})}.items():
        yield f"| {name} | {' | '.join(_mean(row.get(measure)) for measure in _MEASURES)} |"
    yield ""


def _mean(found: Mapping[str, Any] | None) -> str:
    if not found or found["mean"] is None:
        return "–"
    between = f" [{found['ci95'][0]:.3f}, {found['ci95'][1]:.3f}]" if found.get("ci95") else ""
    return f"{found['mean']:.3f}{between}, n {found['n']}"


def _intervals(record: Mapping[str, Any]) -> Iterator[str]:
    stored = record.get("intervals")
    if not stored:
        return
    yield from ("## Volumes", "")
    yield "The true volume of a label lies in this range around the predicted one, for cases like those of validation"
    yield "(split conformal prediction on the held-back cases; the median error is taken out as bias):"
    yield from ("", "| label | true volume, times the predicted | level | cases |", "|---|---|---|---|")
    for label, one in stored["labels"].items():
        low, high = one["factors"]
        yield f"| {stored['names'][label]} | {low:.2f} to {high:.2f} | {one['level']:.0%} | {one['cases']} |"
    yield ""


def _expected(record: Mapping[str, Any]) -> Iterator[str]:
    stored = record.get("expected")
    if not stored:
        return
    yield from ("## What is usual", "", f"Middle 90 % of {stored['cases']} validation cases:", "")
    yield from (f"- {name}: {low:.3g} to {high:.3g}" for name, (low, high) in stored["features"].items())
    yield ""


def _foretold(record: Mapping[str, Any]) -> Iterator[str]:
    stored = record.get("predicted_dice")
    if not stored:
        return
    low, high = stored["rank_correlation_ci95"]
    yield from ("## Dice to expect of a case", "")
    yield f"From {', '.join(stored['features'])} of its trace. Of {stored['cases']} held-back cases, each left out of"
    yield f"the fit: rank correlation with the true Dice {stored['rank_correlation']:.2f} [{low:.2f}, {high:.2f}],"
    yield f"mean error {stored.get('error', 0.0):.3f} ({stored.get('error_without', 0.0):.3f} when their mean is told)."
    if low > 0:
        yield f"{stored['level']:.0%} of them lie within {stored['half_width']:.3f} of what is told."
    else:
        yield "It is not surely above 0, so that no Dice is told."
    yield ""


def _ends(pair: tuple[tuple[float, ...], tuple[float, ...]]) -> str:
    low, high = ("×".join(f"{v:.3g}" for v in end) for end in pair)
    return low if low == high else f"{low} to {high}"
