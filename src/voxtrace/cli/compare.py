"""``voxtrace compare``: where two sets of predictions differ, and which is nearer to a reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.evaluate import names_for
from voxtrace.cli.exit_codes import NOTHING_DONE, SOME_FAILED
from voxtrace.cli.output import echo, print_json, print_line, print_table, progress_bar, reserve_stdout_for_json

if TYPE_CHECKING:
    from voxtrace.batch.comparison import Compared


def compare(
    one: Annotated[Path, typer.Argument(metavar="A", help="Folder of label maps, or one label map.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="Folder of label maps of the same cases, or one of them.")],
    reference: Annotated[
        Path | None, typer.Option(help="Folder of reference label maps, or one: then both are scored against it.")
    ] = None,
    tolerance_mm: Annotated[float, typer.Option(min=0.0, help="Tolerance of the normalised surface Dice in mm.")] = 1.0,
    names: Annotated[
        Path | None, typer.Option(help="A dataset.json with label names; that beside the label maps, if unset.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show where two sets of label maps of the same cases differ, by mL, and how well they agree.

    Labels are matched by name where the files name them. With --reference the means of both against it are shown, and
    their differences with 95 % bootstrap intervals over cases. Cases that are not in every folder are left out.
    """
    from voxtrace.batch.comparison import compare_cases, summary, triplets

    with reserve_stdout_for_json(as_json), progress_bar() as bar:
        found = triplets(one, other, reference)
        run = compare_cases(found.cases, tolerance_mm)
        compared = list(bar.track(run, total=len(found.cases), description="comparing"))
        document = summary(compared, names_for(names, reference or other), (str(one), str(other)))
    document |= {"left_out": list(found.left_out), "tolerance_mm": tolerance_mm}
    if as_json:
        print_json(document)
    else:
        _print(document)
    _exit(compared, found.left_out)


def _print(document: dict[str, Any]) -> None:
    agreement = document["agreement"]["labels"]
    print_table(
        ("label", "n", "Dice", "NSD", "HD95 mm"),
        [
            (f"{value} {record['name']}", record["n"], record["dice"], record["nsd"], record["hd95_mm"])
            for value, record in agreement.items()
        ],
    )
    print_line()
    print_table(
        ("case", "differs mL", "places", "the largest", "at z, y, x"),
        [_case_row(case) for case in sorted(document["cases"], key=lambda case: -case["differs_ml"])],
    )
    if "reference" in document:
        print_line()
        against = document["reference"]
        rows = [
            (measure, against["one"][measure], against["other"][measure], record["mean"], record["ci95"], record["n"])
            for measure, record in against["difference"].items()
        ]
        print_table(("against the reference", "A", "B", "A − B", "95 %", "n"), rows)


def _case_row(case: dict[str, Any]) -> tuple[object, ...]:
    first = next(iter(case["places"]), None)
    told = (f"{first['ml']:.2f} mL: {first['sentence']}", first["voxel"]) if first else ("–", "–")
    return (case["case"], case["differs_ml"], case["n_places"], *told)


def _exit(compared: list[Compared], left_out: tuple[str, ...]) -> None:
    """Print what was left out or failed, and exit with the code for it."""
    if left_out:
        echo(f"{len(left_out)} cases are not in every folder and were left out: {', '.join(left_out[:5])}.")
    failed = [one for one in compared if one.error]
    for one in failed:
        echo(f"{one.case}: failed. {one.error}")
    if failed:
        raise typer.Exit(SOME_FAILED if len(failed) < len(compared) else NOTHING_DONE)
