"""The batch dock: what it asks for, and the ledger as rows of a table, worst first."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voxtrace.batch.ledger import NAME, Entry
from voxtrace.fit.familiarity import LIKE
from voxtrace.plugin.models import panel_state

STATES = {"started": "interrupted", "failed": "failed", "done": "done", "waiting": "waiting", "running": "running"}
MOST_ROWS = 500  # of the table; a filter finds the others
_ORDER = {"failed": 0, "started": 1, "running": 2, "waiting": 3, "done": 4}
_UNSURE = "entropy_per_found"  # the mean entropy of a case, and what its last step changed, say too little of its Dice
RANKED_BY: Mapping[str, str] = {
    "expected_dice": "failed cases first, then the lowest expected Dice",
    "entropy_per_found": "failed cases first, then the highest entropy for each labelled voxel",
    "": "failed cases first, then by name: the ledger says nothing of how sure the answers are",
}


@dataclass(frozen=True)
class BatchForm:
    """The values of the form; ``bundle`` is a folder."""

    inputs: tuple[str, ...] = ()
    bundle: Path | None = None
    out: str = ""


@dataclass(frozen=True)
class BatchRequest:
    """What the job is asked for; cases that are done with the same bundle and options are skipped."""

    inputs: tuple[Path, ...]
    bundle: Path
    out: Path


@dataclass(frozen=True)
class CaseRow:
    """A row of the table.

    Attributes
    ----------
    case, state
        Its name, and ``waiting``, ``running``, ``started`` (interrupted), ``done`` or ``failed``.
    volumes_ml
        Name of a label -> mL.
    odd
        What a person should know: the error, what was corrected while reading, how unlike other cases it is.
    seconds
        Wall time; 0 where it did not run.
    signs
        ``expected_dice``, ``entropy_per_found``: what the order is made of, where known.
    inputs
        Where the scan lies.
    """

    case: str
    state: str = "waiting"
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    odd: str = ""
    seconds: float = 0.0
    signs: Mapping[str, float] = field(default_factory=dict)
    inputs: tuple[Path, ...] = ()

    @property
    def state_text(self) -> str:
        """The state in words."""
        return STATES.get(self.state, self.state)

    def matches(self, text: str) -> bool:
        """Tell whether every word of a filter occurs in the row."""
        shown = f"{self.case} {self.state_text} {self.odd}".lower()
        return all(word in shown for word in text.lower().split())


def row_of(entry: Entry) -> CaseRow:
    """Return the row of a ledger's entry."""
    return CaseRow(
        entry.case,
        entry.status,
        entry.volumes_ml,
        odd_of(entry),
        entry.time_s if entry.status != "started" else 0.0,
        signs_of(entry),
        tuple(Path(path) for path in entry.inputs),
    )


def odd_of(entry: Entry) -> str:
    """Return what a person should know of a case, as one line."""
    error = entry.error
    for path in entry.inputs:
        error = error.replace(path, Path(path).name)  # the folder is the same for all
    found = [error] if error else []
    if entry.status == "started":
        found.append("interrupted; Start continues with it")
    if entry.status == "done" and entry.volumes_ml and not any(entry.volumes_ml.values()):
        found.append("nothing was found")
    found += [_verdict(entry.fit), entry.usual if entry.usual != LIKE else ""]
    found += [_finding(f) for f in entry.passport if f.get("verdict") == "corrected"]
    return "; ".join(filter(None, found))


def _verdict(fit: Mapping[str, Any]) -> str:
    """Return why the model may not fit the scan; ``""`` where it fits or was not compared."""
    reasons = [reason["sentence"] for reason in fit.get("reasons", ()) if reason.get("severity") != "fits"]
    return f"{fit['verdict']}: {', '.join(reasons)}" if reasons else ""


def _finding(finding: Mapping[str, Any]) -> str:
    remedy = f" ({finding['remedy']})" if finding.get("remedy") else ""
    return f"{finding.get('what', '')}: {finding.get('found', '')}{remedy}"


def signs_of(entry: Entry) -> dict[str, float]:
    """Return the numbers of an entry that cases are ordered by."""
    expected = entry.expected_dice
    signs = {_UNSURE: float(entry.features[_UNSURE])} if _UNSURE in entry.features else {}
    return signs | ({} if expected is None else {"expected_dice": float(expected)})


