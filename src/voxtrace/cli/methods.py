"""``voxtrace methods``: the published methods, their options, their cost, and published figures compared with ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.output import echo, print_json, print_line, print_table, progress_bar, reserve_stdout_for_json
from voxtrace.safe_text import brief

if TYPE_CHECKING:
    from rich.progress import Progress

    from voxtrace.method import Method
    from voxtrace.plan import Plan

MOST = 1024  # channels, labels


def methods(
    names: Annotated[
        list[str] | None,
        typer.Option("--method", metavar="NAME", help="Only this method; may be repeated.", show_default=False),
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="ZxYxX", help="Voxels of the window to count for; one number is a cube.")
    ] = "64x64x64",
    channels: Annotated[int, typer.Option(min=1, max=MOST, help="Input channels to count for.")] = 1,
    labels: Annotated[int, typer.Option(min=2, max=MOST, help="Labels to count for, the background included.")] = 2,
    with_figures: Annotated[
        bool,
        typer.Option("--figures/--no-figures", help="Count the published figures, too; takes most of the time."),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """List the methods: source, options of `voxtrace train`, parameters and cost, published figures and ours.

    Cost is that of one pass over one window through every part of the network; a method that decides in several steps
    runs some of its parts at each. Four ways of counting are in use: `true` counts two operations a multiply-add,
    `e2e`, `thop` and `fvcore-old` count as the papers do.
    """
    from voxtrace.cli.method_costs import window_size
    from voxtrace.plan import Plan

    plan = Plan.example(channels, labels, window_size(size))
    with reserve_stdout_for_json(as_json):
        documents, left_out = _documents(names, plan, with_figures)
    for sentence in left_out.values():
        echo(sentence)
    if as_json:
        print_json({"methods": documents, "left_out": left_out})
        return
    for document in documents:
        _print(document, plan)


def _documents(names: list[str] | None, plan: Plan, with_figures: bool) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return a document for each method asked for, behind a progress bar, and why one of a package is left out."""
    from voxtrace.methods import METHODS, every_method, method_class

    chosen, left_out = ({name: method_class(name) for name in names}, {}) if names else every_method()
    documents = []
    with progress_bar() as bar:
        for name, kind in bar.track(chosen.items(), description="counting"):
            try:
                documents.append(_document(kind, plan, with_figures, bar))
            except Exception as error:
                if name in METHODS:
                    raise
                left_out[name] = _failed(name, error)
    return documents, left_out


def _document(kind: type[Method], plan: Plan, with_figures: bool, bar: Progress) -> dict[str, Any]:
    from voxtrace.cli.method_costs import compare_figures, count_costs, method_record

    document = method_record(kind) | count_costs(kind(), plan)
    figures = compare_figures(kind) if with_figures else iter(())
    counted = bar.track(figures, len(kind.figures()), description=kind.title)
    return {**document, "figures": list(counted)}


def _failed(name: str, error: Exception) -> str:
    """Return what is said of a method of another package that cannot be counted."""
    return (
        f"the method {name!r} cannot be counted ({type(error).__name__}: {brief(error)}); "
        f"`python -m voxtrace.testing {name}` says which promises it breaks."
    )


def _print(document: dict[str, Any], plan: Plan) -> None:
    print_line(f"{document['name']}: {document['title']}\n  {document['source']}")
    for option in document["options"]:
        told = " ".join(filter(None, (option["help"], option["unread"])))
        print_line(f"  --{option['name'].replace('_', '-')} {_values(option)}\n      {told}")
    print_line()
    if document["refused"]:
        print_line(f"not counted: {document['refused']}")
    else:
        _print_costs(document, plan)
    print_line()
    if document["figures"]:
        _print_figures(document["figures"])
        print_line()


def _print_costs(document: dict[str, Any], plan: Plan) -> None:
    window = "×".join(map(str, document["window"]))
    print_line(f"one window of {window} voxels, channels: {plan.n_channels}, labels: {plan.n_labels}")
    columns = ["part", "parameters", *(f"{name}, {cost['unit']}" for name, cost in document["cost"].items())]
    parts = [("all", document), *document["parts"].items()]
    print_table(columns, [[name, f"{part['parameters']:,}", *_costs(part)] for name, part in parts])


def _costs(part: dict[str, Any]) -> list[str]:
    return [_number(cost["value"]) for cost in part["cost"].values()]


def _print_figures(figures: list[dict[str, Any]]) -> None:
    columns = ["published figure", "published", "ours", "difference", "unit", "counted as", "within", "source"]
    rows = [
        [
            figure["what"],
            *(_number(figure[name]) for name in ("published", "ours", "difference")),
            figure["unit"],
            figure["convention"] or None,
            f"±{_number(figure['tolerance'])}: {'yes' if figure['within'] else 'NO'}",
            figure["source"],
        ]
        for figure in figures
    ]
    print_table(columns, rows)
    for figure in figures:
        if figure["differs"]:
            print_line(f"  {figure['what']}: {figure['differs']}.")


def _number(value: float) -> str:
    """Return a number with four decimals, less where they are zeros."""
    text = f"{value:,.4f}"
    return "0" if float(text.replace(",", "")) == 0 else text.rstrip("0").rstrip(".")


def _values(option: dict[str, Any]) -> str:
    allowed = "|".join(option["choices"]) or option["type"]
    ends = [option["low"], option["high"]]
    within = "" if ends == [None, None] else f" {ends[0]} to {ends[1]}" if None not in ends else ""
    also = ", also in prediction" if option["live"] else ""
    return f"{allowed}{within} (default {option['default']}{also})"
