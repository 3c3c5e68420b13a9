"""``voxtrace inspect``: what a path holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson, SeriesNames, Timepoint, timepoint
from voxtrace.cli.inspect_page import MOST_ITEMS, MOST_ROWS, print_cases, print_rest, shortened
from voxtrace.cli.output import print_facts, print_json, print_line, print_table, reserve_stdout_for_json
from voxtrace.errors import UsageError

APART = ("passport", "slice_facts", "maps")  # printed as lines or tables of their own
RANGE = ("smallest", "largest")


def inspect(
    path: Annotated[
        Path,
        typer.Argument(help="A volume, DICOM folder, bundle, trace, folder of predictions, or OUT.work of a training."),
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="Print every case, step and number; a page of them is printed otherwise.")
    ] = False,
    preflight: Annotated[
        bool,
        typer.Option(
            "--preflight",
            help="Read every case that predict would find there, and say which will fail. Exit codes: 0 none, 1 some, "
            "3 all.",
        ),
    ] = False,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="With --preflight: the bundle that the cases are for.")
    ] = None,
    frame: Timepoint = None,
    series: SeriesNames = None,
    as_json: AsJson = False,
) -> None:
    """Say what a path holds: a volume's passport, DICOM series, a bundle's card, a trace's steps or a ledger.

    Steps are counted from 1. Nothing that names a patient is shown.
    ``--model``, ``--frame`` and ``--series`` are those of ``voxtrace predict``, for ``--preflight``.
    """
    from voxtrace.cli.inspect_path import inspect_path
    from voxtrace.cli.inspect_preflight import show_preflight

    if preflight:
        show_preflight(path, model, timepoint(frame), tuple(series or ()), as_json=as_json)
        return
    if model is not None:
        raise UsageError("--model goes with --preflight; inspect the bundle itself by its folder or name.")
    if frame is not None or series:
        raise UsageError(f"{'--series' if series else '--frame'} goes with --preflight; leave it out.")
    with reserve_stdout_for_json(as_json):
        document = inspect_path(path)
    if as_json:
        print_json(document)
        return
    _print(document, everything)


def _print(document: dict[str, Any], everything: bool) -> None:
    """Print a document as text: a line for each value, tables of series, cases, slice facts and maps."""
    if document["kind"] == "dicom":
        _print_overview(document["series"])
    for key, value in document.items():
        if key == "cases" and document["kind"] == "ledger" and not everything:
            print_cases(value)
            continue
        if key == "passport":
            _print_findings(value)
        elif key in ("slice_facts", "maps"):
            _print_by_step(key.replace("_", " "), value, len(document["steps"]), everything)
        elif key == "calibration":
            _print_calibration(value)
        elif key == "pooled":
            _print_pooled(value)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            shown = value if everything else value[:MOST_ITEMS]
            for number, item in enumerate(shown, start=1):
                print_line(f"\n{key} {number}")
                print_facts({name: fact for name, fact in item.items() if name not in APART})
                _print_findings(item.get("passport", ()))
            print_rest(len(value) - len(shown), key)
        else:
            print_facts({key: value if everything else shortened(value)})


def _print_by_step(title: str, outputs: dict[str, dict[str, Any]], n_steps: int, everything: bool) -> None:
    """Print a line for each name and kept step, the last ones of ``n_steps``: what its numbers are like."""
    lines = [
        ([name, output["unit"], number], values if isinstance(values, dict) else dict(zip(RANGE, values, strict=True)))
        for name, output in outputs.items()
        for number, values in enumerate(output["steps"], start=1 + n_steps - len(output["steps"]))
    ]
    columns = list(dict.fromkeys(column for _, values in lines for column in values))
    rows = [[*first, *(_cell(values.get(column)) for column in columns)] for first, values in lines]
    shown = rows if everything else rows[:MOST_ROWS]
    print_line()
    print_table([title, "unit", "step", *columns], shown)
    print_rest(len(rows) - len(shown), "rows")


def _print_calibration(found: dict[str, Any]) -> None:
    """Print temperature, calibration errors and the table of the reliability diagram."""
    from voxtrace.fit.reliability_diagram import COLUMNS, reliability_rows

    print_facts({f"calibration {name}": value for name, value in found.items() if not name.startswith("reliability")})
    print_line()
    print_table(COLUMNS, reliability_rows(found))
    print_line()


def _print_pooled(summary: dict[str, Any]) -> None:
    """Print the scores of all held-back cases of a cross-validation."""
    from voxtrace.training.pooled_scores import score_table

    print_line()
    print_table(*score_table(summary))


def _cell(value: Any) -> Any:
    """Return what stands in a table: of counts by value, ``"0 in 133, 1 in 63"``."""
    return ", ".join(f"{name} in {n}" for name, n in value.items()) if isinstance(value, dict) else value


def _print_overview(series: Sequence[dict[str, Any]]) -> None:
    """Print a line for each series: what it is, and whether it can be opened."""
    rows = [
        [
            f"{one['number'] or '–'} {one['modality']} {one['description']}".strip(),
            one["images"],
            "×".join(_mm(v) for v in (*one["pixel_spacing_mm"], one["slice_distance_mm"])),
            "no" if not one["usable"] else "corrected" if _is_corrected(one) else "yes",
            one["name"],
        ]
        for one in series
    ]
    print_table(["series", "images", "mm", "opens", "name"], rows)
    print_line()


def _is_corrected(series: dict[str, Any]) -> bool:
    return any(one["verdict"] == "corrected" for one in series["passport"])


def _mm(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _print_findings(findings: Iterable[dict[str, str]]) -> None:
    """Print each finding of a passport on a line of its own, its verdict first."""
    for one in findings:
        remedy = f"; {one['remedy']}" if one["remedy"] else ""
        print_line(f"  {one['verdict'].ljust(9)}  {one['what']}: {one['found']}{remedy}")
