"""All cases of a ledger as one table: volumes, what is foretold of them, and flags for answers to look at."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from voxtrace.batch.ledger import Entry
from voxtrace.fit.familiarity import UNLIKE

FIRST = (
    "case",
    "status",
    "flags",
    "bundle",
    "steps",
    "time_s",
    "predicted_dice",
    "predicted_dice, low",
    "predicted_dice, high",
    "fit",
    "error",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # letters with which a spreadsheet takes a text for a formula


def case_rows(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return a row for each case, all with the same columns in the same order.

    After :data:`FIRST` follow, for each label of any case, ``<label> mL`` and, where a bundle gives an interval of the
    true volume, ``<label> mL, low`` and ``<label> mL, high``. None stands where a case has no such value; ``status`` is
    ``interrupted`` for a case that was only started.

    ``flags`` names, separated by "; ", what makes an answer implausible: a label of 0 mL, a demonstration model, a scan
    that the model does not fit or may not fit, a case unlike those of validation.
    """
    latest = list(entries)
    names = list(dict.fromkeys(name for entry in latest for name in entry.volumes_ml))
    bounded = {name for entry in latest for name in entry.intervals_ml}
    return [{**_first(entry), **dict(_volumes(entry, names, bounded))} for entry in latest]


def _first(entry: Entry) -> dict[str, Any]:
    values = (
        entry.case,
        "interrupted" if entry.status == "started" else entry.status,
        "; ".join(flags(entry)),
        entry.bundle,
        entry.steps or None,
        entry.time_s or None,
        entry.expected_dice,
        *_pair(entry.predicted_dice.get("interval")),
        entry.fit.get("verdict"),
        entry.error or None,
    )
    return dict(zip(FIRST, values, strict=True))


def flags(entry: Entry) -> Iterator[str]:
    """Yield what makes the answer of a case implausible, the gravest first; nothing of a case that is not done."""
    if entry.status != "done":
        return
    if entry.demonstration:
        yield "demonstration model"
    if entry.fit.get("verdict", "fits") != "fits":
        yield str(entry.fit["verdict"])
    yield from (f"{name} 0 mL" for name, volume in entry.volumes_ml.items() if volume <= 0)
    if entry.usual.startswith(UNLIKE):
        yield "unlike the validation cases"


def _volumes(entry: Entry, names: Sequence[str], bounded: Iterable[str]) -> Iterator[tuple[str, float | None]]:
    for name in names:
        yield f"{name} mL", entry.volumes_ml.get(name)
        if name in bounded:
            low, high = _pair(entry.intervals_ml.get(name))
            yield f"{name} mL, low", low
            yield f"{name} mL, high", high


def _pair(ends: Any) -> tuple[float | None, float | None]:
    """Return both ends of an interval; a ledger that others wrote may hold anything there."""
    if isinstance(ends, (list, tuple)) and len(ends) == 2 and all(isinstance(end, (int, float)) for end in ends):
        return ends[0], ends[1]
    return None, None


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as comma-separated values with a header; numbers have five significant digits.

    A text that a spreadsheet would take for a formula gets an apostrophe in front: names come from strangers' files.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(name) for name in (rows[0] if rows else FIRST)])
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
