"""Printing: results on standard output, messages and progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO

import typer

from voxtrace.safe_text import printable, well_formed

if TYPE_CHECKING:
    from rich.progress import Progress, Task

_SENTENCE = 40  # letters of a last column that holds sentences


def echo(message: str) -> None:
    """Print a message for the user on standard error; control letters in it are written out."""
    typer.echo(fit_for(sys.stderr, message), err=True)


def print_line(text: str = "") -> None:
    """Print a line on standard output; control letters in it are written out."""
    typer.echo(fit_for(sys.stdout, text))


def fit_for(stream: TextIO, text: str) -> str:
    """Return a text with what a stream can write: letters that its code page lacks are replaced by ``?``."""
    shown = printable(text)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        return shown.encode(encoding, "replace").decode(encoding, "replace")
    except LookupError:
        return shown.encode("ascii", "replace").decode()


def print_json(document: Any) -> None:
    """Print one JSON document on standard output; numbers that JSON lacks (NaN, infinity) become null."""
    text = json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False)
    # letters that the code page of the output lacks are written as \uXXXX, which is JSON, too
    can_write = fit_for(sys.stdout, text) == text
    typer.echo(text if can_write else json.dumps(_plain(document), indent=2, allow_nan=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a header on standard output; columns after the first are aligned right, sentences left."""
    cells = [list(columns), *([cell_text(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    if widths[-1] > _SENTENCE:  # else its header and short ones would stand beyond the edge of the terminal
        widths[-1] = 0
    for row in cells:
        first = row[0].ljust(widths[0])
        print_line("  ".join([first, *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip())


def print_facts(facts: dict[str, object]) -> None:
    """Print names and values in two columns on standard output."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        print_line(f"{name.ljust(width)}  {cell_text(value)}")


@contextmanager
def reserve_stdout_for_json(as_json: bool) -> Iterator[None]:
    """Redirect what libraries print to standard error while a command runs whose standard output is JSON."""
    if not as_json:
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


@contextmanager
def progress_bar(*fields: str) -> Iterator[Progress]:
    """Yield a rich progress bar on standard error, hidden where that is not a terminal.

    ``fields`` are the names of task fields to show after the percentage.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.text import Text

    class PlainColumn(TextColumn):
        """A column whose text a terminal shows and does not obey."""

        def render(self, task: Task) -> Text:
            return Text(fit_for(sys.stderr, super().render(task).plain))

    console = Console(stderr=True)
    shown = [PlainColumn("{task.fields[" + field + "]}", markup=False) for field in fields]
    with Progress(
        PlainColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        *shown,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        redirect_stdout=False,
    ) as bar:
        yield bar


def cell_text(value: object) -> str:
    """Return a value as it stands in a table: numbers with four digits, – for none."""
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(cell_text(v) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {cell_text(v)}" for name, v in value.items())
    return "–" if value is None else str(value)


def _plain(value: Any) -> Any:
    """Return a value converted to JSON's types."""
    if isinstance(value, dict):
        return {well_formed(str(k)): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, str):
        return well_formed(value)
    if value is None or isinstance(value, int):
        return value
    return _plain(value.tolist()) if hasattr(value, "tolist") else str(value)
