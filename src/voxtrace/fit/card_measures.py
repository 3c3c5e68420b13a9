"""What card.md says of cases that were measured: held-back ones, and external ones, which come from elsewhere.

``external`` of a record has ``reference`` (what its cases are compared with, in words), ``cases`` (name and hashes of
each), ``validation`` (measures, as of held-back cases) and ``failures`` (worst cases, with pictures).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voxtrace.safe_text import brief

EXTERNAL = "external"
_MEASURES = {
    "dice": "Dice",
    "nsd": "NSD 1 mm",
    "nsd_2mm": "NSD 2 mm",
    "hd95_mm": "HD95 mm",
    "volume_bias_ml": "volume bias mL",
    "volume_error_ml": "volume error mL",
}


def held_back(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield every measure of each label over the held-back cases."""
    stored = record.get("metrics", {}).get("validation") or {}
    if not stored.get("measures_per_label"):
        return
    yield from ("## Held-back cases", "")
    yield "Mean over cases, 95 % bootstrap interval and number of cases. A case that has a label neither in its"
    yield "reference nor in the prediction is left out of the label's row; with the label in only one of them it has no"
    yield "HD95. The last row is the mean over cases of the mean over their labels."
    yield from ("", *_table(stored), "")


def failures(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the worst held-back cases, with their pictures."""
    if stored := record.get("failures"):
        yield from ("## Worst held-back cases", "", *_worst(stored))


def external(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield every measure of each label over external cases, and the worst of them."""
    found = record.get(EXTERNAL) or {}
    stored = found.get("validation") or {}
    if not stored.get("measures_per_label"):
        return
    yield from ("## External cases", "")
    yield f"Scans from elsewhere, which nothing was chosen on, against {brief(found.get('reference', 'labels'))}."
    yield "Mean over cases, 95 % bootstrap interval (of two cases no more than their range) and number of cases. A"
    yield "label that the reference of a case lacks is not compared there."
    yield from ("", *_table(stored), "")
    if worst := found.get("failures"):
        yield from ("Mean Dice of each, the worst first:", "", *_worst(worst))


def _table(stored: Mapping[str, Any]) -> Iterator[str]:
    yield f"| label | {' | '.join(_MEASURES.values())} |"
    yield f"|{'---|' * (len(_MEASURES) + 1)}"
    for name, row in {**stored["measures_per_label"], "mean": stored.get("measures", {})}.items():
        yield f"| {name} | {' | '.join(_mean(row.get(measure)) for measure in _MEASURES)} |"


def _mean(found: Mapping[str, Any] | None) -> str:
    if not found or found["mean"] is None:
        return "–"
    between = f" [{found['ci95'][0]:.3f}, {found['ci95'][1]:.3f}]" if found.get("ci95") else ""
    return f"{found['mean']:.3f}{between}, n {found['n']}"


def _worst(stored: list[Mapping[str, Any]]) -> Iterator[str]:
    for one in stored:
        yield f"- {one['case']}: mean Dice {one['dice']:.3f}"
    yield ""
    for one in stored:
        if one.get("picture"):
            yield from (f"{one['case']}, the slice with most wrong voxels: reference, answer.", "")
            yield from (f"![{one['case']}]({one['picture']})", "")
