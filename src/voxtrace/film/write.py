"""Write a film: which kind is told by the ending of its name."""

from __future__ import annotations

from pathlib import Path

from voxtrace.atomic import atomic_file
from voxtrace.errors import UsageError
from voxtrace.film.frames import FilmOptions, frames, quantized
from voxtrace.film.page import page
from voxtrace.film.planes import label_colours
from voxtrace.trace import Trace
from voxtrace.volume import Volume

ENDINGS = (".gif", ".png", ".html")


def write_film(
    trace: Trace, path: str | Path, volume: Volume | None = None, options: FilmOptions | None = None
) -> Path:
    """Write a film of every kept step and return its path; the ending of the name tells which kind.

    ``.gif`` is an animation of one slice, ``.png`` its last step, ``.html`` a page with sliders for step and slice that
    needs no other file, see :func:`voxtrace.film.page`.

    Parameters
    ----------
    trace
        What came about, step by step.
    volume
        The scan, on the same grid; without it labels lie on black.

    Raises
    ------
    GeometryError
        The scan has another grid than the trace.
    UsageError
        The name has another ending, or the slice does not exist.
    OutputError
        The system refuses to write there.
    """
    path, options = Path(path), options or FilmOptions()
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(
            f"{path.name} is no film; expected a name ending in .gif, in .html for a page with sliders, or in .png for "
            "the last step."
        )
    with atomic_file(path) as temporary:
        if ending == ".html":
            temporary.write_text(page(trace, volume, options), encoding="utf-8")
        elif ending == ".png":
            frames(trace, volume, options)[-1].save(temporary, format="PNG")
        else:
            _write_gif(trace, volume, options, temporary)
    return path


def _write_gif(trace: Trace, volume: Volume | None, options: FilmOptions, path: Path) -> None:
    pictures = frames(trace, volume, options)
    hold_ms = round(1000 / options.per_second)
    times = [hold_ms] * (len(pictures) - 1) + [3 * hold_ms]
    first, *others = quantized(pictures, list(label_colours(trace).values()))
    first.save(path, format="GIF", save_all=True, append_images=others, duration=times, loop=0)
