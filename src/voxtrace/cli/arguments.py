"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]
BundleNames = Annotated[
    list[str],
    typer.Option(
        "--model",
        "-m",
        help="A bundle folder, or the name of a shipped bundle. May be repeated, e.g. for the folds of one model: "
        "their probabilities are averaged.",
    ),
]
Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda, cuda:1, …")]
Precision = Annotated[str, typer.Option(help="Numbers to compute in: auto, float32, bfloat16, …")]
Seed = Annotated[int, typer.Option(help="Start of the random numbers; the same seed gives the same result.", min=0)]
DatasetFolder = Annotated[
    Path, typer.Argument(metavar="DATASET", help="Folder in nnU-Net's raw layout: dataset.json, imagesTr, labelsTr.")
]
