"""``voxtrace dataset``: two folders of files become a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voxtrace.cli.output import echo, print_line
from voxtrace.errors import OutputError


def dataset(
    images: Annotated[Path, typer.Argument(help="Folder of the images: CASE.nii.gz, or CASE_0000.nii.gz a channel.")],
    labels: Annotated[Path, typer.Argument(help="Folder of the label maps: CASE.nii.gz or CASE_seg.nii.gz.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The CSV to write; plan and train take it as DATASET.")],
) -> None:
    """Pair images with label maps by their names, and list them in a CSV that plan and train take.

    Files without a partner are named and left out; nothing is copied.
    """
    from voxtrace.atomic import atomic_file
    from voxtrace.training.layouts.pairs import pair_files

    if out.suffix.lower() != ".csv":
        raise OutputError(f"{out} is no name of a CSV; choose one that ends in .csv.")
    if out.exists():
        raise OutputError(f"{out} exists already; choose another --out, or remove it.")
    pairs = pair_files(images, labels)
    for path in pairs.alone:
        echo(f"left out, it has no partner: {path}")
    with atomic_file(out) as temporary:
        temporary.write_bytes(pairs.as_csv(out.absolute().parent).encode("utf-8"))
    print_line(f"{out}: {len(pairs.images)} cases; next: voxtrace plan {out}")
