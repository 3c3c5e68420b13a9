"""``voxtrace evaluate``: agreement of predictions with references."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.exit_codes import NOTHING_DONE, SOME_FAILED
from voxtrace.cli.output import echo, print_json, print_table, progress_bar, reserve_stdout_for_json
from voxtrace.errors import DatasetError
from voxtrace.safe_text import read_json

IGNORE = "ignore"  # nnU-Net's name of voxels that nobody annotated

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
    as_json: AsJson = False,
) -> None:
    """Score label maps against references of the same name: Dice, surface Dice (NSD) and HD95.

    The mean Dice is the mean over cases of the mean over foreground labels; a label in neither map of a case is left
    out, and so are voxels that the reference has as `ignore`, as the dataset.json names them. References without a
    prediction are listed and left out: the means are over the cases that were predicted.
    Intervals are 95 % bootstrap intervals over cases.
    """
    from voxtrace.batch.evaluation import match, score_pairs, summarise

    with reserve_stdout_for_json(as_json), progress_bar() as bar:
        matched = match(predictions, reference)
        named = names_for(names, reference)
        ignored = next((value for value, name in named.items() if name.casefold() == IGNORE), None)
        pairs = score_pairs(matched.pairs, tolerance_mm, ignored)
        scored = list(bar.track(pairs, total=len(matched.pairs), description="scoring"))
        summary = summarise(scored, named)
    document = {**summary, "missing": list(matched.missing), "extra": list(matched.extra), "tolerance_mm": tolerance_mm}
    if as_json:
        print_json(document)
    else:
        _print(document)
    _exit(matched, scored)


def names_for(file: Path | None, reference: Path) -> dict[int, str]:
    """Return label names from a dataset.json: the given one, or that in the folder of the references or above it."""
    nearby = (folder / "dataset.json" for folder in (reference, reference.resolve().parent))
    found = file or next((path for path in nearby if path.is_file()), None)
    if found is None:
        return {}
    try:
        labels = read_json(found)["labels"]
        return {int(value): str(name) for name, value in labels.items() if str(value).isdigit()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{found} names no labels; expected JSON with labels {{'liver': 1, …}}.") from error


def _print(document: dict[str, Any]) -> None:
    rows = [_row(f"{value} {record['name']}", record, record["n"]) for value, record in document["labels"].items()]
    rows.append(_row("mean", document["mean"], document["n"]))
    print_table(("label", "n", *(f"{heading} [95 %]" for heading, _ in _measures().values())), rows)


def _row(name: str, record: dict[str, Any], n: int) -> tuple[str, ...]:
    """Return a row of the table: name, number of cases, and each measure with its interval."""
    return (name, str(n), *(_cell(record, measure, form) for measure, (_, form) in _measures().items()))


def _cell(record: dict[str, Any], measure: str, form: str) -> str:
    low, high = record[f"{measure}_ci95"]
    return f"{record[measure]:{form}} [{low:{form}}, {high:{form}}]"


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
