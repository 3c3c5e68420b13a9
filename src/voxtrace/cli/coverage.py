"""``voxtrace coverage``: how often the volume intervals of a cross-validation hold the true volume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.output import print_json, print_line, print_table, reserve_stdout_for_json
from voxtrace.errors import UsageError

COLUMNS = ("label", "n", "covered", "coverage", "95 % interval", "halves of a fold", "width / volume", "no interval")


def coverage(
    folds: Annotated[
        list[str],
        typer.Argument(metavar="FOLDS…", help="A folder of folds, or the bundles of at least two folds of a dataset."),
    ],
    level: Annotated[
        float, typer.Option(min=0.5, max=0.99, help="Part of the cases that an interval is to hold.")
    ] = 0.9,
    as_json: AsJson = False,
) -> None:
    """Say how often the interval of a label's volume holds the true volume of cases it was not worked out from.

    An interval is worked out from the held-back cases of all folds but one, and tested on those of that one: n cases,
    each tested once, with Wilson's 95 % interval. Beside it, the interval from a random half of a fold's cases, tested
    on the other half, 200 times. Nothing is segmented: volumes stand in the cards of the bundles.
    """
    from voxtrace.bundle import card
    from voxtrace.fit import coverage_record
    from voxtrace.inference.fold_folder import member_paths

    with reserve_stdout_for_json(as_json):
        paths = member_paths(folds)
        if len(paths) < 2:
            raise UsageError(f"{folds[0]} is one bundle; give a folder of folds, or the bundles of at least two folds.")
        found = coverage_record({number: card(path) for number, path in enumerate(paths)}, level)
        if found is None:
            raise UsageError(
                "the bundles have too few volumes of held-back cases; measure each with `voxtrace models measure`."
            )
    if as_json:
        print_json({"folds": [str(path) for path in paths], **found})
        return
    print_table(COLUMNS, [*(_row(name, one) for name, one in found["labels"].items()), _row("all", found["all"])])
    print_line(f"asked for: {found['level']:.0%}")


def _row(name: str, found: Mapping[str, Any]) -> tuple[object, ...]:
    one = found["left_out"]
    between = "–" if None in one["ci95"] else f"{one['ci95'][0]:.3f} to {one['ci95'][1]:.3f}"
    numbers = [_shown(value) for value in (one["coverage"], found["halves"], one["median_width"])]
    return (name, one["n"], one["covered"], numbers[0], between, *numbers[1:], one["without_interval"])


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
