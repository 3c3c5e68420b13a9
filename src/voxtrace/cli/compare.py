"""``voxtrace compare``: where two sets of predictions differ, and which is nearer to a reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.exit_codes import ABOVE_LIMIT, NOTHING_DONE, SOME_FAILED
from voxtrace.cli.given_regions import given_regions
from voxtrace.cli.label_names import ignore_value, names_for
from voxtrace.cli.output import echo, print_json, print_line, print_table, progress_bar, reserve_stdout_for_json
from voxtrace.errors import UsageError

MOST_WORST = 10  # cases in the table; all of them are in the JSON

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
    worse_than: Annotated[
        float | None,
        typer.Option(min=0.0, help="Exit with 1 if B's mean Dice is lower than A's by more than this; see below."),
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(
            help="A dataset.json, or a bundle, with regions that overlap, e.g. whole tumour: score these, not labels."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show where two sets of label maps of the same cases differ, by mL, and how well they agree.

    Labels are matched by name where the files name them. With --reference the means of both against it are shown, and
    their differences with 95 % bootstrap intervals over cases and p of Wilcoxon's signed-rank test; by label and case,
    too, the worst first. Cases that are not in every folder are left out.
    With --worse-than the exit code is 1 if the mean Dice fell from A to B by more than the limit and the 95 % interval
    of the fall excludes 0, or if B has no score for a case that A has.
    """
    from voxtrace.batch.comparison import compare_cases, summary, triplets, verdict

    if worse_than is not None and reference is None:
        raise UsageError("--worse-than says by how much the Dice may fall; give the true label maps with --reference.")
    with reserve_stdout_for_json(as_json), progress_bar() as bar:
        found = triplets(one, other, reference)
        named, parts = names_for(names, reference or other), given_regions(regions)
        ignored = ignore_value(named) if parts.ignored is None else parts.ignored
        run = compare_cases(found.cases, tolerance_mm, ignored, parts.regions)
        compared = list(bar.track(run, total=len(found.cases), description="comparing"))
        document = summary(compared, parts.names or named, (str(one), str(other)))
    document |= {"left_out": list(found.left_out), "tolerance_mm": tolerance_mm, **parts.to_json()}
    if worse_than is not None:
        document["verdict"] = verdict(compared, worse_than, found.lost)
    if as_json:
        print_json(document)
    else:
        _print(document)
    _exit(compared, found.left_out, document.get("verdict"))


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
        _print_against(document["reference"])


def _print_against(against: dict[str, Any]) -> None:
    columns = ("A", "B", "A − B", "95 %", "p", "n")
    print_line()
    measures = [(name, *_difference_row(record)) for name, record in against["difference"].items()]
    print_table(("against the reference", *columns), measures)
    print_line()
    labels = [(f"{k} {record['name']}", *_difference_row(record)) for k, record in against["labels"].items()]
    print_table(("Dice of the label", *columns), labels)
    print_line()
    worst = [_worst_row(case, against["labels"]) for case in against["cases"][:MOST_WORST]]
    print_table(("worst for B", "A", "B", "A − B", "most in label"), worst)


def _difference_row(record: dict[str, Any]) -> tuple[object, ...]:
    return (record["one"], record["other"], record["mean"], record["ci95"], record["p"], record["n"])


def _worst_row(case: dict[str, Any], labels: dict[str, Any]) -> tuple[object, ...]:
    most = max(case["labels"], key=lambda k: case["labels"][k]["difference"], default=None)
    label = "–" if most is None else f"{most} {labels[most]['name']}"
    return (case["case"], case["one"], case["other"], case["difference"], label)


def _case_row(case: dict[str, Any]) -> tuple[object, ...]:
    first = next(iter(case["places"]), None)
    told = (f"{first['ml']:.2f} mL: {first['sentence']}", first["voxel"]) if first else ("–", "–")
    return (case["case"], case["differs_ml"], case["n_places"], *told)


def _exit(compared: list[Compared], left_out: tuple[str, ...], verdict: dict[str, Any] | None) -> None:
    """Print what was left out, failed or is worse, and exit with the code for it."""
    if left_out:
        echo(f"{len(left_out)} cases are not in every folder and were left out: {', '.join(left_out[:5])}.")
    failed = [one for one in compared if one.error]
    for one in failed:
        echo(f"{one.case}: failed. {one.error}")
    if verdict is not None:
        echo(verdict["sentence"])
    if failed:
        raise typer.Exit(SOME_FAILED if len(failed) < len(compared) else NOTHING_DONE)
    if verdict is not None and verdict["worse"]:
        raise typer.Exit(ABOVE_LIMIT)
