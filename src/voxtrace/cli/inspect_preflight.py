"""``voxtrace inspect FOLDER --preflight``: which cases of a prediction will fail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from voxtrace.cli.exit_codes import NOTHING_DONE, SOME_FAILED
from voxtrace.cli.output import print_json, print_line, print_table, progress_bar, reserve_stdout_for_json

if TYPE_CHECKING:
    from voxtrace.batch.preflight import PreflightCase


def show_preflight(
    path: Path, model: str | None, timepoint: int | Literal["all"] | None, series: tuple[str, ...], *, as_json: bool
) -> None:
    """Print the outlook of every case, and leave with 1 where some will fail, 3 where all will."""
    with reserve_stdout_for_json(as_json):
        found = _looked_at(path, model, timepoint, series)
    failing = [one for one in found if one.outlook == "will fail"]
    counts = {outlook: sum(one.outlook == outlook for one in found) for outlook in _OUTLOOKS}
    if as_json:
        cases = [{"case": one.case, "outlook": one.outlook, "why": one.why} for one in found]
        print_json({"kind": "preflight", "counts": counts, "cases": cases})
    else:
        _print(found, counts)
    if failing:
        raise typer.Exit(NOTHING_DONE if len(failing) == len(found) else SOME_FAILED)


_OUTLOOKS = ("will fail", "does not fit", "check", "will run")


def _looked_at(
    path: Path, model: str | None, timepoint: int | Literal["all"] | None, series: tuple[str, ...]
) -> list[PreflightCase]:
    from voxtrace.batch import find_cases
    from voxtrace.batch.preflight import preflight
    from voxtrace.bundle import card
    from voxtrace.inference.fold_folder import member_paths

    record: dict[str, Any] | None = card(member_paths((model,))[0]) if model else None
    cases = find_cases([path], record["plan"]["channels"] if record else ("image",), timepoint, series)
    with progress_bar() as bar:
        return list(bar.track(preflight(cases, record), total=len(cases), description="reading cases"))


def _print(found: list[PreflightCase], counts: dict[str, int]) -> None:
    shown = sorted((one for one in found if one.why), key=lambda one: _OUTLOOKS.index(one.outlook))
    if shown:
        print_table(["case", "outlook", "why"], [[one.case, one.outlook, one.why] for one in shown])
        print_line()
    print_line(f"{len(found)} cases: " + ", ".join(f"{count} {outlook}" for outlook, count in counts.items() if count))
