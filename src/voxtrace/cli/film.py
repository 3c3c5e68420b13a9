"""``voxtrace film``: a trace as an animated picture or a page with sliders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voxtrace.cli.output import echo


def film(
    trace: Annotated[Path, typer.Argument(help="A trace: the folder CASE.trace that predict writes.")],
    out: Annotated[
        Path,
        typer.Argument(help="The film, a name ending in .gif; .html for a page with sliders, .png for the last step."),
    ],
    scan: Annotated[
        Path | None, typer.Option(help="The scan that was segmented, to lie under the labels: a file or DICOM folder.")
    ] = None,
    plane: Annotated[str, typer.Option(help="axial, coronal or sagittal.")] = "axial",
    index: Annotated[
        int | None,
        typer.Option(
            "--slice", help="Which slice, from 0 at the feet, back or right; default the fullest, of a page all."
        ),
    ] = None,
    per_second: Annotated[float, typer.Option(help="Steps a second, 0.1 to 30.")] = 1.5,
    height: Annotated[int, typer.Option(help="Height of the plane in pixels.")] = 420,
) -> None:
    """Write a film of a trace: the labels of each step, and mL of each label.

    A GIF shows one slice. A page (.html) has sliders for step and slice, holds its pictures itself (at most 10 MB) and
    opens in any browser. Films hold what the scan shows: treat them as the scan itself.
    """
    from voxtrace.film import FilmOptions, write_film
    from voxtrace.io.child.guarded import read
    from voxtrace.trace import Trace

    options = FilmOptions(plane, index, per_second, height)  # type: ignore[arg-type]
    loaded = Trace.load(trace)
    written = write_film(loaded, out, read(scan) if scan is not None else None, options)
    echo(f"wrote {written}: {loaded.labels.shape[0]} {loaded.step_word}s")
