"""``voxtrace doctor``: what this machine has, and whether the installation is sound."""

from __future__ import annotations

from dataclasses import asdict

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.exit_codes import NOTHING_DONE
from voxtrace.cli.output import print_json, reserve_stdout_for_json


def doctor(as_json: AsJson = False) -> None:
    """Look at versions, processor, memory, graphics, napari and the shipped models, and say what is missing.

    The exit code is 0 unless something that every command needs is broken.
    """
    from voxtrace.cli.diagnostics import examine, versions

    with reserve_stdout_for_json(as_json):
        findings = examine()
    if as_json:
        print_json({"versions": versions(), "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            advice = f" → {finding.advice}" if finding.advice else ""
            typer.echo(f"{finding.verdict:5}  {finding.what:14}  {finding.found}{advice}")
    if any(finding.verdict == "bad" for finding in findings):
        raise typer.Exit(NOTHING_DONE)
