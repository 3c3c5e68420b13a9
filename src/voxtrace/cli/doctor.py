"""``voxtrace doctor``: what this machine has, and whether the installation is sound."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from voxtrace.cli.arguments import AsJson
from voxtrace.cli.exit_codes import NOTHING_DONE
from voxtrace.cli.output import print_json, print_line, reserve_stdout_for_json

GROUPS_HELP = "winograd, sparse or voxelwise; kept for later runs. May be repeated."


def doctor(
    disable: Annotated[list[str] | None, typer.Option(help=f"Switch kernels off: {GROUPS_HELP}")] = None,
    enable: Annotated[list[str] | None, typer.Option(help=f"Switch kernels on again: {GROUPS_HELP}")] = None,
    as_json: AsJson = False,
) -> None:
    """Look at versions, processor, memory, graphics, napari and the shipped models, and say what is missing.

    Kernels that are switched off are not used by later runs of this user: auto takes another runtime, and torch
    computes in their place. The exit code is 0 unless something that every command needs is broken.
    """
    from voxtrace.cli.diagnostics import diagnose, versions
    from voxtrace.kernels.switches import switch

    with reserve_stdout_for_json(as_json):
        if disable or enable:
            switch(enable or (), disable or ())
        findings = diagnose()
    if as_json:
        print_json({"versions": versions(), "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            advice = f" → {finding.advice}" if finding.advice else ""
            print_line(f"{finding.verdict:5}  {finding.what:14}  {finding.found}{advice}")
    if any(finding.verdict == "bad" for finding in findings):
        raise typer.Exit(NOTHING_DONE)
