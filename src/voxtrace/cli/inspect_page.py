"""What ``voxtrace inspect`` prints without ``--all``: a page, whatever a path holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxtrace.cli.output import cell_text, print_line, print_table

MOST_ITEMS, MOST_ROWS, MOST_LETTERS = 10, 30, 240
_ORDER = ("failed", "interrupted", "done")


def shortened(value: Any) -> Any:
    """Return a value, or the beginning of its text where that is longer than two lines."""
    text = cell_text(value)
    return value if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS].rstrip(', ')} … (all of it: --all)"


def print_rest(count: int, of: str) -> None:
    """Say how many items are not printed, where there are any."""
    if count > 0:
        print_line(f"\n… and {count:,} more {of}; --all prints them.")


def print_cases(cases: Sequence[Mapping[str, Any]]) -> None:
    """Print a line for each case of a ledger: those that failed first, then those with flags."""
    from voxtrace.batch.case_table import case_rows
    from voxtrace.batch.ledger import Entry

    rows = case_rows(Entry(**case) for case in cases)
    rows.sort(key=lambda row: (_ORDER.index(row["status"]), not row["flags"]))
    shown = [[row["case"], row["status"], row["error"] or row["flags"]] for row in rows[:MOST_ROWS]]
    print_line()
    print_table(["case", "status", "why, or what to look at"], shown)
    print_rest(len(rows) - len(shown), "cases")
    print_line("\n`voxtrace table` writes all cases with their volumes.")
