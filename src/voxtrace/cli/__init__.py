"""The command line: ``voxtrace COMMAND``.

Start-up imports neither torch nor SimpleITK; each command imports what it needs when it runs.
"""

from __future__ import annotations

import atexit
import gc
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from voxtrace.cli import (
    bench,
    compare,
    coverage,
    dataset,
    demo,
    doctor,
    evaluate,
    export,
    film,
    inspect,
    methods,
    models,
    plan,
    predict,
    score,
    table,
    train,
)
from voxtrace.cli.exit_codes import INTERRUPTED, error_message, exit_code
from voxtrace.cli.lasting_stderr import lasting_stderr
from voxtrace.cli.output import echo

app = typer.Typer(
    name="voxtrace",
    help="Segment CT and MR, and see how each segmentation came about.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks print local variables, which may hold patient data
)

app.command()(predict.predict)
app.command(context_settings=train.CONTEXT)(train.train)
app.command()(dataset.dataset)
app.command()(plan.plan)
app.command()(evaluate.evaluate)
app.command()(compare.compare)
app.command()(coverage.coverage)
app.command(cls=score.ManyLabels)(score.score)
app.command()(export.export)
app.command()(inspect.inspect)
app.command()(table.table)
app.command()(film.film)
app.command()(methods.methods)
app.command()(demo.demo)
app.command()(doctor.doctor)
app.add_typer(models.app, name="models")
app.add_typer(bench.app, name="bench")


def _print_version(wanted: bool) -> None:
    if wanted:
        from voxtrace.version import __version__

        typer.echo(f"voxtrace {__version__}")
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Segment CT and MR, and see how each segmentation came about."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 all done, 1 some cases failed, 2 wrong usage, 3 nothing done, 130 stopped.

    An error is printed in one line on standard error; ``--debug``, anywhere among the words, adds the traceback.
    """
    atexit.register(gc.freeze)  # skips the last garbage collection, which takes a second after torch
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    with lasting_stderr():
        if debug:
            given = [argument for argument in given if argument != "--debug"]
            _log_everything()
        _run(given, debug=debug)


def _run(given: list[str], *, debug: bool) -> None:
    try:
        app(given, prog_name="voxtrace")
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:
            echo("voxtrace: stopped on request.")
        raise
    except Exception as error:
        if debug:
            traceback.print_exception(error)
        echo(f"voxtrace: {error_message(error)}")
        sys.exit(exit_code(error))


def _log_everything() -> None:
    import logging

    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    logging.getLogger("voxtrace").setLevel(logging.DEBUG)
