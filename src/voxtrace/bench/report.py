"""Tables of measurements as Markdown, and writing them into a page between two markers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from voxtrace.atomic import atomic_file
from voxtrace.errors import InputError

BEGIN, END = "<!-- {name}: begin -->", "<!-- {name}: end -->"


def table(document: dict[str, Any]) -> str:
    """Return machine, comparisons and facts of a bench document as Markdown."""
    rows = [row for scenario in document["works"].values() for row in _rows(scenario)]
    head = ["", "| scenario | what | against | ours | ratio [smallest, largest of a round] |", "|---|---|---|---|---|"]
    lines = [machine(document), *(head if rows else ()), *rows]
    lines += [
        "",
        *(f"* {scenario['title']}: {text}" for scenario in document["works"].values() for text in _facts(scenario)),
    ]
    return "\n".join(lines).rstrip() + "\n"


def cost_table(document: dict[str, Any]) -> str:
    """Return machine and cost of a ``bench cost`` as Markdown."""
    lines = [machine(document), "", "| varies | value | seconds, median [min, max] | peak MB |", "|---|---|---|---|"]
    for point in document["points"]:
        lines.append(
            f"| {point['varies']} | {point['value']} | {_spread(point['seconds'])} | {max(point['peak_mb']):.0f} |"
        )
    return "\n".join(lines) + "\n"


def machine(document: dict[str, Any]) -> str:
    """Return a sentence with processor, memory, date, rounds and versions of a document."""
    about = document["machine"]
    instructions = ", ".join(about["instructions"]) or "none that matter"
    versions = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    peer = ", ".join(f"{name} {number}" for name, number in document.get("peer_versions", {}).items())
    apart = f" nnU-Net's own environment: {peer}." if peer else ""
    rounds = f"{document['repeats']} round" + ("s" if document["repeats"] > 1 else "")
    quick = " **Tiny inputs: nothing here is a measurement.**" if document["quick"] else ""
    return (
        f"{about['name']}, {document['cores_used']} of {about['cores']} cores, {about['memory_gb']} GB of memory, "
        f"instructions {instructions}; {document['date']}; {rounds}. {versions}.{apart}{quick}"
    )


def find_table(path: Path, name: str) -> tuple[str, str, str]:
    """Return a page up to the start of a table, the table, and the page from the table's end.

    Raises
    ------
    InputError
        The page is missing, or lacks the markers.
    """
    begin, end = BEGIN.format(name=name), END.format(name=name)
    try:
        page = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name a page that has the markers.") from error
    # Everything before the table with its first marker, the table, everything from its last marker on.
    found = re.fullmatch(f"(.*{re.escape(begin)}\n)(.*?)({re.escape(end)}.*)", page, re.DOTALL)
    if found is None:
        raise InputError(f"{path} has no lines {begin} and {end}; put them where the table goes.")
    return found[1], found[2], found[3]


def write_table(path: Path, name: str, text: str) -> None:
    """Write a table between the markers of its name in a page; raises as :func:`find_table`."""
    before, _, after = find_table(path, name)
    with atomic_file(path) as temporary:
        temporary.write_text(f"{before}\n{text}\n{after}", encoding="utf-8")


def _rows(scenario: dict[str, Any]) -> Iterator[str]:
    for row in scenario["comparisons"]:
        # No ratio is shown where the answers differ; the reason stands in its place.
        unit = row["unit"]
        what = ", ".join(text for text in (row["quantity"], row["about"]) if text)
        ratio = row["ratio"]
        shown = f"**{ratio['of_medians']:.2f}** [{ratio['low']:.2f}, {ratio['high']:.2f}]" if ratio else row["withheld"]
        yield (
            f"| {scenario['title']} | {what} | {row['against']}: {_number(row['against_median'])} {unit} "
            f"| {row['ours']}: {_number(row['ours_median'])} {unit} | {shown} |"
        )


def _facts(scenario: dict[str, Any]) -> Iterator[str]:
    for name, value in scenario["facts"].items():
        if value not in ({}, None):
            yield f"{name.replace('_', ' ')}: {_plain(value)}"
    yield from scenario["left_out"]


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name} {_plain(each)}" for name, each in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)


def _spread(values: Sequence[float]) -> str:
    middle = median(values)
    return f"{_number(middle)} [{_number(min(values))}, {_number(max(values))}]"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
