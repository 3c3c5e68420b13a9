"""``voxtrace evaluate``: agreement of predictions with references."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.evaluate_trace import evaluate_trace, is_trace
from voxtrace.cli.exit_codes import NOTHING_DONE, SOME_FAILED
from voxtrace.cli.given_regions import given_regions
from voxtrace.cli.label_names import foreground, ignore_value, names_for
from voxtrace.cli.output import echo, print_json, print_line, print_table, progress_bar, reserve_stdout_for_json

_FIRST = 3  # measures in the first table; the others stand in a second, for the width of a terminal

if TYPE_CHECKING:
    from voxtrace.batch.evaluation import Matched, Scored


def evaluate(
    predictions: Annotated[Path, typer.Argument(help="Folder of label maps, or one label map.")],
    reference: Annotated[Path, typer.Argument(help="Folder of reference label maps, or one of them.")],
    tolerance_mm: Annotated[float, typer.Option(min=0.0, help="Tolerance of the normalised surface Dice in mm.")] = 1.0,
    names: Annotated[
        Path | None,
        typer.Option(help="A dataset.json with label names; that in the references' folder or above it, if unset."),
    ] = None,
    absent: Annotated[
        Literal["nan", "one"],
        typer.Option(
            help="A label in neither map of a case: left out (nan), or counted 1, HD95 0, as BraTS does (one)."
        ),
    ] = "nan",
    regions: Annotated[
        Path | None,
        typer.Option(
            help="A dataset.json, or a bundle, with regions that overlap, e.g. whole tumour: score these, not labels."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score label maps against references of the same name: Dice, surface Dice (NSD), HD95 and volumes.

    The mean Dice is the mean over cases of the mean over foreground labels; a label in neither map of a case is left
    out (see --absent), and so are voxels that the reference has as `ignore`, as the dataset.json names them. References
    without a prediction are listed and left out: the means are over the cases that were predicted.
    Intervals are 95 % bootstrap intervals over cases. A label that only one of the maps has makes no HD95: n tells the
    number of cases in a mean where it is not that of the row. PREDICTIONS may be a trace: then Dice is told per step.
    """
    from voxtrace.batch.evaluation import match, score_pairs, summarise, with_absent

    parts = given_regions(regions)
    if is_trace(predictions):
        evaluate_trace(predictions, reference, names_for(names, reference), absent, parts, as_json)
        return
    with reserve_stdout_for_json(as_json), progress_bar() as bar:
        matched = match(predictions, reference)
        named = names_for(names, reference)
        ignored = ignore_value(named) if parts.ignored is None else parts.ignored
        pairs = score_pairs(matched.pairs, tolerance_mm, ignored, parts.regions)
        scored = list(bar.track(pairs, total=len(matched.pairs), description="scoring"))
        named = parts.names or named
        if absent == "one":
            scored = with_absent(scored, foreground(named), tolerance_mm)
        summary = summarise(scored, named)
    document = {**summary, "missing": list(matched.missing), "extra": list(matched.extra)}
    document |= {"tolerance_mm": tolerance_mm, "absent": absent, **parts.to_json()}
    if as_json:
        print_json(document)
    else:
        _print(document)
    _exit(matched, scored)


def _print(document: dict[str, Any]) -> None:
    measures = list(_measures().items())
    for shown in (measures[:_FIRST], measures[_FIRST:]):
        rows = [_row(f"{k} {record['name']}", record, record["n"], shown) for k, record in document["labels"].items()]
        rows.append(_row("mean", document["mean"], document["n"], shown))
        print_table(("label", "n", *(f"{heading} [95 %]" for _, (heading, _) in shown)), rows)
        if shown == measures[:_FIRST]:
            print_line()


def _row(name: str, record: dict[str, Any], n: int, shown: list[tuple[str, tuple[str, str]]]) -> tuple[str, ...]:
    """Return a row of the table: name, number of cases, and each measure with its interval."""
    return (name, str(n), *(_cell(record, measure, form, n) for measure, (_, form) in shown))


def _cell(record: dict[str, Any], measure: str, form: str, n: int) -> str:
    """Return mean and interval, with the number of cases where some are left out."""
    if not record[f"{measure}_n"]:
        return "–"
    low, high = record[f"{measure}_ci95"]
    fewer = f" n {record[f'{measure}_n']}" if record[f"{measure}_n"] != n else ""
    return f"{record[measure]:{form}} [{low:{form}}, {high:{form}}]{fewer}"


def _measures() -> Mapping[str, tuple[str, str]]:
    # Imported late: the command line starts without numpy and scipy.
    from voxtrace.metrics import MEASURES

    return MEASURES


def _exit(matched: Matched, scored: list[Scored]) -> None:
    """Print what was left out, and exit with the code for it."""
    if matched.missing:
        echo(f"{len(matched.missing)} references have no prediction and were left out: {_few(matched.missing)}.")
    if matched.extra:
        echo(f"{len(matched.extra)} predictions have no reference and were left out: {_few(matched.extra)}.")
    failed = [case for case in scored if case.error]
    for case in failed:
        echo(f"{case.case}: failed. {case.error}")
    if failed:
        raise typer.Exit(SOME_FAILED if len(failed) < len(scored) else NOTHING_DONE)


def _few(names: tuple[str, ...], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