def ranking(rows: Sequence[CaseRow]) -> str:
    """Return the sign that the most done cases have: what they are ordered by; ``""`` if none has any."""
    done = [row for row in rows if row.state == "done"]
    for sign in ("expected_dice", _UNSURE):
        if any(sign in row.signs for row in done):
            return sign
    return ""


def worst_first(rows: Sequence[CaseRow]) -> list[CaseRow]:
    """Return the rows in the order in which to look at them: failed, then the least sure; see ``RANKED_BY``.

    A done case without the number that the others are ordered by comes before them: nothing speaks for it.
    """
    sign = ranking(rows)
    direction = 1.0 if sign == "expected_dice" else -1.0

    def key(row: CaseRow) -> tuple[int, float, str]:
        number = direction * row.signs[sign] if sign in row.signs else float("-inf")
        return _ORDER.get(row.state, 9), number if row.state == "done" and sign else 0.0, row.case

    return sorted(rows, key=key)


def order_sentence(rows: Sequence[CaseRow], matching: int) -> str:
    """Return what the table is ordered by, and how many of the matching rows it shows; ``""`` without rows."""
    if not rows:
        return ""
    cut = f" The first {MOST_ROWS:,} of {matching:,} are listed." if matching > MOST_ROWS else ""
    return f"Worst first: {RANKED_BY[ranking(rows)]}.{cut}"


def label_columns(rows: Sequence[CaseRow], limit: int = 6) -> tuple[str, ...]:
    """Return the labels that have a column of mL, in the order in which they occur; at most ``limit``."""
    return tuple(dict.fromkeys(name for row in rows for name in row.volumes_ml))[:limit]


def ready(form: BatchForm) -> panel_state.PanelState:
    """Return what is missing in a form, or that the run can start."""
    if form.bundle is None:
        return panel_state.PanelState("Choose a model.")
    if not form.inputs:
        return panel_state.PanelState("Add a folder of scans, or files. An output folder alone opens what lies in it.")
    if missing := [path for path in form.inputs if not Path(path).exists()]:
        return panel_state.PanelState(f"{missing[0]} does not exist; choose again.", "error")
    if not form.out:
        return panel_state.PanelState("Choose a folder for the results: a label map, a trace and the ledger.")
    word = "Press Start: cases that are done are skipped." if has_ledger(form.out) else "Ready. Press Start."
    return panel_state.PanelState(word, can_start=True)


def has_ledger(out: str) -> bool:
    """Tell whether a folder holds the ledger of an earlier run."""
    return bool(out) and (Path(out) / NAME).is_file()


@dataclass(frozen=True)
class BatchProgress:
    """Where a run is: ``number`` of ``total`` cases, what the current one does, and rows that changed."""

    number: int
    total: int
    text: str
    fraction: float = 0.0
    rows: tuple[CaseRow, ...] = ()

    @property
    def keep(self) -> bool:
        """Whether this report is exempt from thinning: it changes the table."""
        return bool(self.rows)


@dataclass(frozen=True)
class TimeLeft:
    """Estimates the time left of a run from the cases that were computed in it."""

    began_s: float
    computed: int = 0

    @classmethod
    def start(cls) -> TimeLeft:
        """Begin now."""
        return cls(time.monotonic())

    def another(self) -> TimeLeft:
        """Return the estimate with one more case computed."""
        return replace(self, computed=self.computed + 1)

    def sentence(self, cases_left: int, now_s: float | None = None) -> str:
        """Return "about 3 min left"; ``""`` before the first case is done."""
        if not self.computed or not cases_left:
            return ""
        passed = (time.monotonic() if now_s is None else now_s) - self.began_s
        return f"about {duration(passed / self.computed * cases_left)} left"


def duration(seconds: float) -> str:
    """Return a time for a person.

    >>> duration(40), duration(200), duration(8000)
    ('40 s', '3 min', '2.2 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def finished(done: int, skipped: int, failed: int, out: str) -> panel_state.PanelState:
    """Return the state after a run."""
    parts = [f"{done} done", f"{skipped} were done before" if skipped else "", f"{failed} failed" if failed else ""]
    text = f"{', '.join(filter(None, parts))}. The results lie in {out}. Click a case to open it."
    return panel_state.PanelState(text, "error" if failed and not done + skipped else "done", can_start=True)
