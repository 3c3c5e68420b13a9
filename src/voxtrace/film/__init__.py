"""Films of a trace: an animated GIF of one slice, a PNG of its last step, or a page with sliders for step and slice."""

from __future__ import annotations

from voxtrace.film.frames import FilmOptions, frames
from voxtrace.film.page import page
from voxtrace.film.planes import PLANES, Plane, contrast
from voxtrace.film.write import write_film

__all__ = ["PLANES", "FilmOptions", "Plane", "contrast", "frames", "page", "write_film"]
