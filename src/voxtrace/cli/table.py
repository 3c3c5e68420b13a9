"""``voxtrace table``: every case of a folder of predictions in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.output import echo, print_json, print_line
from voxtrace.errors import InputError


def table(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder that `voxtrace predict --out` wrote.")],
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write to this file, in UTF-8, and not on standard output."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write one table of all cases, as CSV: status, volumes in mL with intervals, predicted Dice, and flags.

    A flag names what makes an answer implausible: a label of 0 mL, a demonstration model, a scan that the model does
    not fit or that is to be checked, a case unlike those of validation.
    """
    from voxtrace.atomic import atomic_file
    from voxtrace.batch.case_table import as_csv, case_rows
    from voxtrace.batch.ledger import NAME, Ledger
    from voxtrace.safe_text import well_formed

    ledger = Ledger(out.parent if out.name == NAME and not out.is_dir() else out)
    rows = case_rows(ledger.latest().values())
    if not rows:
        raise InputError(f"{out} holds no ledger with a case; give the folder that `voxtrace predict --out` wrote.")
    text = well_formed(as_csv(rows))
    if csv is not None:
        with atomic_file(csv) as temporary:
            temporary.write_bytes(text.encode("utf-8-sig"))  # by the mark spreadsheets know UTF-8
        flagged = sum(bool(row["flags"]) for row in rows)
        echo(f"{csv}: {len(rows)} cases, {flagged} with flags")
    if as_json:
        print_json({"cases": rows})
    elif csv is None:
        print_line(text.rstrip("\n"))
