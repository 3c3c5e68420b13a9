"""``voxtrace inspect``: what a path holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.output import print_facts, print_json, stdout_kept_for_json


def inspect(
    path: Annotated[Path, typer.Argument(help="A volume, DICOM folder, bundle, trace, or folder of predictions.")],
    as_json: AsJson = False,
) -> None:
    """Say what a path holds: a volume's passport, DICOM series, a bundle's card, a trace's steps or a ledger.

    Nothing that names a patient is shown.
    """
    from voxtrace.cli.describe import describe

    with stdout_kept_for_json(as_json):
        document = describe(path)
    if as_json:
        print_json(document)
        return
    for key, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for number, item in enumerate(value, start=1):
                typer.echo(f"\n{key} {number}")
                print_facts(item)
        else:
            print_facts({key: value})
